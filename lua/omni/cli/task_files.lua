-- SPDX-License-Identifier: MIT
-- The files of a task, brought into a folder once it is over: whole ones, under the task's name, and none twice.
--
-- Besides what omni offers to everybody it asks the client's ledger which files are there already.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local media_type = require "omni.file.media_type"
local names = require "omni.storyboard.run.file_names"
local paths = require "omni.file.path"
local text = require "omni.cli.view.text"
local transfer = require "omni.cli.view.transfer"
local waiting = require "omni.cli.view.task_progress"

local EEXIST <const> = 17

-- What the ledger knows of a task's files: by their numbers, and the submit's own number. Nothing of a task that isn't in it.
local function known_files(client, task)
  if not client:existing_ledger() then return {} end
  local records, known = client:ledger(), {}
  local row = records and records:row("by_task", { service = client.service, task_id = task.id })
  for _, file in ipairs(row and records:ask("files", { submit = row.id }) or {}) do known[file.number] = file end
  return known, row and row.id
end

local function sha256(path)
  local found = digest.file(path)
  return found and found.sha256
end

-- STEM.mp4, STEM (2).mp4, ...: the first one that isn't taken, or that holds these bytes already.
local function place_for(stem, ending, digested)
  local n, path = 1, stem .. ending
  while core.stat(path) do
    if digested and sha256(path) == digested then return path, true end
    n = n + 1
    path = ("%s (%d)%s"):format(stem, n, ending)
  end
  return path, false
end

-- The ending that a URL has, ".mp4"; nil when it doesn't say what is there.
local function ending_of(url)
  local own = (url:match "^[^?#]*"):match "%.(%w+)$"
  return own and names.extension(url) == own:lower() and "." .. own:lower() or nil
end

-- The ending that a file's bytes call for.
local function ending_within(path)
  local file <close> = core.open(path)
  local kind = file and media_type.of(file:read(media_type.enough) or "", "")
  return kind and kind.endings[1] or ".bin"
end

-- Downloads one file to a path that is free, and shows how it goes.
local function download(called, task, index, path)
  local meter = transfer.meter(paths.name(path), core.now)
  local live <close> = called.line:live(function(columns) return meter:words(columns) end) -- luacheck: ignore 211
  local saved, problem = task:save(path, {
    index = index, any = called.given.any, aside = true, on_progress = function(bytes, total) meter:progress(bytes, total) end,
  })
  return saved, not saved and problem or nil
end

-- Downloads one file whose name can't be given beforehand: something is there under it, or the URL doesn't say what it is. What is
-- there already and equal stays the only one; what is there and differs stays, too, and the new one gets a number.
local function download_aside(called, task, index, stem, ending, submit)
  local aside = place_for(stem, ".new")
  local saved, problem = download(called, task, index, aside)
  if not saved then return nil, problem end
  ending = ending or ending_within(aside)
  local path, is_there, fine, why, number
  repeat -- until nothing has taken the name meanwhile
    path, is_there = place_for(stem, ending, sha256(aside))
    if is_there then fine, why = core.remove(aside) else fine, why, number = core.rename_new(aside, path) end
  until fine or number ~= EEXIST
  if not fine then return nil, err.new { code = "io", task_id = task.id, message = why } end
  if submit then called.client:ledger():note("move_file", { id = submit, number = index, path = core.real_path(path) or path }) end
  return path, nil, not is_there
end

local function fetch_one(called, task, index, stem, known, submit)
  local there = known and core.stat(known.path)
  if there and known.path:match "^(.*)/" == core.real_path(stem:match "^(.*)/") and sha256(known.path) == known.sha256 then
    return known.path, nil, false
  end
  local ending = ending_of(task.media[index])
  local path = ending and stem .. ending
  if not path or core.stat(path) then return download_aside(called, task, index, stem, ending, submit) end
  local saved, problem = download(called, task, index, path)
  return saved, problem, true
end

-- Brings the files of a task that is over into a folder, which is made; tells of each.
local function fetch(called, task, folder)
  if task.error then return nil, task.error end
  local fine, why = paths.make_directories(folder)
  if not fine then return nil, err.new { code = "io", task_id = task.id, message = why } end
  local stem = folder:gsub("([^/])/+$", "%1") .. "/" .. names.stems({ { name = task.id } }, { {} })[1]
  local known, submit = known_files(called.client, task)
  local files = {}
  for index = 1, #task.media do
    local path, problem, made = fetch_one(called, task, index, names.numbered(stem, index), known[index], submit)
    if not path then return nil, problem end
    path = folder == "." and path:gsub("^%./", "") or path
    files[index] = path
    called:event("fetched", { task_id = task.id, index = index, file = path, bytes = core.stat(path).size, made = made })
    called:print { text.path(path) }
    if not made then called:note(text.path(path) .. " was there already") end
  end
  return files
end

---Waits until a task is over, and fetches its files where --out was given.
---@param called omni.cli.Call
---@param task omni.Task
---@return integer exit code
local function follow(called, task)
  local given = called.given
  local fine = task:done() or waiting.wait(called, { task }, given.timeout)
  if not given.out then return fine and 0 or 1 end
  if not fine and not task.error then return 1 end -- that was told
  local files, problem = fetch(called, task, given.out)
  return files and 0 or called:fail(problem)
end

return { follow = follow }
