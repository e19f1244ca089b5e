-- SPDX-License-Identifier: MIT
-- Checks a plan's film before anything is paid for: whether ffmpeg is installed, whether the audio track contains sound, and whether the
-- clips fit together.

local core = require "omni.core"
local expected = require "omni.storyboard.plan.expected_clip"
local listed = require("omni.storyboard.language.defaults_check").listed
local media_check = require "omni.storyboard.plan.media_check"

local seconds = media_check.seconds

local SLACK <const> = 0.5 -- number of seconds by which the audio track may be shorter than the film

-- Returns whether all of the film's clips will exist after a run of the plan in which nothing fails.
local function is_whole(plan)
  for _, name in ipairs(plan.board.cut.scenes) do
    local planned = plan.by_name[name]
    if not planned.selected and planned.action ~= "reuse" then return false end
  end
  return true
end

local function check_programs(report)
  local missing = {}
  for _, program in ipairs { "ffmpeg", "ffprobe" } do
    if not media_check.is_installed(program) then missing[#missing + 1] = program end
  end
  if #missing > 0 then
    report("cut", ("the film can't be cut without %s"):format(table.concat(missing, " and ")),
      media_check.INSTALL .. ", or write cut = false on the board, and omni cuts no film", "process_failed")
  end
end

-- Checks the audio track. Returns the audio track's length in seconds, if it is known.
local function check_audio(audio, files, report)
  local kind, wrong = files:kind(audio.path)
  local name = core.clean(audio.path:match "[^/]*$", 100)
  if not kind and wrong.code == "io" then return report("cut.audio", wrong.message, wrong.hint, wrong.code) end
  if kind and kind.type:find "^image/" then
    return report("cut.audio", ('"%s" is a picture (%s), not sound'):format(name, kind.name), nil, "invalid_input")
  end
  local seen, problem = files:lengths(audio.path)
  if not seen then
    if problem.code == "process_failed" then return nil end
    return report("cut.audio", problem.message:gsub("^can't read the clip ", "can't read the audio track "), problem.hint, problem.code)
  end
  if not seen.sound then return report("cut.audio", ('"%s" has no sound'):format(name), nil, "invalid_input") end
  return seen.sound
end

-- Returns the length of each of the film's clips in seconds, or false for a clip whose length the model chooses.
local function lengths_of(plan)
  local cut, lengths = plan.board.cut, {}
  for index, name in ipairs(cut.scenes) do
    local still = cut.seconds and cut.seconds[index]
    lengths[index] = still or expected.seconds(plan.board.scenes[plan.by_name[name].index]) or false
  end
  return lengths
end

-- Checks that each transition takes up at most half of the shorter of its two clips (lua/omni/film/transitions.lua). Returns the total
-- length of all transitions in seconds.
local function check_transition(cut, lengths, notice)
  if not cut.transition then return 0 end
  local wanted, sum, short, shortest, where = cut.transition.seconds, 0, 0, math.huge, nil
  for index = 1, #lengths - 1 do
    local most = math.min(lengths[index] or math.huge, lengths[index + 1] or math.huge) / 2
    sum = sum + math.min(wanted, most)
    if most < wanted - 0.001 then
      short = short + 1
      if most < shortest then shortest, where = most, index end
    end
  end
  if short > 0 then
    local more = short == 1 and "" or (", and is shorter at %d more %s"):format(short - 1, short == 2 and "place" or "places")
    notice("cut.transition", ('the transition lasts %s instead of %s between "%s" and "%s"%s: it takes at most half of the shorter clip')
      :format(seconds(shortest), seconds(wanted), cut.scenes[where], cut.scenes[where + 1], more),
      ('write transition = { "%s", seconds = %s }'):format(cut.transition.name, (seconds(shortest):gsub(" s$", ""))))
  end
  return sum
end

-- Adds a notice if the audio track, which lasts `length` seconds, is shorter than the film.
local function check_music(audio, length, lengths, taken, notice)
  local sum, whole = -taken, true
  for _, value in ipairs(lengths) do sum, whole = sum + (value or 0), whole and value ~= false end
  if length and length < sum - SLACK then
    notice("cut.audio", ('"%s" lasts %s, the film %s %s: its end has no music'):format(core.clean(audio.path:match "[^/]*$", 100),
      seconds(length), whole and "about" or "at least", seconds(sum)))
  end
end

-- Checks whether all clips have the same shape.
local function check_shapes(plan, lengths, notice)
  local cut, shapes = plan.board.cut, {}
  if cut.size then return end
  for index, name in ipairs(cut.scenes) do
    local size = expected.size(plan.board.scenes[plan.by_name[name].index])
    if size then
      local text = ("%d×%d"):format(size.width, size.height)
      local shape = shapes[text]
      if not shape then
        shape = { text = text, names = {}, seen = {}, seconds = 0, size = size }
        shapes[text], shapes[#shapes + 1] = shape, shape
      end
      shape.seconds = shape.seconds + (lengths[index] or 0)
      if not shape.seen[name] then shape.seen[name], shape.names[#shape.names + 1] = true, name end
    end
  end
  if #shapes < 2 then return end
  local most, parts = shapes[1], {}
  for i, shape in ipairs(shapes) do
    if shape.seconds > most.seconds then most = shape end
    parts[i] = ("%s (%s)"):format(shape.text, listed(shape.names))
  end
  notice("cut", ("the clips have different sizes: %s; the film will be %s, and clips of another shape get black bars"):format(
    table.concat(parts, ", "), most.text), ('to choose: cut = { size = "%dx%d" }'):format(most.size.width, most.size.height))
end

---Checks the film that a run of the plan would cut. Checks nothing if the run can't produce all of the film's clips.
---@param plan omni.Plan
---@param files omni.MediaFiles
---@param report fun(field: string, message: string, hint?: string, code: string)  called for each problem
---@param notice fun(field: string, message: string, hint?: string)              called for each notice
local function check(plan, files, report, notice)
  local cut = plan.board.cut
  if not cut or not is_whole(plan) then return end
  check_programs(report)
  local length = cut.audio and check_audio(cut.audio, files, report)
  local lengths = lengths_of(plan)
  check_music(cut.audio, length, lengths, check_transition(cut, lengths, notice), notice)
  check_shapes(plan, lengths, notice)
end

return { check = check }
