-- SPDX-License-Identifier: MIT
-- A server of jobs in another event loop, as a program of its own: each job's error reaches whoever waits for it, or is reported once.
local env = require "helper.env"

local root = env.output("pwd"):gsub("\n", "")

-- Both programs run 2,000 jobs, of which every second one fails, and spawn 1,000 fibers that fail and that nobody joins.
local jobs <const> = [[
  local omni = require "omni"
  local unheard, done, failed, first = 0, 0, 0, nil
  omni.on_error(function(problem)
    unheard = unheard + 1
    assert(problem.message == "unheard", problem)
  end)

  local function job(number)
    omni.sleep(number % 7 / 10000)
    if number % 4 == 1 then error("raised " .. number, 0) end
    if number % 4 == 3 then return nil, "returned " .. number end
    return number
  end

  local function count(number, value, problem)
    if value == number then done = done + 1 end
    local expected = number % 4 == 1 and "raised " .. number or number % 4 == 3 and "returned " .. number or nil
    if expected and (problem == expected or problem.message == expected) then failed = failed + 1 end
    if number % 2 == 0 then omni.spawn(error, "unheard") end
  end

  local function after_round(round)
    collectgarbage()
    collectgarbage()
    if round == 2 then first = collectgarbage "count" end
  end

  local function finish()
    collectgarbage()
    collectgarbage()
    local grown = collectgarbage "count" - first
    print(done, failed, unheard, grown < 200 and "flat" or grown)
  end
]]

local programs <const> = {
  cqueues = [[
    local condition, cqueues = require "cqueues.condition", require "cqueues"
    local queue = cqueues.new()
    local host = require("omni.cqueues").attach(queue, { blocking = false })
    queue:wrap(function()
      for round = 1, 20 do
        local left, over = 100, condition.new()
        for i = 1, 100 do
          queue:wrap(function()
            local number = round * 100 + i
            count(number, host:call(job, number))
            left = left - 1
            if left == 0 then over:signal() end
          end)
        end
        while left > 0 do over:wait() end
        after_round(round)
      end
      host:call(omni.sleep, 0)
      host:detach()
    end)
    assert(queue:loop())
    finish()
  ]],
  luv = [[
    local uv = require "luv"
    local host = require("omni.luv").attach { blocking = false }
    local function run_round(round)
      if round > 20 then
        host:start(function()
          host:detach()
          finish()
        end, omni.sleep, 0)
        return
      end
      local left = 100
      for i = 1, 100 do
        local number = round * 100 + i
        host:start(function(...)
          count(number, ...)
          left = left - 1
          if left > 0 then return end
          after_round(round)
          run_round(round + 1)
        end, job, number)
      end
    end
    run_round(1)
    uv.run()
  ]],
  ["omni.run"] = [[
    omni.run(function()
      for round = 1, 20 do
        local numbers = {}
        for i = 1, 100 do numbers[i] = round * 100 + i end
        local results, errors = omni.map(numbers, { limit = 30 }, job)
        for i, number in ipairs(numbers) do count(number, results[i], errors[i]) end
        after_round(round)
      end
    end)
    finish()
  ]],
}

describe("a server of jobs", function()
  for name, program in pairs(programs) do
    it("in " .. name .. " gets each result and each error once, reports the others once, and doesn't grow", function()
      local files <close> = env.directory()
      env.write(files:file "server.lua", jobs .. program)
      local said = env.output(('cd %s && LUA_PATH="%s/lua/?.lua;%s/lua/?/init.lua;;" LUA_CPATH="%s" timeout %d %s server.lua 2>&1'):format(
        env.quote(files.path), root, root, (os.getenv "LUA_CPATH" or "build/lib/?.so;;"):gsub("^build", root .. "/build"),
        env.seconds(60), env.lua))
      assert.equal("1000\t1000\t1000\tflat\n", said)
    end)
  end
end)
