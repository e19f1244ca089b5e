-- SPDX-License-Identifier: MIT
-- Runs of ffmpeg: some at once, and how far they are together.

local loop = require "omni.loop"
local process = require "omni.process"
local tool = require "omni.film.ffmpeg"

local Crew_mt = {
  __close = function(crew)
    for _, fiber in ipairs(crew) do fiber:cancel() end
  end,
}

---Calls fn(i) for 1 to count, some of them at once. After the first that returns nil, err no other begins. A cancelled fiber takes those
---that run with it.
---@param count integer
---@param at_once integer
---@param fn fun(i: integer): any, omni.Error|nil
---@return true|nil
---@return omni.Error|nil
local function each(count, at_once, fn)
  local index, failure = 0, nil
  local function work()
    while index < count and not failure do
      index = index + 1
      local fine, problem = fn(index)
      if not fine then failure = failure or problem end
    end
  end
  local crew <close> = setmetatable({}, Crew_mt)
  for n = 1, math.min(at_once, count) do crew[n] = loop.spawn(work) end
  for _, fiber in ipairs(crew) do fiber:join() end
  if failure then return nil, failure end
  return true
end

---Passes on only what is more than before: a cut that begins again shows no way back.
---@param on_progress? fun(fraction: number)
---@return fun(fraction: number)
local function rising(on_progress)
  local shown = 0
  return function(fraction)
    if on_progress and fraction > shown then
      shown = fraction
      on_progress(fraction)
    end
  end
end

---Sums up how far all runs are. Each has a weight, the seconds that it makes times what a second costs.
---@param total number  of all weights
---@param on_progress fun(fraction: number)
---@return fun(weight: number): fun(fraction: number)  begins a run, which then tells how far it is
local function meter(total, on_progress)
  local done = 0
  return function(weight)
    local mine = 0
    return function(fraction)
      fraction = math.min(1, fraction)
      done, mine = done + (fraction - mine) * weight, fraction
      on_progress(math.min(1, done / total))
    end
  end
end

local function follow(advance, seconds, seen)
  local rest = ""
  return function(text)
    rest = rest .. text
    local line_end = rest:match "^.*\n()"
    if not line_end then return end
    for name, value in rest:sub(1, line_end - 1):gmatch "([%l_]+)=(%d+)\n" do
      if name == "frame" then seen.frames = math.tointeger(tonumber(value)) end
      if name == "out_time_us" then advance(tonumber(value) / 1e6 / seconds) end
    end
    seen.ended = seen.ended or rest:find("progress=end\n", 1, true)
    rest = rest:sub(line_end)
  end
end

---Runs ffmpeg and tells how far it is.
---@param words string[]
---@param seconds number  that it makes
---@param advance fun(fraction: number)
---@return { frames: integer }|nil  of the picture
---@return omni.Error|nil  "process_failed": it can't be started
---@return string|nil said  when it failed: how, in its words
local function ffmpeg(words, seconds, advance)
  local seen = { frames = 0 }
  local result, failure = tool.run("ffmpeg", tool.words("-progress", "pipe:1", words), { on_output = follow(advance, seconds, seen) })
  if not result then return nil, failure end
  if not process.succeeded(result, seen.ended) then return nil, nil, tool.said(result.stderr) .. " (" .. tool.how(result) .. ")" end
  advance(1)
  return seen
end

return { each = each, rising = rising, meter = meter, ffmpeg = ffmpeg }
