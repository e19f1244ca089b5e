-- SPDX-License-Identifier: MIT
-- `omni fetch ID --out DIR`: waits until a task has ended, and downloads its files. A downloaded file gets its final name only when it is
-- complete. A file that already exists isn't downloaded again. `omni submit --out` also uses this module. `omni fetch JOB` waits for a job,
-- and gets its files from the store. `omni fetch BOARD`, which fetches the files of a board's scenes, is implemented in command/run.lua.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local service_command = require "omni.cli.service_command"

local command = { summary = "Wait for a task, a board's scenes or a job, and get the files." }

function command.define(parser)
  parser:argument("id", "The id of a task, a board, or a job such as job:17. omni submits nothing."):argname("ID|BOARD|JOB")
  options.path(parser:option("--out", "The folder, created if it doesn't exist (default: the working directory; for a board as in"
    .. " `omni run`; for a job as job-17)."):argname("DIR"))
  parser:mutex(
    options.amount(parser:option("--timeout", "Wait at most S seconds for the task to end (default: 1800)."):argname("S")),
    parser:flag("--no-wait", "Fail if the task hasn't ended."))
  parser:flag("--any", "Accept files of any kind, including text and archives (default: only images, videos and sound).")
  options.add_store(parser)
  service_command.define(parser)
end

-- --- names of files

local EEXIST <const> = 17

local function sha256(path)
  local found = require("omni.file.digest").file(path)
  return found and found.sha256
end

-- Returns the first path among STEM.mp4, STEM (2).mp4, ... at which there is either no file or a file with this digest. The second result
-- is whether a file exists at the returned path.
local function free_path(stem, extension, digest)
  local core = require "omni.core"
  local n, path = 1, stem .. extension
  while core.stat(path) do
    if digest and sha256(path) == digest then return path, true end
    n = n + 1
    path = ("%s (%d)%s"):format(stem, n, extension)
  end
  return path, false
end

-- Returns a URL's file extension, such as ".mp4", or nil if the extension isn't that of a media file.
local function extension_of_url(url)
  local own = (url:match "^[^?#]*"):match "%.(%w+)$"
  return own and require("omni.storyboard.run.file_names").extension(url) == own:lower() and "." .. own:lower() or nil
end

-- Returns the file extension that matches a file's content.
local function extension_of_file(path)
  local media_type = require "omni.file.media_type"
  local file <close> = require("omni.core").open(path)
  local kind = file and media_type.of(file:read(media_type.enough) or "", "")
  return kind and kind.endings[1] or ".bin"
end

-- --- one file

-- Downloads a file to a path at which no file exists yet. If another program creates a file at this path during the download, renames that
-- file instead of replacing it.
local function download(called, task, index, path)
  local saved, problem = task:save(path, { index = index, any = called.given.any, aside = true })
  return saved, not saved and problem or nil
end

-- Downloads a file to a temporary path, and then renames it to its final name. Use this function if the final name is already taken, or if
-- the extension depends on the file's content. If a file with the final name and the same content exists, discards the download. If a file
-- with the final name has different content, adds a number to the downloaded file's name.
local function download_and_name(called, task, index, stem, extension, row)
  local core = require "omni.core"
  local temporary = free_path(stem, ".new")
  local saved, problem = download(called, task, index, temporary)
  if not saved then return nil, problem end
  extension = extension or extension_of_file(temporary)
  local path, exists, done, why, number
  repeat -- tries the next name if another program has created a file at `path`
    path, exists = free_path(stem, extension, sha256(temporary))
    if exists then done, why = core.remove(temporary) else done, why, number = core.rename_new(temporary, path) end
  until done or number ~= EEXIST
  if not done then return nil, require("omni.error").new { code = "io", task_id = task.id, message = why } end
  if row then called.client:ledger():note("move_file", { id = row, number = index, path = core.real_path(path) or path }) end
  return path, nil, not exists
end

-- Fetches one file. On success, returns the file's path, nil, and whether this call downloaded the file. On failure, returns nil and an
-- error.
local function fetch_one(called, task, index, stem, known, row)
  local core = require "omni.core"
  local exists = known and core.stat(known.path)
  if exists and known.path:match "^(.*)/" == core.real_path(stem:match "^(.*)/") and sha256(known.path) == known.sha256 then
    return known.path, nil, false
  end
  local extension = extension_of_url(task.media[index])
  local path = extension and stem .. extension
  if not path or core.stat(path) then return download_and_name(called, task, index, stem, extension, row) end
  local saved, problem = download(called, task, index, path)
  return saved, problem, true
end

-- --- all files of a task

-- Returns a table that maps the number of each of the task's files to the ledger's record of that file. The second result is the id of the
-- task's ledger row.
local function known_files(client, task)
  local ledger, known = client:existing_ledger(), {}
  local row = ledger and ledger:row("by_task", { service = client.service, task_id = task.id })
  for _, file in ipairs(row and ledger:ask("files", { submit = row.id }) or {}) do known[file.number] = file end
  return known, row and row.id
end

-- Downloads the files of a task that has ended, and prints their paths.
local function fetch(called, task, folder)
  if task.error then return nil, task.error end
  local names, text = require "omni.storyboard.run.file_names", require "omni.cli.view.text"
  local made, why = require("omni.file.path").make_directories(folder)
  if not made then return nil, require("omni.error").new { code = "io", task_id = task.id, message = why } end
  local stem = folder:gsub("([^/])/+$", "%1") .. "/" .. names.stems({ { name = task.id } }, { {} })[1]
  local known, row = known_files(called.client, task)
  for index = 1, #task.media do
    local path, problem, new = fetch_one(called, task, index, names.numbered(stem, index), known[index], row)
    if not path then return nil, problem end
    path = folder == "." and path:gsub("^%./", "") or path
    called:event("fetched", { task_id = task.id, index = index, file = path, bytes = require("omni.core").stat(path).size, made = new })
    called:print { text.path(path) }
    if not new then called:note(text.path(path) .. " existed already") end
  end
  return true
end

---Waits until a task has ended. With `--out`, also downloads the task's files.
---@param called omni.cli.Call
---@param task omni.Task
---@return integer exit code
function command.wait_and_fetch(called, task)
  local given = called.given
  local ended = task:done() or require("omni.cli.view.task_progress").wait(called, { task }, given.timeout)
  if not given.out then return ended and 0 or 1 end
  if not ended and not task.error then return 1 end -- `wait` has reported that
  local fetched, problem = fetch(called, task, given.out)
  return fetched and 0 or called:fail(problem)
end

-- --- the command

-- Returns the task that the command line names, or nil and an error that says why the task's files can't be fetched.
local function find(called)
  local given = called.given
  local task, problem = called.client:query(given.id)
  if task and given.no_wait and not task:done() then
    return nil, require("omni.error").new { code = "not_done", task_id = task.id, hint = "to wait for it, leave --no-wait out",
      message = ("the task hasn't ended (%s)"):format(require("omni.core").clean(task.status)) }
  end
  return task, problem
end

-- Shows a job's state each time it changes.
local function job_progress(called)
  local view, shown = require "omni.cli.view.job", nil
  return function(row)
    local line = view.line { job = ("job:%d"):format(row.id), state = row.state, scenes = row.scenes, finished = row.finished }
    if called.line:draws() then called.line:draw(line) elseif line ~= shown then called:note(line) end
    shown = line
  end
end

---Waits until a job has ended, and gets its files from the store.
---@param called omni.cli.Call
---@param name string  such as "job:17"
---@return integer exit code
function command.wait_for_job(called, name)
  local given, text = called.given, require "omni.cli.view.text"
  local job, problem = require("omni").fetch_job(name, {
    client = called.client, directory = given.out or name:gsub(":", "-"), timeout = given.no_wait and 0 or given.timeout,
    on_state = job_progress(called),
  })
  called.line:clear()
  if not job then return called:fail(problem) end
  called:event("job", require("omni.cli.view.job").event(job))
  for _, path in ipairs(job.files) do called:print { text.path(path) } end
  if job.state == "done" then return 0 end
  return called:fail(job.error or require("omni.error").new { code = "cancelled", message = ("%s was cancelled"):format(name) })
end

-- Returns whether the argument is a board rather than a task id.
local function is_board(argument)
  return argument:find "%.lua$" ~= nil or (require("omni.core").stat(argument) or {}).kind == "file"
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  if is_board(given.id) then
    for _, name in ipairs { "timeout", "no_wait", "any" } do
      if given[name] then return message.exit(2, ("--%s: only for a task, not for a board"):format((name:gsub("_", "-")))) end
    end
    given.board = given.id
    return require("omni.cli.command.run").fetch(given)
  end
  if given.id:find "^job:%d+$" then
    return service_command.run(given, function(called) return command.wait_for_job(called, given.id) end)
  end
  local task
  given.out = given.out or "."
  return service_command.run(given, function(called)
    local problem
    task, problem = find(called)
    return task and command.wait_and_fetch(called, task) or called:fail(problem)
  end, function(called)
    return require("omni.cli.view.task_progress").interrupted(called, { task or called.client:task(given.id) })
  end)
end

return command
