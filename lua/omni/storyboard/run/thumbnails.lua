-- SPDX-License-Identifier: MIT
-- The pictures of the report, one beside each clip. Draws each as soon as its clip is there, two at a time, and compares the clip with
-- what the scene asked for.

local core = require "omni.core"
local files = require "omni.storyboard.run.scene_files"
local film = require "omni.film"
local mismatch = require "omni.storyboard.run.clip_mismatch"
local pool = require "omni.loop.pool"

-- Warns of the differences between a clip and what its scene asked for. The clips of a sandbox are only stand-ins.
local function warn(run, record, probe)
  if run.client.is_sandbox then return end
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

---Draws a scene's picture, unless it is there already. Doesn't wait.
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
