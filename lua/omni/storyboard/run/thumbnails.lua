-- SPDX-License-Identifier: MIT
-- Makes the pictures of the report, one beside each clip. Draws a picture as soon as the clip is here, two at a time, and compares the clip
-- with its scene's input.

local core = require "omni.core"
local files = require "omni.storyboard.run.scene_files"
local film = require "omni.film"
local mismatch = require "omni.storyboard.run.clip_mismatch"
local pool = require "omni.loop.pool"

-- Warns if a clip differs from its scene's input. Doesn't compare clips of a sandbox, which are only stand-ins.
local function warn(run, record, probe)
  if run.client.is_sandbox or run.plan.board.scenes[record.index].yields ~= "video" then return end
  local found = mismatch.differences(run.plan.board.scenes[record.index].input, probe)
  record.warnings = #found > 0 and found or nil
  for _, message in ipairs(run.on_event and found or {}) do
    run.on_event {
      event = "warning", scene = record.scene, index = record.index, task_id = record.task_id, file = record.file, message = message,
    }
  end
end

local function draw(run, record)
  local function poster() return film.poster(record.file, record.poster, nil, files.placer(run, "poster")) end
  local drawn, found = poster()
  if not drawn and found.damaged and run:fetch_again(record) then drawn, found = poster() end
  if drawn and found then warn(run, record, found) end
  if not drawn then record.poster = nil end
end

---Draws a scene's picture, unless the picture already exists. Doesn't wait.
---@param run omni.Run
---@param record omni.RunRecord  its file is there
local function add(run, record)
  record.poster = record.file:gsub("%.%w+$", "") .. ".jpg"
  local clip, poster = core.stat(record.file), core.stat(record.poster)
  if poster and clip and poster.mtime >= clip.mtime then return end
  run.thumbnails:add(draw, run, record)
end

---@return omni.Pool
local function new() return pool.new(2) end

return { add = add, new = new }
