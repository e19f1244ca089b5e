-- SPDX-License-Identifier: MIT
-- Work on films, done by ffmpeg: what a clip is, single frames of it, and one film out of many clips.

local frames = require "omni.film.frames"

return {
  probe = require "omni.film.probe",
  last_frame = frames.last_frame,
  poster = frames.poster,
  cut = require "omni.film.cut",
  transitions = require "omni.film.transitions", ---@type table<string, true>  the names that there are
  recipe = 2, -- counted up when the same clips would give another film: part of what a film is made of
}
