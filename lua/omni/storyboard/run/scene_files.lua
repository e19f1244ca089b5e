-- SPDX-License-Identifier: MIT
-- The files of a scene: fetched from the service, taken over from another folder, fetched again when they can't be decoded. A file
-- that has the name already, and isn't known, steps aside; it is never replaced.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local media_type = require "omni.file.media_type"
local names = require "omni.storyboard.run.file_names"
local paths = require "omni.file.path"

-- One of a task's files, under its name. A file that is there already with the right bytes isn't fetched again.
local function fetch_one(run, task, index, path, known)
  if known and core.stat(path) and run.ledger:digest(path) == known.sha256 then return path end
  return task:save(path, { index = index, aside = true })
end

---Brings all files of a task that is over into the run's folder.
---@param run omni.Run
---@param record omni.RunRecord
---@param task omni.Task
---@return string[]|nil files
---@return omni.Error|nil err  what task:save returns
local function fetch(run, record, task)
  local files, known = {}, {}
  for _, file in ipairs(run.ledger:ask("files", { submit = task.row }) or {}) do known[file.number] = file end
  for index, url in ipairs(task.media) do
    local path = ("%s/%s.%s"):format(run.directory.media, names.numbered(record.stem, index), names.extension(url))
    local saved, problem = fetch_one(run, task, index, path, known[index])
    if not saved then return nil, problem end
    files[index] = saved
  end
  return files
end

-- A file of another folder under its own name in this one. What has that name here comes back when this fails.
local function take_over(run, path, here)
  local older, problem
  if core.stat(here) then
    if run.ledger:digest(here) == run.ledger:digest(path) then return true end
    older, problem = paths.step_aside(here)
    if not older then return nil, problem end
  end
  local fine
  fine, problem = paths.duplicate(path, here)
  if not fine and older then paths.put_back(older, here) end
  return fine, problem
end

---Files of another board with the same scene, or of this one before it moved: here under their own names, too.
---@param run omni.Run
---@param record omni.RunRecord  whose plan says where its files are
---@return string[]|nil files
---@return omni.Error|nil err  code "io"
local function bring(run, record)
  local files = {}
  for index, path in ipairs(record.entry.files) do
    local here = run.directory.media .. "/" .. paths.name(path)
    if path ~= here then
      local fine, problem = take_over(run, path, here)
      if not fine then return nil, problem end
      run.ledger:note("move_file", { id = record.entry.row.id, number = index, path = here })
    end
    files[index] = here
  end
  return files
end

---Gives a file that a run has made its name. What is there is replaced only when a run has made it, too; else it steps aside.
---@param run omni.Run
---@param identity string  what it is, for the ledger
---@return fun(part: string, path: string): true|nil, string|nil
local function placer(run, identity)
  return function(part, path)
    local new, unread = digest.file(part)
    if not new then return nil, unread.message end
    local fine, problem = paths.place(part, path, function()
      local sha256 = run.ledger:digest(path)
      return sha256 ~= nil and (sha256 == new.sha256 or run.ledger:row("made_file", { sha256 = sha256 }) ~= nil)
    end)
    if not fine then return nil, problem.message end
    run.ledger:note("remember_film", { path = path, identity = identity, sha256 = new.sha256 })
    return true
  end
end

-- --- a clip that can't be decoded

-- A picture or a sound is no film, and never will be.
local function may_be_film(path)
  local file <close> = core.open(path)
  local kind = file and media_type.of(file:read(media_type.enough) or "", path)
  return not kind or kind.type:find "^video/" ~= nil
end

local function task_of(run, record)
  if record.task then return record.task end
  local row = record.entry.row
  if not row or not row.task_id then return nil end
  local task, problem = run.client:task(row.task_id)
  if not task then return nil, problem end
  task.ledger, task.row = run.ledger, row.id
  return task:refresh()
end

---Fetches a scene's clip once more, because it can't be decoded: the bytes that were recorded for it are wrong. Submits nothing. The
---ledger's digest of the clip is void until it is fetched; so the next run fetches it, when this one can't. The old clip steps aside.
---@param run omni.Run
---@param record omni.RunRecord  whose file is there
---@return true|nil
---@return omni.Error|nil err  nil as well: there is nothing to fetch
local function fetch_again(run, record)
  if record.entry.twin then return fetch_again(run, run.by_name[record.entry.twin]) end
  if not may_be_film(record.file) then return nil end
  local task, problem = task_of(run, record)
  if not task or not task.media then return nil, problem end
  run.ledger:ask("invalidate_file", { id = task.row, number = 1 })
  local before = run.ledger:digest(record.file)
  local saved
  saved, problem = task:save(record.file, { aside = true })
  if not saved then return nil, problem end
  if run.ledger:digest(record.file) ~= before then return true end
  return nil, err.new { code = "unreadable_clip", task_id = task.id, message = "the service sends the same bytes again" }
end

return { bring = bring, fetch = fetch, fetch_again = fetch_again, placer = placer }
