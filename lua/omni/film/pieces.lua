-- SPDX-License-Identifier: MIT
-- How a film is put together: what is copied, what is encoded, which pieces that makes, and how long it will be.

local graph = require "omni.film.graph"
local shape = require "omni.film.shape"

local sounds_at_once <const> = 16 -- clips whose sounds are decoded by one ffmpeg

---@class omni.film.Plan
---@field copied boolean              pictures are joined as they are
---@field sound "copy"|"group"|"piece"  as they are; encoded from groups of clips; encoded from the pieces of the picture
---@field shape omni.film.Shape
---@field fades integer[]             frames of each transition, between clip i and i + 1
---@field pieces omni.film.Piece[]    what is encoded, clip by clip
---@field groups { first: integer, last: integer, samples: integer[] }[]  of clips whose sound is decoded together
---@field lengths number[]            seconds that each clip or piece takes in the film
---@field frames integer              of the film
---@field samples integer             of the film
---@field seconds number              of the film

-- At most half of the shorter neighbour, so that a clip's two transitions never meet.
local function fades_of(counts, wanted)
  local fades = {}
  for i = 1, #counts - 1 do fades[i] = math.min(wanted, counts[i] // 2, counts[i + 1] // 2) end
  return fades
end

local function encode(plan, found, seconds)
  local into, counts = plan.shape, {}
  for i, clip in ipairs(found) do counts[i] = shape.frames(clip.video, into) end
  plan.fades = fades_of(counts, math.floor(seconds * into.num / into.den + 0.5))
  for i, clip in ipairs(found) do
    local skip, sample = plan.fades[i - 1] or 0, graph.sample(plan.frames, into)
    local frames = counts[i] - skip
    plan.frames = plan.frames + frames
    plan.pieces[i] = {
      clip = clip, skip = skip, frames = frames, sample = sample, samples = graph.sample(plan.frames, into) - sample,
      fade = plan.fades[i] or 0, next = found[i + 1],
    }
    plan.lengths[i] = frames * into.den / into.num
  end
  plan.samples = graph.sample(plan.frames, into)
  plan.seconds = plan.frames * into.den / into.num
end

local function copy(plan, found)
  local group
  for i, clip in ipairs(found) do
    plan.frames, plan.seconds, plan.lengths[i] = plan.frames + clip.video.frames, plan.seconds + clip.video.seconds, clip.video.seconds
    local samples = math.floor(plan.seconds * graph.rate + 0.5)
    if i % sounds_at_once == 1 then
      group = { first = i, samples = {} }
      plan.groups[#plan.groups + 1] = group
    end
    group.last = i
    group.samples[#group.samples + 1], plan.samples = samples - plan.samples, samples
  end
end

---@param found omni.film.Probe[]  each with a picture
---@param transition? number       seconds
---@param track boolean            whether a track comes to the sound
---@return omni.film.Plan
local function plan_of(found, transition, track)
  local plan = {
    copied = (not transition or #found == 1) and shape.pictures_agree(found), shape = shape.common(found),
    fades = {}, pieces = {}, groups = {}, lengths = {}, frames = 0, samples = 0, seconds = 0,
  }
  if not plan.copied then
    plan.sound = "piece"
    encode(plan, found, transition or 0)
  else
    copy(plan, found)
    plan.sound = not track and shape.sounds_agree(found) and "copy" or "group"
  end
  return plan
end

return plan_of
