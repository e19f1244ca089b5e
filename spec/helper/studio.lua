-- SPDX-License-Identifier: MIT
-- A sandbox, a client and a directory for specs that make films out of boards.

local directories = require "omni.storyboard.run.output_lock"
local env = require "helper.env"
local film = require "omni.film"
local loop = require "omni.loop"
local omni = require "omni"
local start = require("omni.storyboard.run").start

local studio = {}

local function merged(...)
  local all = {}
  for _, part in ipairs { ... } do
    for name, value in pairs(part) do all[name] = value end
  end
  return all
end

---A board of four-second scenes whose prompts are their names.
function studio.board(...)
  local board = { defaults = { duration = 4 } }
  for i, name in ipairs { ... } do board[i] = omni.scene(name) { prompt = name } end
  return omni.storyboard(board)
end

---Lets the loop turn until a condition holds.
---@param condition fun(): any
function studio.become(condition)
  env.become(condition, function() omni.sleep(0.005) end)
end

---The statuses of a summary's scenes, or the actions of a plan's, in order.
function studio.statuses(result)
  local list = {}
  for i, scene in ipairs(result.scenes) do list[i] = scene.status or scene.action end
  return list
end

---@class spec.Studio
---@field sandbox omni.Sandbox
---@field client omni.Client
---@field directory string
---@field events table[]
local Studio_methods = {}
local Studio_mt = { __index = Studio_methods }

function Studio_methods:given(more)
  local function on_event(event) self.events[#self.events + 1] = event end
  return merged({ client = self.client, directory = self.directory, on_event = on_event }, more or {})
end

---Makes a board's film.
function Studio_methods:run(board, more)
  return omni.run_storyboard(board, self:given(more))
end

---Plans a board.
function Studio_methods:plan(board, more)
  return omni.plan_storyboard(board, merged({ client = self.client, directory = self.directory }, more or {}))
end

---Begins to carry out a plan, whatever it costs.
---@return omni.Run, omni.Directory
function Studio_methods:begin(board, more, planned)
  local opened = assert(directories.open(self.directory))
  return start(assert(self:plan(board, planned)), merged(self:given(more), { directory = opened })), opened
end

---What a verb of the ledger in its directory gives.
---@return table[] rows
function Studio_methods:rows(verb, params)
  local client <close> = self:new_client { ledger = self.directory .. "/ledger.db" }
  return assert(assert(client:ledger()):ask(verb, params))
end

---Ends every task soon after its submit, however long it would take, until it is closed.
---@return omni.Fiber
function Studio_methods:hurry()
  return loop.background(function()
    while true do
      self.sandbox:advance(100000)
      loop.sleep(0.01)
    end
  end)
end

---How many submits the sandbox has accepted.
function Studio_methods:submits()
  return self.sandbox:ledger().submits
end

---Another client of the same sandbox, with the same ledger.
function Studio_methods:new_client(more)
  return assert(omni.client(merged({
    base_url = self.sandbox.url, api_key = not (more and more.keys) and self.sandbox.key or nil,
    poll_min = 0.02, poll_max = 0.05, retry_for = 2, retry_min = 0.02,
  }, more or {})))
end

-- Instead of ffmpeg, which takes most of a board's time: the film is its first clip, and a poster is nothing but a file.
local stand_ins <const> = {
  cut = function(given)
    env.write(given.output, env.read(given.clips[1].path))
    if given.on_progress then given.on_progress(1) end
    return { path = given.output, seconds = #given.clips, copied = true }
  end,
  poster = function(_, path) return env.write(path, "poster") end,
}

-- Puts functions into omni.film until it is closed.
local function replace_films(others)
  local before = {}
  for name, value in pairs(others) do before[name], film[name] = film[name], value end
  return setmetatable({}, { __close = function()
    for name, value in pairs(before) do film[name] = value end
  end })
end

---Makes films without ffmpeg until the returned object is closed.
function studio.without_ffmpeg() return replace_films(stand_ins) end

---Calls `body(studio)` in the loop; `given` goes to the sandbox, but for `films`: whether ffmpeg cuts films and draws posters.
---@param given table
---@param body fun(studio: spec.Studio)
function studio.open(given, body)
  given.seconds, given.clips = given.seconds or 0.05, given.clips or "builtin"
  local replaced <close> = replace_films(given.films and {} or stand_ins) -- luacheck: ignore 211
  given.films = nil
  local folder <close> = env.directory()
  omni.run(function()
    local sandbox <close> = assert(omni.sandbox(given))
    local self = setmetatable({ sandbox = sandbox, directory = folder.path, events = {} }, Studio_mt)
    local client <close> = self:new_client()
    self.client = client
    body(self)
  end)
end

return studio
