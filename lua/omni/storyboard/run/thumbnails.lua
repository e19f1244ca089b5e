-- SPDX-License-Identifier: MIT
-- Makes the report's pictures, one for each clip, in the clip's folder. Draws a clip's picture as soon as the clip has been fetched (at
-- most two pictures at the same time), and compares the clip with its scene's input.

local core = require "omni.core"
local files = require "omni.storyboard.run.scene_files"
local film = require "omni.film"
local mismatch = require "omni.storyboard.run.clip_mismatch"
local paths = require "omni.file.path"
local pool = require "omni.loop.pool"

local FILM_SIZE <const> = 1104 -- width, in pixels, of the film in the report

-- Warns if a clip differs from its scene's input. Doesn't compare a sandbox's clips, which are only substitutes.
local function warn(run, record)
  if run.client.is_sandbox or run.plan.board.scenes[record.index].yields ~= "video" then return end
  local probe = film.probe(record.file) -- the result is already cached, since `film.poster` has probed the clip
  local found = probe and mismatch.differences(run.plan.board.scenes[record.index].input, probe) or {}
  record.warnings = #found > 0 and found or nil
  for _, message in ipairs(run.on_event and found or {}) do
    run.on_event {
      event = "warning", scene = record.scene, index = record.index, task_id = record.task_id, file = record.file, message = message,
    }
  end
end

local function draw(run, record)
  local function poster() return film.poster(record.file, record.poster, nil, files.placer(run, "poster")) end
  local drawn, problem = poster()
  if not drawn and problem.damaged and run:fetch_again(record) then drawn = poster() end
  if drawn then warn(run, record) else record.poster = nil end
end

-- Returns whether a picture is missing, or older than its film or clip.
local function is_due(picture, path)
  local drawn, source = core.stat(picture), core.stat(path)
  return not (drawn and source and drawn.mtime >= source.mtime)
end

---Draws a scene's picture, unless the picture already exists. Doesn't wait.
---@param run omni.Run
---@param record omni.RunRecord  its file must exist
local function add(run, record)
  record.poster = record.file:gsub("%.%w+$", "") .. ".jpg"
  if is_due(record.poster, record.file) then run.thumbnails:add(draw, run, record) end
end

---Draws the film's picture, unless the picture already exists.
---@param run omni.Run
---@param path string  the film
---@return string|nil picture  nil: it can't be drawn
local function of_film(run, path)
  local picture = ("%s/%s.jpg"):format(run.directory.media, paths.name(path):gsub("%.%w+$", ""))
  if not is_due(picture, path) then return picture end
  return (film.poster(path, picture, FILM_SIZE, files.placer(run, "poster")))
end

---@return omni.Pool
local function new() return pool.new(2) end

return { add = add, new = new, of_film = of_film }
