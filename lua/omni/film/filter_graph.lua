-- SPDX-License-Identifier: MIT
-- Builds the filter graphs with which ffmpeg processes video and audio. A filter graph contains only numbers, and names from omni's own
-- tables.

local colour = require "omni.film.colour"
local core = require "omni.core"
local shape = require "omni.film.common_format"

local rate <const> = 48000 -- samples per second in every film

local graph = { rate = rate }

---Returns the number of the audio sample at which a frame begins. The audio of each piece ends at the sample at which the next piece's
---first frame begins, so the pieces' lengths add up exactly.
---@param frame integer
---@param into omni.film.Shape
---@return integer
function graph.sample(frame, into)
  return (frame * rate * into.den + into.num // 2) // into.num
end

-- Returns the filters that select a clip's frames from `first` up to `stop` and convert them to the film's shape. If the video is too short
-- by up to half a second, the filters repeat the last frame.
local function picture(stream, video, into, first, stop)
  local width, height = shape.fit(video, into)
  local steady, sdr = shape.is_steady(video, into), colour.to_sdr(video)
  local scale = ("scale=%d:%d:flags=bicubic+accurate_rnd"):format(width, height)
  return ("[%s]"):format(stream) .. shape.deinterlace(video) .. table.concat({
    steady and ("settb=%d/%d,setpts=N"):format(into.den, into.num) or "setpts=PTS-STARTPTS",
    ("fps=%d/%d:start_time=0"):format(into.num, into.den),
    ("tpad=stop=%d:stop_mode=clone"):format(math.max(3, into.num // (2 * into.den))),
    ("trim=start_frame=%d:end_frame=%d"):format(first, stop), "setpts=PTS-STARTPTS",
    (sdr == "" and "" or scale .. "," .. sdr)
      .. ("%s:in_color_matrix=%s:out_color_matrix=bt709:out_range=tv"):format(scale, colour.matrix(video)),
    "format=yuv420p", "setsar=1", ("pad=%d:%d:(ow-iw)/2:(oh-ih)/2"):format(into.width, into.height),
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709",
  }, ",")
end

-- Returns the filters that select `count` samples of an audio stream, beginning with sample `first`. If `audio` is nil, the filters produce
-- silence. `start` is an expression for ffmpeg's asetpts filter. The filters copy mono sound to both channels, since ffmpeg's own
-- conversion would make it 3 dB quieter than players do.
local function sound(stream, audio, start, first, count)
  if not audio then return ("anullsrc=r=%d:cl=stereo,aformat=sample_fmts=fltp,atrim=end_sample=%d,asetpts=N/SR/TB"):format(rate, count) end
  return ("[%s]asetpts=PTS-%s,%saresample=%d:async=1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo,apad,"
    .. "atrim=start_sample=%d:end_sample=%d,asetpts=N/SR/TB"):format(stream, start, audio.channels == 1 and "pan=stereo|c0=c0|c1=c0," or "",
    rate, first, first + count)
end

local function after(seconds) return core.format("%.6f/TB", seconds) end

local function stream_of(input, stream) return stream and ("%d:%d"):format(input, stream.index) end

---@class omni.film.Piece
---@field clip omni.film.Probe
---@field skip integer              number of the clip's frames that are in the previous transition
---@field frames integer            number of frames in this piece
---@field sample integer            its first sample in the film
---@field samples integer           its number of samples
---@field fade integer              number of frames in the transition at its end; 0 if there is none
---@field next? omni.film.Probe     the second clip of that transition

---Returns the filter graph for one piece: a clip in the film's shape, up to the end of its transition. The graph's inputs are ffmpeg's
---inputs 0 and 1; its outputs are named v and a.
---@param piece omni.film.Piece
---@param into omni.film.Shape
---@param transition string
---@return string
function graph.piece(piece, into, transition)
  local clip, other, fade = piece.clip, piece.next, piece.fade
  local first = picture(stream_of(0, clip.video), clip.video, into, piece.skip, piece.skip + piece.frames)
  local heard = sound(stream_of(0, clip.audio), clip.audio, after(clip.video.start), graph.sample(piece.skip, into), piece.samples)
  if fade == 0 then return ("%s[v];%s[a]"):format(first, heard) end
  local overlap, body = math.min(piece.samples, graph.sample(fade, into)), piece.frames - fade
  local cross = core.format("xfade=transition=%s:duration=%.6f:offset=0,format=yuv420p", transition, fade * into.den / into.num)
  return table.concat {
    picture(stream_of(1, other.video), other.video, into, 0, fade), "[q];",
    -- xfade works in 4:4:4, so it is applied only to the transition's frames
    body == 0 and ("%s[p];[p][q]%s[v];"):format(first, cross) or (
      "%s,split[b][p];[b]trim=end_frame=%d[b];[p]trim=start_frame=%d,setpts=PTS-STARTPTS[p];[p][q]%s[x];[b][x]concat=n=2[v];"):format(
      first, body, body, cross),
    heard, (",afade=t=out:ss=%d:ns=%d:curve=qsin[s];"):format(piece.samples - overlap, overlap),
    sound(stream_of(1, other.audio), other.audio, after(other.video.start), 0, overlap),
    (",afade=t=in:ss=0:ns=%d:curve=qsin,adelay=%dS:all=1[t];"):format(overlap, piece.samples - overlap),
    "[s][t]amix=inputs=2:duration=first:normalize=0[a]",
  }
end

---Returns the filter graph that joins the clips' audio; each clip's audio is made as long as its video. The graph's inputs are the clips
---that have audio, in order; its output is named a.
---@param clips omni.film.Probe[]
---@param samples integer[]  of each clip
---@return string
function graph.sounds(clips, samples)
  local chains, labels, input = {}, {}, 0
  for i, clip in ipairs(clips) do
    chains[i] = ("%s[s%d]"):format(sound(stream_of(input, clip.audio), clip.audio, after(clip.video.start), 0, samples[i]), i)
    labels[i] = ("[s%d]"):format(i)
    if clip.audio then input = input + 1 end
  end
  return ("%s;%sconcat=n=%d:v=0:a=1[a]"):format(table.concat(chains, ";"), table.concat(labels), #clips)
end

---Returns the filter graph for the film's sound: the clips' sound, mixed with the audio track. The audio track fades out at the film's end.
---The output is a.
---@param stream string   of the clips' sound, "0:1"
---@param samples integer of the whole film
---@param track? { stream: string, audio: omni.film.Audio, volume: number, clips: number }
---@return string
function graph.film_sound(stream, samples, track)
  local own = ("[%s]asetpts=N/SR/TB"):format(stream)
  if not track then return own .. "[a]" end
  local fade = math.min(rate, samples // 4)
  return core.format("%s,volume=%.4f[o];%s,volume=%.4f,afade=t=out:ss=%d:ns=%d[t];[o][t]amix=inputs=2:duration=first:normalize=0,"
    .. "alimiter=limit=0.97:level=0:latency=1,apad,atrim=end_sample=%d[a]", own, track.clips,
    sound(track.stream, track.audio, "STARTPTS", 0, samples), track.volume, samples - fade, fade, samples)
end

return graph
