-- SPDX-License-Identifier: MIT
-- Cuts one film from many clips. Encodes each clip as one piece, so that memory use and the number of open files don't depend on the number
-- of clips. After encoding, joins the pieces packet by packet. If all clips have the same format, joins the clips without encoding. Joins
-- the clips' sound as PCM, and encodes the result once.

local core = require "omni.core"
local err = require "omni.error"
local graph = require "omni.film.filter_graph"
local loop = require "omni.loop"
local options = require "omni.options"
local concat_folder = require "omni.film.concat_folder"
local plan_of = require "omni.film.cut_plan"
local pool = require "omni.loop.pool"
local probe = require "omni.film.probe"
local process = require "omni.process"
local progress = require "omni.film.progress"
local shape = require "omni.film.common_format"
local tool = require "omni.film.ffmpeg"
local transitions = require "omni.film.transitions"

local MAX_CLIPS <const> = 10000
local probes_at_once <const>, encoders_at_once <const> = 4, 2
local sound_weight <const>, join_weight <const> = 0.02, 0.1 -- work per second of sound or joined film, relative to encoding video

-- --- errors

local no_filter <const> = "install an ffmpeg with all filters (zscale and tonemap convert HDR to SDR); the clips are kept"

local function cut_failed(film, why, hint)
  return err.new { code = "cut_failed", message = ("can't cut the film %s: %s"):format(core.clean(film, 300), why), hint = hint }
end

local function about_scene(clip, failure)
  if failure.code ~= "unreadable_clip" or not clip.name then return failure end
  failure.message = ("scene '%s': %s"):format(core.clean(clip.name, 120), failure.message)
  return failure
end

-- --- finding the clip that caused a failure

-- Reads all packets of a clip, and also decodes them if `decode` is true. Returns nil and an error if the clip can't be read.
local function fault(path, decode)
  local result, failure = tool.run("ffmpeg", tool.words(tool.input(path), "-map", "0:v", "-map", "0:a?", decode and {} or { "-c", "copy" },
    "-f", "null", "-"))
  if not result then return nil, failure end
  if not process.succeeded(result, true) or result.stderr ~= "" then
    return nil, tool.unreadable(path, tool.said(result.stderr, path), tool.is_damage(result))
  end
  return true
end

-- Returns the error for a failed ffmpeg run. If one of the clips from `first` to `last` can't be read, the error is about that clip.
-- If all clips from `first` to `last` can be read, the error contains ffmpeg's message.
local function blame(job, first, last, said, decode)
  if said:find("No space left", 1, true) then return cut_failed(job.output, said, "free disk space and run again; the clips are kept") end
  local lacking, name = said:match "this ffmpeg lacks the filter [%w_]+", job.clips[first].name
  if lacking then
    return cut_failed(job.output, (name and ("scene '%s': "):format(core.clean(name, 120)) or "") .. lacking, no_filter)
  end
  for i = first, math.min(last, #job.clips) do
    local fine, failure = fault(job.clips[i].path, decode)
    if not fine then return about_scene(job.clips[i], failure) end
  end
  return cut_failed(job.output, said)
end

-- --- the steps

local function probe_clips(job)
  local seen = {} -- probe results by path, since a film can contain the same clip several times
  return pool.each(#job.clips, probes_at_once, function(i)
    local clip = job.clips[i]
    local found, failure = seen[clip.path], nil
    if not found then found, failure = probe(clip.path) end
    if found and not found.video then found, failure = nil, tool.unreadable(clip.path, "it has no picture") end
    if not found then return nil, about_scene(clip, failure) end
    seen[clip.path], job.found[i] = found, found
    return true
  end)
end

-- The options that make ffmpeg write identical files for identical clips.
local exact = { "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1" }

local function encode_piece(job, i)
  local piece, clips = job.plan.pieces[i], job.clips
  local into, seconds = job.plan.shape, job.plan.lengths[i]
  local fine, failure, said = progress.ffmpeg(tool.words(
    tool.input(clips[i].path), piece.fade > 0 and tool.input(clips[i + 1].path) or {},
    "-filter_complex", graph.piece(piece, into, job.transition and job.transition.name), "-map", "[v]", "-map", "[a]",
    "-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "fast", "-crf", "18", "-profile:v", "high",
    job.plan.tiny and { "-bf", "0" } or {}, "-c:a", "pcm_f32le", exact,
    "-video_track_timescale", job.timescale, "-f", "mov", "file:" .. job.work:piece(i)), seconds,
    job.meter(seconds))
  if failure then return nil, failure end
  if fine and fine.frames == piece.frames then return true end
  return nil, blame(job, i, piece.fade > 0 and i + 1 or i, said or "frames are missing", true)
end

local function decode_sounds(job, i)
  local group, inputs, found, seconds = job.plan.groups[i], {}, {}, 0
  for n = group.first, group.last do
    local clip = job.found[n]
    found[#found + 1], seconds = clip, seconds + clip.video.seconds
    if clip.audio then inputs = tool.words(inputs, tool.input(job.clips[n].path)) end
  end
  local fine, failure, said = progress.ffmpeg(tool.words(inputs, "-filter_complex", graph.sounds(found, group.samples), "-map", "[a]",
    "-c:a", "pcm_f32le", exact, "-f", "mov", "file:" .. job.work:piece(i)), seconds, job.meter(seconds * sound_weight))
  return fine, failure or not fine and blame(job, group.first, group.last, said) or nil
end

-- Writes the lists of files to join: one for the video and, if the sound comes from separate files, another one for the sound.
local function lists(job)
  local plan, pictures, sounds = job.plan, {}, {}
  for i, clip in ipairs(job.clips) do pictures[i] = plan.copied and clip.path or job.work:piece(i) end
  for i in ipairs(plan.groups) do sounds[i] = job.work:piece(i) end
  local picture, problem = job.work:list("picture", pictures, plan.lengths)
  if not picture then return nil, problem end
  if plan.sound == "copy" or plan.sound == "piece" then return tool.list(picture, plan.offset) end
  local sound
  if plan.sound == "silence" then
    sound, problem = job.work:silence(plan.seconds)
    return sound and tool.words(tool.list(picture, plan.offset), tool.aac(sound)), problem
  end
  sound, problem = job.work:list("sound", sounds)
  if not sound then return nil, problem end
  return tool.words(tool.list(picture, plan.offset), tool.list(sound))
end

local function is_sound_copied(plan) return plan.sound == "copy" or plan.sound == "silence" end

local function join_cost(plan) return plan.seconds * (is_sound_copied(plan) and sound_weight or join_weight) end

local function join(job)
  local plan, track = job.plan, job.track
  local inputs, problem = lists(job)
  if not inputs then return nil, cut_failed(job.output, core.clean(problem, 300)) end
  local first = job.found[1]
  local sound = { "-map", plan.sound == "silence" and "1:0" or "0:" .. (first.audio and first.audio.index or 0), "-c:a", "copy" }
  if not is_sound_copied(plan) then
    local from = plan.sound == "group" and 1 or 0
    local heard = track and track.found.audio
    local under = track and { stream = ("%d:%d"):format(from + 1, heard.index), audio = heard, volume = track.volume, clips = track.clips }
    sound = { "-filter_complex", graph.film_sound(from == 1 and "1:0" or "0:1", plan.samples, under), "-map", "[a]",
      "-c:a", "aac", "-b:a", "192k", "-ar", tostring(graph.rate) }
  end
  local fine, failure, said = progress.ffmpeg(tool.words(
    inputs, track and tool.input(track.path) or {}, "-map", "0:" .. (plan.copied and first.video.index or 0), "-c:v", "copy",
    "-tag:v", plan.copied and shape.tag(first.video) or "avc1", sound, exact,
    "-video_track_timescale", job.timescale, "-movie_timescale", tostring(graph.rate), "-movflags", "+faststart",
    "-f", "mp4", "file:" .. job.work.film), plan.seconds, job.meter(join_cost(plan)))
  if failure then return nil, failure end
  local film = fine and probe(job.work.film)
  if film and film.video and film.audio and film.video.frames == plan.frames
    and math.abs(film.video.seconds - plan.seconds) < 0.75 * plan.seconds / plan.frames
    and math.abs(film.audio.seconds - plan.seconds) < 0.2 then
    return film
  end
  return nil, blame(job, 1, #job.clips, said or "packets are missing")
end

local function track_of(given)
  if not given then return nil end
  local found, failure = probe(given.path)
  if found and not found.audio then found, failure = nil, tool.unreadable(given.path, "it has no sound") end
  if not found then
    failure.message = failure.message:gsub("^can't read the clip ", "can't read the audio track ")
    return nil, failure
  end
  return { path = given.path, volume = given.volume or 1, clips = given.clips or 1, found = found }
end

local function total_cost(plan)
  return join_cost(plan) + plan.seconds * (plan.sound == "piece" and 1 or plan.sound == "group" and sound_weight or 0)
end

local function seconds_of(plan)
  local all = {}
  for i, frames in ipairs(plan.fades) do all[i] = frames * plan.shape.den / plan.shape.num end
  return all
end

-- Makes the film from probed clips, in the folder FILM.part.
local function produce(job, encoded)
  local transition = job.transition
  local plan = plan_of(job.found, transition and (transition.seconds or 0.5), job.track ~= nil, encoded, job.size, job.fps)
  local base, num = job.found[1].video.time_base:match "^1/(%d+)$", plan.shape.num
  job.plan, job.timescale = plan, plan.copied and base or tostring(num * math.max(1, math.ceil(10000 / num)))
  job.meter = progress.meter(total_cost(plan), job.on_progress)
  local fine, failure = true, nil
  if not plan.copied then
    local large = plan.shape.width * plan.shape.height > 1920 * 1088 -- an encoder needs 1.7 GB of memory for 4K video
    fine, failure = pool.each(#plan.pieces, large and 1 or encoders_at_once, function(i) return encode_piece(job, i) end)
  elseif plan.sound == "group" then
    fine, failure = pool.each(#plan.groups, encoders_at_once, function(i) return decode_sounds(job, i) end)
  end
  if not fine then return nil, failure end
  return join(job)
end

local function make(given)
  local there = core.stat(given.output)
  if there and there.kind ~= "file" then return nil, cut_failed(given.output, "the path isn't a regular file") end
  local work <close>, problem = concat_folder.open(given.output, #given.clips, MAX_CLIPS)
  if not work then return nil, cut_failed(given.output, core.clean(problem, 300)) end
  local job = { clips = given.clips, output = given.output, transition = given.transition, size = given.size, fps = given.fps,
    work = work, found = {},
    on_progress = progress.rising(given.on_progress) }
  local fine, failure = probe_clips(job)
  if not fine then return nil, failure end
  job.track, failure = track_of(given.audio)
  if failure then return nil, failure end
  local film
  film, failure = produce(job)
  -- Encodes the clips' video if joining without encoding has failed, since clips that seem to have the same format can still result in an
  -- incomplete film.
  if not film and job.plan.copied and failure.code == "cut_failed" and not failure.hint then
    work:clear()
    film, failure = produce(job, true)
  end
  if not film then return nil, failure end
  local published, message = tool.publish(work.film, given.output, given.place)
  if not published then return nil, cut_failed(given.output, message) end
  local plan = job.plan
  return {
    path = given.output, seconds = film.seconds, copied = plan.copied, transition_seconds = given.transition and seconds_of(plan) or nil,
  }
end

-- --- the arguments

local known = { clips = "table", transition = "table", audio = "table", size = "string", fps = "string", output = "path",
  place = "function", on_progress = "function" }

local function number(value, most) return value == nil or type(value) == "number" and value >= 0 and value <= most end

local function check(given)
  given = options.check(given, known, "film.cut", 3)
  local function fail(text) error("film.cut: " .. text, 4) end
  if not given.output or given.output == "" then fail "option 'output' is missing" end
  local clips, transition, audio = given.clips or {}, given.transition, given.audio
  if #clips == 0 or #clips > MAX_CLIPS then fail(("option 'clips' must have 1 to %d clips, not %d"):format(MAX_CLIPS, #clips)) end
  for i, clip in ipairs(clips) do
    if type(clip) ~= "table" or not options.is_path(clip.path) then fail(("clip %d has no path"):format(i)) end
  end
  if transition and not transitions.names[transition.name] then
    fail(("there is no transition '%s'; %s"):format(tostring(transition.name), options.unknown(transition.name, transitions.names)))
  end
  if transition and not number(transition.seconds, 60) then fail "a transition's seconds must be 0 to 60" end
  if given.size and not given.size:find "^%d+x%d+$" then fail "option 'size' must be like 1280x720" end
  if given.fps and not given.fps:find "^[1-9]%d*/[1-9]%d*$" then fail "option 'fps' must be like 24/1" end
  if audio and not options.is_path(audio.path) then fail "the audio track has no path" end
  if audio and not (number(audio.volume, 10) and number(audio.clips, 10)) then fail "volumes must be 0 to 10" end
  return given
end

---@class omni.film.ClipToCut
---@field name? string                   the scene's name, for error messages
---@field path string

---@class omni.film.CutOptions
---@field clips omni.film.ClipToCut[]
---@field transition? { name: string, seconds?: number }  `seconds` is 0.5 by default
---@field audio? { path: string, volume?: number, clips?: number }  track for the whole film, with both volumes (1 by default)
---@field size? string                   the film's size, such as "1280x720" (default: the most common one, weighted by the clips' lengths)
---@field fps? string                    the film's frame rate, such as "24/1" (default: as for `size`)
---@field output string                  the film's path
---@field on_progress? fun(fraction: number)
---@field place? fun(part: string, path: string): true|nil, string|nil  renames the film, instead of replacing the file at `output`

---@class omni.film.Cut
---@field path string
---@field seconds number
---@field copied boolean                 whether the pictures were joined without re-encoding
---@field transition_seconds? number[]   length of each transition: at most half of the shorter of its two clips

---Cuts one film from the clips, in the given order. The film is an MP4 file with one video and one audio stream (silence if the clips have
---no sound). If all clips have the same format, joins them without re-encoding their video. If the formats differ, scales and pads every
---clip to the most common shape, and encodes it in SDR (BT.709), 4:2:0, progressive. A clip with the film's frame rate keeps all its
---frames. The file `output` keeps its old content until the new film is complete; unfinished files are in the folder OUTPUT.part.
---@param given omni.film.CutOptions
---@return omni.film.Cut|nil
---@return omni.Error|nil  "unreadable_clip" names the scene and the file; "cut_failed"; "process_failed" if there is no ffmpeg
local function cut(given)
  given = check(given)
  loop.in_fiber "film.cut"
  return loop.drive(make, given)
end

return cut
