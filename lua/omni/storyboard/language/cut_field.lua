-- SPDX-License-Identifier: MIT
-- Checks a board's `cut` field: the film's scenes, transition, audio track and file name.
--
--   cut = { "dawn", "storm", transition = { "fade", seconds = 0.5 }, audio = { file "score.mp3", volume = 0.6 }, output = "film.mp4" }

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local options = require "omni.options"
local problems = require "omni.storyboard.language.errors"
local transitions = require("omni.film.transitions").names

local a, missing = problems.a, problems.missing

local DEFAULT_OUTPUT <const> = "film.mp4"
local DEFAULT_SECONDS <const> = 0.5 -- length of a transition
local MAX_SECONDS <const> = 5
local MAX_STILL <const> = 60 -- maximum number of seconds for which a film can show an image
local MAX_VOLUME <const> = 10
local MAX_OUTPUT_BYTES <const> = 120
local MAX_CLIPS <const> = 10000 -- maximum number of clips in a film (lua/omni/film/cut.lua)

local MIN_SIDE <const>, MAX_WIDTH <const>, MAX_HEIGHT <const> = 16, 8192, 4352 -- limits for the film's width and height, in pixels
local MAX_FPS <const> = 120

local known = { transition = true, audio = true, size = true, fps = true, output = true }

---@class omni.Cut
---@field scenes string[]                                 names in the film's order; a name can appear several times
---@field seconds? (number|false)[]                        in the same order: how long the film shows a scene's picture; false for a clip
---@field transition? { name: string, seconds: number }    the transition between two clips
---@field audio? { path: string, volume: number, clips: number }  the film's audio track, its volume, and the volume of the clips' own sound
---@field size? string                                    the film's size: "1920x1080"
---@field fps? string                                     the film's frame rate: "24/1"
---@field output string                                    the film's file name

-- Returns a setting's value as a table, after checking the names of the table's fields.
local function with_options(value, allowed, field, fail)
  local given = type(value) == "table" and not placeholder.is(value) and value or { value }
  for name in pairs(given) do
    if name ~= 1 and not allowed[name] then
      fail(("%s: unknown field '%s'; %s"):format(field, tostring(name), options.unknown(name, allowed)), field)
    end
  end
  return given
end

-- Checks that a number is within its limits. Returns the number, or the default if the value is nil.
local function number(value, default, field, least, most, fail)
  if value == nil then return default end
  if type(value) == "number" and value >= least and value <= most then return value end
  local shown = type(value) == "number" and core.format("%s", value) or a(value)
  fail(core.format("%s: must be a number from %g to %g, not %s", field, least, most, shown), field)
  return default
end

local function transition(value, fail)
  if value == nil or value == false or value == "none" then return nil end
  local given = with_options(value, { seconds = true }, "transition", fail)
  local name = given[1]
  if type(name) ~= "string" then
    fail("transition: must be a name like \"fade\", not " .. a(name), "transition", 'write transition = "fade", or { "fade", seconds = 1 }')
  elseif name ~= "none" and not transitions[name] then
    local near = options.nearest(name, transitions)
    fail(("unknown transition '%s'%s"):format(name, near and ("; did you mean '%s'?"):format(near) or ""), "transition",
      not near and 'for example "fade", "dissolve" or "wipeleft"; docs/storyboards.md lists all' or nil)
  end
  local seconds = number(given.seconds, DEFAULT_SECONDS, "transition.seconds", 0, MAX_SECONDS, fail)
  if seconds == 0 then fail('transition.seconds: must be more than 0; for none write transition = "none"', "transition.seconds") end
  if name == "none" then return nil end
  return { name = name, seconds = seconds }
end

local function audio(value, fail)
  if value == nil or value == false then return nil end
  local given = with_options(value, { volume = true, clips = true }, "audio", fail)
  local track = given[1]
  if track == problems.stand_in then return nil end
  if not placeholder.is(track) or track.kind ~= "file" then
    fail("audio: must be a file, not " .. (placeholder.is(track) and tostring(track) or a(track)), "audio",
      ('write audio = file "%s"'):format(type(track) == "string" and core.clean(track, 200) or "score.mp3"))
    return nil
  end
  return { path = track.path, volume = number(given.volume, 1, "audio.volume", 0, MAX_VOLUME, fail),
    clips = number(given.clips, 1, "audio.clips", 0, MAX_VOLUME, fail) }
end

-- Returns the film's size in the form "1920x1080". The width and the height must be even, since encoders require even numbers.
local function size_of(value, fail)
  if value == nil or value == false then return nil end
  local width, height = tostring(value):match "^%s*(%d%d?%d?%d?)%s*[xX]%s*(%d%d?%d?%d?)%s*$"
  width, height = tonumber(width), tonumber(height)
  if type(value) ~= "string" or not width then
    local shown = type(value) == "string" and ("'%s'"):format((core.clean(value, 60))) or a(value)
    fail("size: must be a width and a height in pixels, not " .. shown, "size", 'write size = "1920x1080"')
  elseif width % 2 + height % 2 > 0 then
    fail(("size: the width and the height must be even numbers, not %d and %d"):format(width, height), "size")
  elseif math.min(width, height) < MIN_SIDE or math.max(width, height) > MAX_WIDTH or width * height > MAX_WIDTH * MAX_HEIGHT then
    fail(("size: must be from %dx%d to %dx%d"):format(MIN_SIDE, MIN_SIDE, MAX_WIDTH, MAX_HEIGHT), "size")
  else
    return ("%dx%d"):format(width, height)
  end
end

-- Returns a frame rate as a fraction. A television rate such as 29.97 is a whole number times 1000/1001.
local function fps_of(value, fail)
  if value == nil or value == false then return nil end
  if type(value) ~= "number" or not (value >= 1 and value <= MAX_FPS) then
    local shown = type(value) == "number" and core.format("%s", value) or a(value)
    fail(("fps: must be a number of frames in a second, from 1 to %d, not %s"):format(MAX_FPS, shown), "fps")
    return nil
  end
  local nearest = math.floor(value * 1.001 + 0.5)
  if value == math.floor(value) then return ("%d/1"):format(value) end
  if math.abs(nearest * 1000 / 1001 - value) < 0.006 then return ("%d/1001"):format(nearest * 1000) end
  return ("%d/1000"):format(math.floor(value * 1000 + 0.5))
end

-- Returns the number of seconds for which the film shows a scene's image, or false for a scene that makes a clip. `place` is the location
-- of the scene's name on the board, such as "cut.2".
local function still_seconds(name, seconds, yields, place, fail)
  if yields == "audio" then
    fail(('cut: scene "%s" makes sound, which has no picture'):format(name), "cut", nil, place)
  elseif yields == "image" and seconds == nil then
    fail(('cut: scene "%s" makes a picture; say how long the film shows it'):format(name), "cut",
      ('write { "%s", seconds = 3 }'):format(name), place)
  elseif yields == "image" then
    if type(seconds) == "number" and seconds > 0 and seconds <= MAX_STILL then return seconds end
    fail(('cut: the seconds of scene "%s" must be a number above 0, at most %d'):format(name, MAX_STILL), "cut", nil, place)
  elseif seconds ~= nil then
    fail(('cut: scene "%s" makes a film, which has its own length; seconds are for pictures'):format(name), "cut", nil, place)
  end
  return false
end

-- Adds a scene to the film.
local function add(result, name, seconds)
  local index = #result.scenes + 1
  result.scenes[index] = name
  if seconds and not result.seconds then
    result.seconds = {}
    for i = 1, index - 1 do result.seconds[i] = false end
  end
  if result.seconds then result.seconds[index] = seconds end
end

-- Returns the reason why a value can't be the film's file name, or nil if it can be.
local function wrong_output(name)
  if type(name) ~= "string" then return "must be a file's name, not " .. a(name) end
  if name:find("[/\\]") then return "must be a file's name, not a path" end
  if not utf8.len(name) or name:find("%c") then return "must be valid UTF-8 without control characters" end
  if not name:lower():find("[^.].*%.mp4$") or name:sub(1, 1) == "." then return "must be a name that ends in .mp4" end
  if #name > MAX_OUTPUT_BYTES then return ("must have at most %d bytes, not %d"):format(MAX_OUTPUT_BYTES, #name) end
end

---Checks a board's `cut` field and fills in the defaults.
---@param value any
---@param scenes { name: string }[]      the board's scenes, in order
---@param names table<string, any>        the scenes by name
---@param yields table<string, omni.Modality>  what each scene makes
---@param fail fun(message: string, field: string, hint?: string, place?: string)  place: on the board (default: the field's place)
---@return omni.Cut|nil  nil for `cut = false`: no film
local function cut(value, scenes, names, yields, fail)
  if value == false then return nil end
  local given = value == nil and {} or value
  if type(given) ~= "table" or placeholder.is(given) then
    fail("field 'cut' must be a table, not " .. a(given), "cut", 'write cut = { "dawn", "storm", transition = "fade" }')
    given = {}
  end
  local result, last = { scenes = {} }, 0
  for key in pairs(given) do
    if math.type(key) == "integer" then
      last = math.max(last, key)
    elseif not known[key] then
      fail(("cut: unknown field '%s'; %s"):format(tostring(key), options.unknown(key, known)), "cut")
    end
  end
  for index = 1, last do
    local name, seconds, place = given[index], nil, "cut." .. index
    if type(name) == "table" and not placeholder.is(name) then
      local item = with_options(name, { seconds = true }, "cut", fail)
      name, seconds = item[1], item.seconds
    end
    if type(name) ~= "string" then
      fail(("cut: expected a scene's name at place %d, got %s"):format(index, a(name)), "cut", nil, place)
      if name == nil then break end -- the array of scenes' names in `cut` has a hole
    elseif not names[name] then
      fail("cut: " .. missing("scene", name, names), "cut", nil, place)
    else
      add(result, name, still_seconds(name, seconds, yields[name], place, fail))
    end
  end
  if last == 0 then -- by default, the film contains all clips, but no images or audio files
    for _, scene in ipairs(scenes) do
      if yields[scene.name] == "video" then add(result, scene.name, false) end
    end
    if #result.scenes == 0 then return nil end
  end
  if #result.scenes > MAX_CLIPS then
    fail(("cut: a film has at most %d clips, not %d"):format(MAX_CLIPS, #result.scenes), "cut")
  end
  local function fail_within(message, field, hint) fail("cut: " .. message, "cut." .. field, hint) end
  result.transition = transition(given.transition, fail_within)
  result.audio = audio(given.audio, fail_within)
  result.size, result.fps = size_of(given.size, fail_within), fps_of(given.fps, fail_within)
  result.output = given.output == nil and DEFAULT_OUTPUT or given.output
  local wrong = wrong_output(result.output)
  if wrong then fail_within("output: " .. wrong, "output") end
  return result
end

return { cut = cut, fields = known }
