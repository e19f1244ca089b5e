-- SPDX-License-Identifier: MIT
-- Makes films with ffmpeg: probes clips, extracts frames, and cuts one film from many clips.

local frames = require "omni.film.frames"

return {
  probe = require "omni.film.probe",
  last_frame = frames.last_frame,
  poster = frames.poster,
  still = require "omni.film.still",
  cut = require "omni.film.cut",
  transitions = require("omni.film.transitions").names, ---@type table<string, true>  names
  recipe = 3, -- part of a film's identity; increment it when the same clips would result in a different film
}
