-- SPDX-License-Identifier: MIT
-- Calls that wait, made where Lua can't suspend; errors of misuse inside and outside of a fiber.

local answers = require "helper.answers"
local env = require "helper.env"
local hostile = require "helper.hostile"
local loop = require "omni.loop"
local omni = require "omni"

local KEY = "ak_" .. ("0123456789abcdef"):rep(2)

-- C functions that call `fn` and that Lua can't suspend.
local through_c = {
  ["string.gsub"] = function(fn) string.gsub("a", "a", fn) end,
  ["table.sort"] = function(fn) table.sort({ 1, 2 }, function() fn() return false end) end,
  ["a metamethod that C calls"] = function(fn) tostring(setmetatable({}, { __tostring = function() fn() return "" end })) end,
  ["table.concat, by __index"] = function(fn)
    table.concat(setmetatable({}, { __index = function() fn() return "" end, __len = function() return 1 end }))
  end,
  ["require"] = function(fn)
    package.preload["spec.waiting"] = fn
    package.loaded["spec.waiting"] = nil
    require "spec.waiting"
  end,
  ["a message handler"] = function(fn) xpcall(error, fn) end,
}

describe("a call that waits, within a C function that can't be suspended,", function()
  for name, through in pairs(through_c) do
    it("raises at the caller's line and leaves the fiber usable: " .. name, function()
      omni.run(function()
        local problem
        through(function()
          problem = select(2, pcall(omni.sleep, 3600))
        end)
        assert.matches("^spec/loop/waiting_spec%.lua:%d+: omni%.sleep can't wait here: .*string%.gsub", problem)
        local other = omni.spawn(function() omni.sleep(0.001) return "ran" end)
        omni.sleep(0.002)
        assert.equal("ran", other:join())
      end)
      assert.is_true(loop:empty())
    end)
  end

  it("raises in a finalizer, inside and outside of a fiber, and when the loop calls it", function()
    local problems = {}
    local function finalize()
      setmetatable({}, { __gc = function() problems[#problems + 1] = select(2, pcall(omni.sleep, 3600)) end })
      collectgarbage()
      collectgarbage()
    end
    finalize()
    omni.run(finalize)
    local pollable <const> = { pollfd = loop.pollfd, timeout = function() return 0 end }
    local poller <close> = require("omni.core").poll_set()
    function pollable.pollfd() return poller:pollfd() end
    function pollable:step()
      loop.remove(self)
      problems[#problems + 1] = select(2, pcall(omni.sleep, 3600))
    end
    loop.add(pollable)
    omni.run(function() while not problems[3] do omni.sleep(0) end end)
    assert.equal(3, #problems)
    for _, problem in ipairs(problems) do assert.matches("^spec/loop/waiting_spec%.lua:%d+: omni%.sleep can't wait here", problem) end
    omni.sleep(0.001)
  end)

  it("raises with the call's name and does nothing, for every call", function()
    local folder <close> = env.directory()
    local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 0, clips = "builtin" })
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = KEY, ledger = folder:file "ledger.db" })
    local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" })
    local task = assert(client:submit { prompt = "x", duration = 4 })
    assert(task:await())
    local board = omni.storyboard { omni.scene "a" { prompt = "one" } }
    local file = env.write(folder:file "board.lua", 'return storyboard { scene "a" { prompt = "one" } }')
    local function noop() end
    local calls = {
      ["client:submit"] = function() client:submit { prompt = "y" } end,
      ["client:query"] = function() client:query(task.id) end,
      ["client:call"] = function() client:call("GET", "/x") end,
      ["client:balance"] = function() client:balance() end,
      ["client:balances"] = function() client:balances() end,
      ["client:estimate"] = function() client:estimate { prompt = "y" } end,
      ["client:models"] = function() client:models() end,
      ["client:model"] = function() client:model "google/gemini-omni" end,
      ["client:templates"] = function() client:templates { platform = "kling" } () end,
      ["client:upload"] = function() client:upload(file) end,
      ["task:refresh"] = function() task:refresh() end,
      ["task:await"] = function() client:task(task.id):await() end,
      ["task:save"] = function() task:save(folder:file "clip.mp4") end,
      ["omni.process"] = function() omni.process { "true" } end,
      ["omni.plan_storyboard"] = function() omni.plan_storyboard(board, { client = client, directory = folder.path }) end,
      ["omni.run_storyboard"] = function() omni.run_storyboard(board, { client = client, directory = folder.path, yes = true }) end,
      ["omni.adopt_task"] = function()
        omni.adopt_task(board, { client = client, directory = folder.path, scene = "a", task_id = "x" })
      end,
      ["omni.load_storyboard"] = function() omni.load_storyboard(file, { client = client }) end,
      ["receiver:handle"] = function() receiver:handle("POST", "/x", nil, "") end,
      ["fiber:join"] = function()
        local fiber <close> = omni.spawn(omni.sleep, 3600)
        fiber:join()
      end,
      ["omni.join"] = function()
        local fiber <close> = omni.spawn(omni.sleep, 3600)
        omni.join(fiber)
      end,
      ["film.probe"] = function() require("omni.film").probe(folder:file "clip.mp4") end,
      ["film.cut"] = function() require("omni.film").cut { clips = { { path = "a" } }, output = "b" } end,
      ["film.last_frame"] = function() require("omni.film").last_frame("a", "b") end,
      ["film.poster"] = function() require("omni.film").poster("a", "b") end,
    }
    omni.run(function()
      for name, call in pairs(calls) do
        local fine, problem = pcall(string.gsub, "a", "a", call)
        assert.is_false(fine, name)
        assert.matches("^spec/loop/waiting_spec%.lua:%d+: " .. name .. " can't wait here", problem)
        omni.sleep(0)
        assert.equal("yes", omni.spawn(function() noop() return "yes" end):join())
      end
    end)
    assert.equal(1, sandbox:ledger().submits)
  end)

  it("works outside of omni.run, and runs the loop meanwhile", function()
    assert.equal("b", (string.gsub("a", "a", function() omni.sleep(0.001) return "b" end)))
  end)
end)

describe("misuse", function()
  it("raises the same text at the caller's line inside and outside of a fiber", function()
    local server <close> = hostile.start()
    local client <close> = answers.client(server.url)
    local calls = {
      ["client:models"] = function() client:models { modalty = "video" } end,
      ["client:estimate"] = function() client:estimate({}, { modle = "x" }) end,
      ["client:submit"] = function() client:submit({}, { modle = "x" }) end,
      ["client:templates"] = function() client:templates { plattform = "kling" } end,
      ["client:upload"] = function() client:upload("x", { agian = true }) end,
      ["task:await"] = function() client:task("x"):await { timout = 1 } end,
      ["task:save"] = function() client:task("x"):save("x", { idnex = 1 }) end,
      ["omni.process"] = function() omni.process({ "true" }, { stdot = "pipe" }) end,
      ["omni.plan_storyboard"] = function() omni.plan_storyboard(omni.storyboard { omni.scene "a" { prompt = "x" } }, { cleint = 1 }) end,
      ["omni.run_storyboard"] = function() omni.run_storyboard({}, { cleint = 1 }) end,
      ["omni.adopt_task"] = function() omni.adopt_task({}, { cleint = 1 }) end,
      ["omni.load_storyboard"] = function() omni.load_storyboard("x", { cleint = 1 }) end,
    }
    for name, call in pairs(calls) do
      local outside, inside = select(2, pcall(call)), nil
      omni.run(function() inside = select(2, pcall(call)) end)
      assert.matches("^spec/loop/waiting_spec%.lua:%d+: " .. name .. ": unknown option", outside)
      assert.equal(outside, inside)
    end
  end)

  it("in a callback raises the callback's error, also outside of a fiber", function()
    local sandbox <close> = assert(omni.sandbox { key = KEY, seconds = 0, clips = "builtin" })
    local client <close> = assert(omni.client { base_url = sandbox.url, api_key = KEY, ledger = false })
    local task = assert(client:submit { prompt = "x", duration = 4 })
    local mine = {}
    local _, problem = pcall(task.await, task, { on_status = function() error(mine) end })
    assert.equal(mine, problem)
    _, problem = pcall(task.await, task, { on_status = function() error "mine" end })
    assert.matches("^spec/loop/waiting_spec%.lua:%d+: mine$", problem)
  end)
end)
