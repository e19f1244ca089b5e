-- SPDX-License-Identifier: MIT

local omni = require "omni"
local studio = require "helper.studio"

local INPUT <const> = { prompt = "p", duration = 4 }
local COUNT <const> = 300

-- Opens a client whose tasks end at once and are called back. Returns to `body` a function that makes a task and awaits it.
local function open(body)
  studio.open({ seconds = 0, credits = 1e9 }, function(s)
    local client <close> = s:new_client { poll_min = 0.01, poll_max = 0.05 }
    local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0", poll = 900 }) -- luacheck: ignore 211
    body(function(options)
      local task = assert(client:submit(INPUT, options))
      assert.equal("success", assert(task:await()).status)
      return task
    end)
  end)
end

describe("the poller", function()
  it("drops tasks that callbacks have ended, long before their next query", function()
    open(function(make)
      local alive = setmetatable({}, { __mode = "v" })
      for i = 1, COUNT do alive[i] = make() end
      collectgarbage()
      collectgarbage()
      local count = 0
      for _ in pairs(alive) do count = count + 1 end
      assert.is_true(count < COUNT / 3, count)
    end)
  end)

  it("queries the tasks that are left when their time has come", function()
    open(function(make)
      local fibers = {}
      for i = 1, COUNT do
        local options = i % 3 == 0 and { callback_url = "http://127.0.0.1:9/lost" } or nil -- each third one is only queried
        fibers[#fibers + 1] = omni.spawn(make, options)
        if #fibers == 30 then
          omni.join(table.unpack(fibers))
          fibers = {}
        end
      end
    end)
  end)

  it("keeps a task whose wait has timed out, and doesn't query it more often for that", function()
    studio.open({ seconds = 900 }, function(s)
      local queries = 0
      local client <close> = s:new_client { poll_min = 30, poll_max = 60, on_event = function(event)
        if event.event == "request_begun" and event.kind == "query" then queries = queries + 1 end
      end }
      local task = assert(client:submit(INPUT))
      for _ = 1, 20 do assert.equal("timeout", select(2, task:await { timeout = 0.01 }).code) end
      assert.equal(0, queries)
      s.sandbox:advance(1000)
      assert(task:refresh())
      assert.equal(1, queries)
    end)
  end)
end)
