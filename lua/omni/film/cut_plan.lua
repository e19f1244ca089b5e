-- SPDX-License-Identifier: MIT
-- Plans a cut: decides whether to copy or encode the streams and which pieces to encode, and computes the film's length.

local graph = require "omni.film.filter_graph"
local shape = require "omni.film.common_format"
local transitions = require "omni.film.transitions"

local sounds_at_once <const> = 16 -- number of clips whose sound a single ffmpeg run decodes

---The plan's field `sound` specifies how to make the film's audio. If `sound` is "copy", the clips' audio is joined without encoding. If no
---clip has audio, `sound` is "silence". If `sound` is "group", each ffmpeg run decodes the audio of several clips. If `sound` is "piece",
---the film uses the audio of the encoded pieces.
---@class omni.film.Plan
---@field copied boolean              join the pictures without encoding
---@field sound "copy"|"silence"|"group"|"piece"
---@field shape omni.film.Shape
---@field fades integer[]             number of frames in the transition between clips i and i + 1
---@field pieces omni.film.Piece[]    pieces to encode, one for each clip
---@field groups { first: integer, last: integer, samples: integer[] }[]  clips whose sounds are decoded together
---@field tiny boolean                a piece is too short for B-frames
---@field lengths number[]            seconds from the start of each clip or piece to the start of the next
---@field offset number               seconds to add to the times of the joined files, so that the film begins at 0
---@field frames integer              number of frames in the film
---@field samples integer             number of samples in the film's sound
---@field seconds number              the film's length

local function encode(plan, found, seconds)
  local into, counts = plan.shape, {}
  for i, clip in ipairs(found) do counts[i] = shape.frames(clip.video, into) end
  plan.fades = transitions.lengths(counts, math.floor(seconds * into.num / into.den + 0.5))
  for i, clip in ipairs(found) do
    local skip, sample = plan.fades[i - 1] or 0, graph.sample(plan.frames, into)
    local frames = counts[i] - skip
    plan.frames = plan.frames + frames
    plan.pieces[i] = {
      clip = clip, skip = skip, frames = frames, sample = sample, samples = graph.sample(plan.frames, into) - sample,
      fade = plan.fades[i] or 0, next = found[i + 1],
    }
    plan.lengths[i] = frames * into.den / into.num
    plan.tiny = plan.tiny or frames < 4
  end
  plan.samples = graph.sample(plan.frames, into)
  plan.seconds = plan.frames * into.den / into.num
end

local function copy(plan, found)
  local group
  for i, clip in ipairs(found) do
    local video, other = clip.video, found[i + 1]
    plan.frames, plan.seconds = plan.frames + video.frames, plan.seconds + video.seconds
    -- A clip's video can begin later than the clip itself, and the next clip's video must begin where this clip's video ends.
    plan.lengths[i] = video.seconds + (other and video.start - other.video.start or 0)
    local samples = math.floor(plan.seconds * graph.rate + 0.5)
    if i % sounds_at_once == 1 then
      group = { first = i, samples = {} }
      plan.groups[#plan.groups + 1] = group
    end
    group.last = i
    group.samples[#group.samples + 1], plan.samples = samples - plan.samples, samples
  end
end

local function have_sound(found)
  for _, clip in ipairs(found) do
    if clip.audio then return true end
  end
  return false
end

---@param found omni.film.Probe[]  each with a picture
---@param transition? number       seconds
---@param track boolean            the film has an audio track
---@param encoded? boolean         encode the pictures even if they have the same format
---@param size? string             the film's size, "1280x720" (default: the most common one)
---@param fps? string              the film's frame rate, "24/1" (default: the most common one)
---@return omni.film.Plan
local function plan_of(found, transition, track, encoded, size, fps)
  local into = shape.common(found, size, fps)
  local plan = {
    copied = not encoded and (not transition or #found == 1) and shape.pictures_agree(found) and shape.is_in(found[1].video, into),
    offset = 0, shape = into,
    tiny = false, fades = {}, pieces = {}, groups = {}, lengths = {}, frames = 0, samples = 0, seconds = 0,
  }
  if not plan.copied then
    plan.sound = "piece"
    encode(plan, found, transition or 0)
  else
    copy(plan, found)
    plan.offset = -found[1].video.start
    plan.sound = not track and (shape.sounds_agree(found) and "copy" or not have_sound(found) and "silence") or "group"
  end
  return plan
end

return plan_of
