-- SPDX-License-Identifier: MIT
-- C code called back into Lua (a metamethod, or a finalizer, which may run at any allocation) while it held pointers into an object, and
-- the called function closed that object. Each test runs in an interpreter of its own, which may crash.

local env = require "helper.env"
local process = require "omni.process"

-- Every allocation from `go` on may run the finalizers: one step of the collector is a whole cycle.
local before <const> = [[
  local core, listener, ledger = require "omni.core", require "omni.listener", require "omni.ledger_sqlite"
  collectgarbage "stop"
  collectgarbage("incremental", 100, 400, 40)
  local ran = 0
  local function at_next_allocation(fn)
    setmetatable({}, { __gc = function() ran = ran + 1 pcall(fn) end })
  end
  local function go() collectgarbage "restart" end
  local function exchange(answer)
    local l = assert(listener.open {})
    local url = "http://127.0.0.1:" .. l:port()
    local http = core.client { base_url = url, api_key = ("k"):rep(32) }
    return l, http, function(x)
      repeat
        http:step()
        l:step()
        local request = l:next()
        if request and answer then request:answer(200, nil, answer) end
      until request and not answer or x:done()
    end
  end
]]

local function run(code)
  local done = assert(process.run({ env.lua, "-e", before .. code }, { stdout = "pipe" }))
  assert.same({ 0, "" }, { done.exit or done.signal, done.stderr })
  return (done.stdout:gsub("\t", " "))
end

describe("an object that is closed by code that its own method calls", function()
  it("is a listener that answers a request, while a header's __tostring closes it", function()
    assert.equal("true\n", run [[
      local l, http = exchange()
      local x, request = http:call("o", "GET", "/x"), nil
      repeat http:step() l:step() request = l:next() until request
      getmetatable("").__tostring = function(text) l:close() return text end
      print(request:answer(200, { ["X-A"] = "b" }, "hello"))
    ]])
  end)

  it("is a listener that answers a request with a large body", function()
    assert.equal("false 1\n", run [[
      local l, http = exchange()
      local x, request = http:call("o", "GET", "/x"), nil
      repeat http:step() l:step() request = l:next() until request
      at_next_allocation(function() l:close() end)
      go()
      local answered = request:answer(200, { ["X-A"] = 1, ["X-B"] = 2.5 }, ("x"):rep(100000))
      print(answered, ran)
    ]])
  end)

  it("is a listener that returns a request", function()
    assert.equal("nil 1\n", run [[
      local l, http = exchange()
      http:call("o", "POST", "/x", ("x"):rep(100000))
      repeat http:step() until l:step()
      at_next_allocation(function() l:close() end)
      go()
      print(l:next(), ran)
    ]])
  end)

  it("is a listener whose request another call takes in the meantime", function()
    assert.equal("nil 100000 1\n", run [[
      local l, http = exchange()
      http:call("o", "POST", "/x", ("x"):rep(100000))
      repeat http:step() until l:step()
      local other
      at_next_allocation(function() other = l:next() end)
      go()
      print(l:next(), #other:body(), ran)
    ]])
  end)

  it("is a client that returns the result of an exchange: it stays open until then", function()
    for what, expected in pairs {
      ['http:query("o", "abc")'] = "table 1 true\n", ['http:query("o", "abc", "closes x")'] = "table 1 true\n",
      ['http:call("o", "GET", "/y")'] = "table 1 true\n", ['http:submit("o", "{}")'] = "string 1 true\n",
    } do
      assert.equal(expected, run(([[
        local answer = '{"code":200,"message":"success","data":{"task_id":"abc","status":"success","param":{"model":"m","input":{}}}}'
        local l, http, finish = exchange(answer)
        local x = %s
        finish(x)
        local failed
        at_next_allocation(function() failed = not pcall(%s) end)
        go()
        local value = x:result()
        print(type(value), ran, failed)
        x:close()
        http:close()
      ]]):format(what, what:find "closes x" and "x.close, x" or "http.close, http")), what)
    end
  end)

  it("is a client that returns a failure, its network settings or its owners, or traces an exchange", function()
    assert.equal("network 1 table 2 1 3 table 4\n", run [[
      local l, http = exchange()
      l:close()
      local x = http:call("o", "GET", "/x")
      repeat http:step() until x:done()
      local told = {}
      local function closes() at_next_allocation(function() http:close() end) go() end
      closes()
      local _, failure = x:result()
      told[1], told[2] = failure.code, ran
      closes()
      told[3], told[4] = type(http:network()), ran
      closes()
      told[5], told[6] = #http:owners(), ran
      closes()
      told[7], told[8] = type(core.trace(x)), ran
      print(table.concat(told, " "))
    ]])
  end)

  it("is a client that starts an exchange: it raises that it is closed", function()
    assert.equal("false true 1\n", run [[
      local l, http = exchange()
      at_next_allocation(function() http:close() end)
      go()
      local fine, message = pcall(http.submit, http, "o", "{}")
      print(fine, tostring(message):find("closed", 1, true) ~= nil, ran)
    ]])
  end)

  it("is a ledger that a finalizer uses or closes while it starts a verb or returns rows", function()
    local directory <close> = env.directory()
    assert.equal("2 rows 1\nclosed true 2\n", run(([[
      local l = ledger.open(%q)
      local function take()
        local owner, rows, failure
        repeat owner, rows, failure = l:finished() until owner
        assert(not failure, failure and failure.message)
        return rows
      end
      for i = 1, 2 do
        l:start("o", "intend", { account = "a", model = "m", input = ("x"):rep(1000), identity = "i" .. i })
        take()
      end
      l:start("first", "open")
      l:start("second", "open")
      while not l:step() do end
      at_next_allocation(function() l:finished() l:finished() l:start("third", "open", { }) end)
      go()
      print(#take() .. " rows", ran)
      collectgarbage "stop"
      at_next_allocation(function() l:close() end)
      go()
      local fine, message = pcall(l.start, l, "o", "row", { id = 1 })
      print(fine or "closed", tostring(message):find("closed", 1, true) ~= nil, ran)
    ]]):format(directory:file "ledger.db")))
  end)
end)
