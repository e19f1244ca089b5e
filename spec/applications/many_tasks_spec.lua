-- SPDX-License-Identifier: MIT
-- A program with thousands of tasks at once, in a process of its own, with the sandbox in another: each task is charged once, also when the
-- program runs again, and the program's memory doesn't grow with the number of tasks that are over. TASKS: how many (1,500; `make prove`:
-- 15,000).
local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

local tasks <const> = tonumber(os.getenv "TASKS") or 1500

-- Submits all orders and waits for all of them, first the one half and then the other, and prints what came of it.
local application <const> = [[
local cjson = require "cjson"
local omni = require "omni"
local ledger, last = arg[1], tonumber(arg[2])
local ids, missing = {}, 0
omni.run(function()
  local client <close> = assert(omni.client { ledger = ledger })
  local function buy(from, to)
    local orders = {}
    for number = from, to do orders[#orders + 1] = ("order %d"):format(number) end
    local results, errors = omni.map(orders, { limit = 500 }, function(order)
      local task, problem = client:submit({ prompt = "A lighthouse.", duration = 4 }, { idempotency_key = order, tag = order })
      if not task then return nil, problem end
      task, problem = task:result { timeout = 600 }
      return task and task.id, problem
    end)
    for index in ipairs(orders) do
      if results[index] then ids[#ids + 1] = results[index] else missing = missing + 1 end
      if errors and errors[index] then print(errors[index]) end
    end
    results, errors = nil, nil
    collectgarbage() collectgarbage()
    return collectgarbage "count" - #table.concat(ids) / 1024
  end
  local half = buy(1, last // 2)
  local whole = buy(last // 2 + 1, last)
  local different, unfinished = {}, 0
  for _, id in ipairs(ids) do different[id] = true end
  local count = 0
  for _ in pairs(different) do count = count + 1 end
  for _ in client:unfinished() do unfinished = unfinished + 1 end
  local found = assert(client:find { tag = "order 7" })
  print(cjson.encode { different = count, missing = missing, unfinished = unfinished, found = #found, grown = whole - half })
end)
]]

describe(("a program with %d tasks"):format(tasks), function()
  it("pays for each once, also when it runs again, and keeps nothing of those that are over", function()
    local directory <close> = env.directory()
    env.write(directory:file "many.lua", application)
    local sandbox = program.start { "sandbox", "--json", "--clips", "builtin", "--seconds", "1", "--credits", "1000000000" }
    local address = cjson.decode(sandbox:wait_for "^{")
    local function run(last)
      local result = program.run({ "lua", directory:file "many.lua", directory:file "ledger.db", tostring(last) },
        { environment = { CRUN_BASE_URL = address.url, CRUN_API_KEY = address.key } })
      assert.equal("", result.err)
      local report = cjson.decode(result.out)
      assert.same({ last, 0, 0, 1 }, { report.different, report.missing, report.unfinished, report.found })
      assert.equal(last, cjson.decode(env.output(("curl -s %s/sandbox/ledger"):format(address.url))).submits)
      return report
    end

    local grown = run(tasks).grown
    -- 500 bytes for each of the second half's tasks; what the collector has left at that moment varies by 200 KB
    assert.is_true(grown < 500 * tasks / 2 / 1000, ("%.0f KB more after the second half"):format(grown))
    run(tasks + 10) -- only ten of them are new
    sandbox:signal "TERM"
    sandbox:finish()
  end)
end)
