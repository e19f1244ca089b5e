-- SPDX-License-Identifier: MIT
-- Replaces the placeholders in a scene's input (files, and clips and frames from other scenes) with URLs that the service can fetch.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local files = require "omni.storyboard.run.scene_files"
local film = require "omni.film"
local loop = require "omni.loop"
local uploads = require "omni.client.upload"

local media_days <const> = 12  -- number of days for which omni uses a clip's URL, which expires after about 14 days (docs/service.md)
local day <const> = 86400

-- Creates a URL only once for all scenes that need it. While one fiber creates the URL, other fibers wait for the result.
local function once(run, key, make, ...)
  local fiber = run.making[key]
  if not fiber then
    fiber = loop.spawn(make, ...)
    run.making[key] = fiber
  end
  local url, problem = fiber:join()
  if not url then run.making[key] = nil end -- after a failure, the next caller of `once` tries again
  return url, problem and err.copy(problem)
end

local function upload(run, path, sha256)
  local sent, problem = run.client:upload(path, { again = run.ignores_cache })
  if not sent then return nil, problem end
  if sent.sha256 ~= sha256 then
    return nil, err.new { code = "file_changed", message = path .. " changed after the run was planned; nothing was charged",
      hint = "run it again, so that the plan contains the new file" }
  end
  if sent.reused then run.cached_uploads[sent.url] = true end
  return sent.url
end

local function upload_once(run, path, sha256)
  return once(run, "upload " .. sha256, upload, run, path, sha256)
end

-- Returns the URL of a scene's clip at the service, or nil if the URL has expired or will expire soon.
local function clip_url(run, record)
  local task = record.task
  if not task then
    local row = record.planned.row
    if not row or not row.task_id or not run.client:serves(row) then return nil end
    if os.time() - (row.completed_at or row.intended_at) > media_days * day then return nil end
    task = run.client:task(row.task_id)
    task.ledger, task.row = run.ledger, row.id
    task = task:refresh()
  end
  return task and task.media and task.media[1]
end

local function clip(run, record)
  local url = clip_url(run, record)
  if url then return url end
  local sha256, problem = run.ledger:digest(record.file)
  if not sha256 then return nil, problem end
  return upload_once(run, record.file, sha256)
end

local function frame(run, record)
  local png = record.file:gsub("%.%w+$", "") .. ".last.png"
  local clip_info, info = core.stat(record.file), core.stat(png)
  if not info or not clip_info or info.mtime < clip_info.mtime then
    local place = files.placer(run, "frame")
    local made, problem = film.last_frame(record.file, png, place)
    if not made and problem.damaged and run:fetch_again(record) then made, problem = film.last_frame(record.file, png, place) end
    if not made then return nil, problem end
  end
  local sha256, problem = run.ledger:digest(png)
  if not sha256 then return nil, problem end
  return upload_once(run, png, sha256)
end

local makers = {
  file = function(run, value) return upload_once(run, value.path, run.plan.digests[value.path]) end,
  clip = function(run, value) return once(run, "clip " .. value.scene, clip, run, run.by_name[value.scene]) end,
  frame = function(run, value) return once(run, "frame " .. value.scene, frame, run, run.by_name[value.scene]) end,
}

---Returns a scene's input with URLs instead of placeholders. The scenes that this scene builds on must already have their files.
---@param run omni.Run
---@param scene omni.ResolvedScene
---@return table|nil input
---@return omni.Error|nil err
---@return boolean cached  whether the input contains an upload from an earlier run, which may have expired
local function prepare(run, scene)
  local cached = false
  local input, problem = placeholder.map(scene.input, function(value)
    local url, trouble = makers[value.kind](run, value)
    cached = cached or run.cached_uploads[url or 0] == true
    return url, trouble
  end)
  return input, problem, cached
end

---Makes the run upload every file again from now on, instead of using uploads from earlier runs.
---@param run omni.Run
---@param problem omni.Error  the error with which the service refused a submit that used such an upload
local function ignore_cache(run, problem)
  if run.ignores_cache then return end
  run.ignores_cache = true
  run.client:warn(uploads.GONE:format(problem.message))
  for key, fiber in pairs(run.making) do
    if fiber:done() then run.making[key] = nil end -- keeps the fibers of running uploads, so that an interrupt can cancel them
  end
end

return { ignore_cache = ignore_cache, prepare = prepare }
