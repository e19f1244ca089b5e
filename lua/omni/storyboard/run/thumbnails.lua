-- SPDX-License-Identifier: MIT
-- Pictures for the report, one beside each clip: drawn as soon as the clip is there, two at a time, while others are waited for. What
-- is found out about the clip on the way is compared with what was asked for.

local core = require "omni.core"
local files = require "omni.storyboard.run.scene_files"
local film = require "omni.film"
local loop = require "omni.loop"
local mismatch = require "omni.storyboard.run.clip_mismatch"

local at_once <const> = 2

-- The clip was looked at for its picture: reports in what it isn't what was asked for. A sandbox's clips stand for others.
local function warn(run, record, probe)
  if run.client.play then return end
  local found = mismatch.differences(run.plan.board.scenes[record.index].input, probe)
  record.warnings = #found > 0 and found or nil
  for _, message in ipairs(run.on_event and found or {}) do
    run.on_event {
      event = "warning", scene = record.scene, index = record.index, task_id = record.task_id, file = record.file, message = message,
    }
  end
end

local function work(run)
  local posters = run.posters
  while true do
    local record = table.remove(posters.queue, 1)
    if not record then break end
    local function draw() return film.poster(record.file, record.poster, nil, files.placer(run, "poster")) end
    local drawn, found = draw()
    if not drawn and found.damaged and run:fetch_again(record) then drawn, found = draw() end
    if drawn and found then warn(run, record, found) end
    if not drawn then record.poster = nil end
  end
  posters.working = posters.working - 1
end

---Has a scene's picture drawn, unless it is there already.
---@param run omni.Run
---@param record omni.RunRecord  whose file is there
local function want(run, record)
  local posters = run.posters
  record.poster = record.file:gsub("%.%w+$", "") .. ".jpg"
  local clip, poster = core.stat(record.file), core.stat(record.poster)
  if poster and clip and poster.mtime >= clip.mtime then return end
  posters.queue[#posters.queue + 1] = record
  if posters.working < at_once then
    posters.working = posters.working + 1
    posters.fibers[#posters.fibers + 1] = loop.spawn(work, run)
  end
end

---Waits until all that were wanted are drawn.
---@param run omni.Run
local function settle(run)
  for _, fiber in ipairs(run.posters.fibers) do fiber:join() end
end

---Draws no more.
---@param run omni.Run
local function stop(run)
  run.posters.queue = {}
  for _, fiber in ipairs(run.posters.fibers) do
    if not fiber:done() then fiber:cancel() end
  end
end

local function new() return { queue = {}, fibers = {}, working = 0 } end

return { new = new, settle = settle, stop = stop, want = want }
