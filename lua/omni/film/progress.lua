-- SPDX-License-Identifier: MIT
-- Computes a cut's progress from the progress of its ffmpeg runs.

local process = require "omni.process"
local tool = require "omni.film.ffmpeg"

---Returns a function that reports a fraction to `on_progress` only if the fraction exceeds all earlier ones, since a cut can start again
---from the beginning.
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

---Adds up the progress of all ffmpeg runs. A run's weight is the length of its output in seconds times the cost of one second.
---@param total number  the sum of all weights
---@param on_progress fun(fraction: number)
---@return fun(weight: number): fun(fraction: number)  call it once for each run; the run reports its fraction to the result
local function meter(total, on_progress)
  local done, under_way = 0, {} -- the total weight of the runs that have ended; the progress of each run that hasn't ended
  return function(weight)
    local run = {}
    return function(fraction)
      -- Adds a run's whole weight once the run has ended, since rounding errors would leave a sum of many small steps just below the total.
      if fraction < 1 then
        under_way[run] = fraction * weight
      elseif not run.ended then
        run.ended, under_way[run], done = true, nil, done + weight
      end
      local sum = done
      for _, part in pairs(under_way) do sum = sum + part end
      on_progress(sum >= total * (1 - 1e-9) and 1 or sum / total)
    end
  end
end

-- Returns a function that parses the lines that ffmpeg writes because of its -progress option.
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

---Runs ffmpeg and reports its progress.
---@param words string[]  its arguments
---@param seconds number  the length of its output
---@param advance fun(fraction: number)
---@return { frames: integer }|nil  pictures written
---@return omni.Error|nil  "process_failed" if it can't be started
---@return string|nil message  ffmpeg's error message, if it failed
local function ffmpeg(words, seconds, advance)
  local seen = { frames = 0 }
  local result, failure = tool.run("ffmpeg", tool.words("-progress", "pipe:1", words), { on_output = follow(advance, seconds, seen) })
  if not result then return nil, failure end
  if not process.succeeded(result, seen.ended) then return nil, nil, tool.said(result.stderr) .. " (" .. tool.how(result) .. ")" end
  advance(1)
  return seen
end

return { rising = rising, meter = meter, ffmpeg = ffmpeg }
