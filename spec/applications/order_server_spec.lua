-- SPDX-License-Identifier: MIT
-- examples/order_server.lua as its customers and the service see it: a program of its own, spoken to over HTTP, and killed.
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"
local socket = require "socket"

local here = env.output("pwd"):gsub("\n$", "")

describe("an order server", function()
  local folder, service, port

  before_each(function()
    folder, port = env.directory(), env.free_ports(1)
    service = program.real_service { seconds = 1000 }
  end)
  after_each(function()
    service.stop()
    folder:close()
  end)

  -- Starts the server, which receives callbacks at `port`, and waits until it listens.
  local function start()
    local child = program.start({ "lua", here .. "/examples/order_server.lua", folder.path, "0", "127.0.0.1:" .. port },
      { environment = service.environment, directory = folder.path })
    child.url = child:wait_for("^listening at "):match "http://%S+"
    return child
  end
  local function stop(child)
    child:signal "TERM"
    child:finish()
  end

  -- Returns the reply and its status; nil if the server is gone.
  local function request(child, path, body)
    local command = ("curl -s -m %d -w ' %%{http_code}' %s %s; true"):format(env.seconds(20), body and "-d " .. env.quote(body) or "",
      env.quote(child.url .. path))
    local reply, status = env.output(command):match "^(.*) (%d+)$"
    if not status or status == "000" then return nil end
    local fine, decoded = pcall(cjson.decode, reply)
    return fine and decoded or reply, tonumber(status)
  end
  local function order(child, number, prompt)
    return request(child, "/orders/" .. number, cjson.encode { prompt = prompt or "order " .. number, duration = 4 })
  end
  local function wait_until_delivered(child, number)
    local deadline = socket.gettime() + env.seconds(60)
    local reply
    repeat
      reply = request(child, "/orders/" .. number)
      if reply.state == "delivered" then return reply end
      socket.sleep(0.02)
    until reply.state == "unknown" or socket.gettime() > deadline
    return reply
  end

  it("charges an order once, however often it is sent, and delivers it", function()
    local child = start()
    local first, status = order(child, "17")
    assert.same({ 202, "accepted" }, { status, first.state })
    assert.equal(first.task, order(child, "17").task)
    assert.equal("accepted", request(child, "/orders/17").state)
    service.advance(2000)
    assert.equal("delivered", wait_until_delivered(child, "17").state)
    assert.matches("^....ftyp", (request(child, "/clips/17")))
    assert.equal(1, service.submits())
    stop(child)
  end)

  it("says what is wrong with an order, and charges nothing for it", function()
    local child = start()
    local reply, status = request(child, "/orders/1", "{")
    assert.same({ 400, "expected a JSON object" }, { status, reply.message })
    reply, status = request(child, "/orders/1", '{"prompt":"a","duration":7}')
    assert.same({ 400, "refused", "duration" }, { status, reply.state, reply.field })
    reply, status = request(child, "/orders/1")
    assert.same({ 404, "no such order" }, { status, reply.state })
    assert.equal(404, select(2, request(child, "/orders/..%2f..%2fetc", "{}")))
    order(child, "2")
    reply, status = order(child, "2", "another prompt")
    assert.same({ 400, "refused" }, { status, reply.state })
    assert.equal(1, service.submits())
    stop(child)
  end)

  it("reports a task that failed, and doesn't pay for it again", function()
    service.stop()
    service = program.real_service { seconds = 1000, faults = { "fail" } }
    local child = start()
    order(child, "3")
    service.advance(2000)
    local reply
    repeat reply = request(child, "/orders/3") until reply.state ~= "accepted"
    assert.equal("failed", reply.state)
    assert.equal("failed", order(child, "3").state)
    assert.equal(1, service.submits())
    stop(child)
  end)

  it("killed 25 times at random moments, charges each order once and delivers it", function()
    local random = env.random and env.random() or math.random
    local numbers = {}
    for i = 1, 12 do numbers[i] = "k" .. i end
    for _ = 1, 25 do
      local child = start()
      local words = {}
      for _, number in ipairs(numbers) do
        words[#words + 1] = ("curl -s -m 20 -d %s %s/orders/%s >/dev/null &"):format(
          env.quote(cjson.encode { prompt = "order " .. number, duration = 4 }), child.url, number)
      end
      words[#words + 1] = ("sleep %.3f; kill -9 %s; wait"):format(random() * 0.15, child.pid)
      os.execute(table.concat(words, " "))
      child:finish()
    end

    local child = start()
    service.advance(2000) -- the callbacks settle the submits whose answers the kills took away
    local charged = {}
    for _, task in ipairs(service.ledger().tasks) do charged[task.input.prompt] = (charged[task.input.prompt] or 0) + 1 end
    for _, number in ipairs(numbers) do
      local reply, status = order(child, number)
      if reply.state == "unknown" and not charged["order " .. number] then -- a person looks at the account, and gives it up
        assert.equal(500, status)
        local forgotten = program.run({ "forget", ("%d"):format(reply.row), "--yes", "--ledger", folder:file "orders.db" })
        assert.equal(0, forgotten.code, forgotten.err)
        assert.equal("accepted", order(child, number).state)
      end
    end
    service.advance(2000)
    for _, number in ipairs(numbers) do assert.equal("delivered", wait_until_delivered(child, number).state, number) end
    stop(child)

    charged = {}
    for _, task in ipairs(service.ledger().tasks) do charged[task.input.prompt] = (charged[task.input.prompt] or 0) + 1 end
    for _, number in ipairs(numbers) do assert.equal(1, charged["order " .. number], number) end
    assert.equal(#numbers, service.submits())
  end)
end)
