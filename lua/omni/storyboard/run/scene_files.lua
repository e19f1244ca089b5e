-- SPDX-License-Identifier: MIT
-- Puts a scene's files into the run's folder: gets them from the store or the service, copies them from another folder, and fetches them
-- again if they can't be decoded. If the folder already contains a file with the same name that no run has made, omni renames that file
-- instead of replacing it.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local media_type = require "omni.file.media_type"
local names = require "omni.storyboard.run.file_names"
local older_file = require "omni.file.older_file"
local paths = require "omni.file.path"

-- Returns a file's path in the run's folder. `source` is the file's URL or its earlier path.
local function path_of(run, record, index, source)
  local extension = names.extension(source, run.plan.board.scenes[record.index].yields)
  return ("%s/%s.%s"):format(run.directory.media, names.numbered(record.stem, index), extension)
end

-- Fetches one of a task's files, unless the run's folder already contains that file with the right contents.
local function fetch_one(run, task, index, path, known)
  if known and core.stat(path) and run.ledger:digest(path) == known.sha256 then return path end
  return task:save(path, { index = index, aside = true, store = false })
end

---Fetches all files of a finished task into the run's folder.
---@param run omni.Run
---@param record omni.RunRecord
---@param task omni.Task
---@return string[]|nil files
---@return omni.Error|nil err  the error of task:save
local function fetch(run, record, task)
  local files, known = {}, {}
  for _, file in ipairs(run.ledger:ask("files", { submit = task.row }) or {}) do known[file.number] = file end
  for index, url in ipairs(task.media) do
    local path = path_of(run, record, index, url)
    local saved, problem = fetch_one(run, task, index, path, known[index])
    if not saved then return nil, problem end
    files[index] = saved
  end
  return files
end

---Gets all files of a scene from the store, without asking the service.
---@param run omni.Run
---@param record omni.RunRecord  its scene is paid for
---@return string[]|nil files  nil: the store doesn't have them all
local function from_store(run, record)
  local store, row, files = run.client.store, record.planned.row, {}
  local known = run.ledger:ask("files", { submit = row.id }) or {}
  if #known < math.max(row.media or 1, 1) then return nil end
  for index, file in ipairs(known) do
    local path = path_of(run, record, index, file.path)
    if not (core.stat(path) and run.ledger:digest(path) == file.sha256) then
      local bytes, problem = store:get(file.sha256, file.size, path, { aside = true })
      if problem then run.client:warn(problem.message .. "; omni asks the service for the file") end
      if not bytes then return nil end
      if path ~= file.path then run.ledger:note("move_file", { id = row.id, number = file.number, path = path }) end
    end
    files[index] = path
  end
  return files
end

---Puts a scene's files into the store, except for files that the store already has. A failure causes only a warning, since the next run
---tries again to put the files into the store.
---@param run omni.Run
---@param files string[]
local function put_into_store(run, files)
  for _, path in ipairs(files) do
    local sha256, problem = run.ledger:digest(path)
    if sha256 then problem = select(2, run.client.store:put(path, sha256)) end
    if problem then
      run.client:warn(("some files are not in the store, and the next run puts them there: %s"):format(problem.message))
    end
  end
end

-- Copies a file from another folder to the run's folder. If copying fails, restores the file that already had this name in the run's
-- folder.
local function copy_file(run, path, here)
  local older, problem
  if core.stat(here) then
    if run.ledger:digest(here) == run.ledger:digest(path) then return true end
    older, problem = older_file.step_aside(here)
    if not older then return nil, problem end
  end
  local fine
  fine, problem = paths.duplicate(path, here)
  if not fine and older then older_file.put_back(older, here) end
  return fine, problem
end

---Copies a scene's files to the run's folder, either from the folder of another board with the same scene, or from an earlier folder of
---this board.
---@param run omni.Run
---@param record omni.RunRecord  `record.planned.files` lists the files
---@return string[]|nil files
---@return omni.Error|nil err  code "io"
local function bring(run, record)
  local files = {}
  for index, path in ipairs(record.planned.files) do
    local here = run.directory.media .. "/" .. paths.name(path)
    if path ~= here then
      local fine, problem = copy_file(run, path, here)
      if not fine then return nil, problem end
      run.ledger:note("move_file", { id = record.planned.row.id, number = index, path = here })
    end
    files[index] = here
  end
  return files
end

---Returns a function that renames a finished file to its final path. The returned function replaces an existing file at
---the final path only if a run has made that file, and otherwise renames it first.
---@param run omni.Run
---@param identity string  the file's identity, for the ledger
---@return fun(part: string, path: string): true|nil, string|nil
local function placer(run, identity)
  return function(part, path)
    local new, unread = digest.file(part, true)
    if not new then return nil, unread.message end
    if not new.synced then return nil, "its bytes can't be written to the disk" end
    local fine, problem = older_file.place(part, path, function()
      local sha256 = run.ledger:digest(path)
      return sha256 ~= nil and (sha256 == new.sha256 or run.ledger:row("made_file", { sha256 = sha256 }) ~= nil)
    end)
    if not fine then return nil, problem.message end
    run.ledger:note("remember_film", { path = path, identity = identity, sha256 = new.sha256 })
    return true
  end
end

-- --- a clip that can't be decoded

-- Returns whether a file could be a video, because it isn't known to be an image or an audio file.
local function may_be_video(path)
  local file <close> = core.open(path)
  local kind = file and media_type.of(file:read(media_type.enough) or "", path)
  return not kind or kind.type:find "^video/" ~= nil
end

local function task_of(run, record)
  if record.task then return record.task end
  local row = record.planned.row
  if not row or not row.task_id then return nil end
  local task, problem = run.client:task(row.task_id)
  if not task then return nil, problem end
  task.ledger, task.row = run.ledger, row.id
  return task:refresh()
end

---Fetches a scene's clip again, because the clip can't be decoded. Submits nothing. First invalidates the clip's digest in the ledger, so
---that the next run fetches the clip if this run can't fetch it. Keeps the old clip under another name.
---@param run omni.Run
---@param record omni.RunRecord  its file must exist
---@return true|nil
---@return omni.Error|nil err  nil if there is nothing to fetch
local function fetch_again(run, record)
  if record.planned.duplicate_of then return fetch_again(run, run.by_name[record.planned.duplicate_of]) end
  if not may_be_video(record.file) then return nil end
  local task, problem = task_of(run, record)
  if not task or not task.media then return nil, problem end
  run.ledger:ask("invalidate_file", { id = task.row, number = 1 })
  local before = run.ledger:digest(record.file)
  local saved
  saved, problem = task:save(record.file, { aside = true })
  if not saved then return nil, problem end
  if run.ledger:digest(record.file) ~= before then return true end
  return nil, err.new { code = "unreadable_clip", task_id = task.id, message = "the service sent the same bytes again" }
end

return { bring = bring, fetch = fetch, fetch_again = fetch_again, from_store = from_store, placer = placer,
  put_into_store = put_into_store }
