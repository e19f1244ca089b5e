-- SPDX-License-Identifier: MIT
-- Implements task handles, with which a program can query a task (a generation job at the service), wait for it, and save its files.

local core = require "omni.core"
local downloads = require "omni.client.download"
local err = require "omni.error"
local json = require "omni.json"
local loop = require "omni.loop"
local media_type = require "omni.file.media_type"
local mp4_boxes = require "omni.file.mp4_boxes"
local options = require "omni.options"
local paths = require "omni.file.path"
local poller = require "omni.client.poller"
local queries = require "omni.client.query"
local rate_limiter = require "omni.http.rate_limiter"
local retry = require "omni.client.retry"
local task_rows = require "omni.ledger.task_rows"
local timeouts = require "omni.loop.timeout"

local refresh_options = { timeout = "timeout" }
local await_options = { timeout = "seconds", on_status = "function" }
local DEFAULT_TIMEOUT <const> = 1800 -- default timeout in seconds for awaiting a task

---@class omni.Task
---@field id string
---@field status? string         "pending", "running", "success", "failed", or another status of the service; in lower case
---@field model? string
---@field created_at? integer    Unix seconds
---@field completed_at? integer  Unix seconds
---@field duration? number       seconds that the generation took
---@field credits? number        what the task cost, once it is over
---@field reserved_credits? number  the credits that are reserved for the task until then
---@field package ledger? omni.Ledger  the ledger that has its row
---@field package row? integer    the number of that row
---@field package media_by? number  for a success without media: omni queries it until this time, in monotonic seconds
---@field media? string[]        http(s) URLs; they expire after about 14 days
---@field error? omni.Error      "generation_failed", "moderation_refused", or "broken_result" for a success without media
---@field raw? table             the `data` of the last response, decoded exactly; during `await`, only available in `on_status`
local Task_methods = {}
local Task_mt = { __name = "omni.task" }

-- Decodes `raw` only when a program reads it, so that waiting tasks hold strings, which take up less memory than tables.
function Task_mt.__index(self, name)
  local method = Task_methods[name]
  if method then return method end
  if name == "client" then -- the task itself has this field only until its key is known
    local key = rawget(self, "key")
    return key and key.client
  end
  if name ~= "raw" then return nil end
  local answer = rawget(self, "answer")
  if not answer then return nil end
  local whole = json.decode(answer) or core.decode(answer) -- the service might send bytes that aren't valid UTF-8
  rawset(self, "raw", whole and whole.data)
  return rawget(self, "raw")
end

---Returns "task ID (status)".
function Task_mt:__tostring()
  return ("task %s (%s)"):format(self.id, self.status or "not queried yet")
end

---Returns whether the task has ended: its status is "failed", or its status is "success" and the media URLs are available. If the service
---reports success before the media URLs are available, the task ends when the URLs become available, or after the client's `media_wait`
---seconds (with the error "broken_result").
---@return boolean
function Task_methods:done()
  return self.status == "failed" or self.status == "success" and (self.media ~= nil or self.error ~= nil)
end

local known_status = { pending = true, running = true, success = true, failed = true }

local function with_warning(self)
  if self.status and not known_status[self.status] then
    self.client:warn(("the service gave a task the unknown status '%s'; omni treats it as not final"):format(self.status))
  end
  return self
end

local function fail(self, failure)
  return err.from("task:await", nil, err.public(failure, self.id))
end

-- Queries a task now. `name` is the public function's name, for error messages.
local function refresh(self, seconds, name)
  self.answer = nil -- keeps the response's text, even if `Poller:join` has set `answer` to false
  local answered, failure = timeouts.call(seconds, name, retry.persist, self.client, queries.query, self)
  if answered then return with_warning(self) end
  failure.task_id = self.id
  return nil, failure
end

---Queries the task now. After a temporary failure, `refresh` retries the query for the client's `retry_for` seconds.
---@param opts? omni.CallOptions
---@return omni.Task|nil self
---@return omni.Error|nil
function Task_methods:refresh(opts)
  local seconds = opts and options.check(opts, refresh_options, "task:refresh").timeout
  return refresh(self, seconds, "task:refresh")
end

local function closed(self)
  return fail(self, { code = "closed", message = "the client was closed",
    hint = ("the task goes on at the service; await it with client:task(%q) of a new client"):format(self.id) })
end

local function deadline_error(self, timeout, failure)
  return nil, err.new {
    code = "timeout", call = "task:await", task_id = self.id, cause = failure and err.public(failure), task_status = self.status,
    message = core.format("the task wasn't done within %g seconds: %s%s", timeout,
      self.status and ("its last status was '%s'"):format(self.status) or "the service has given no status yet",
      failure and "; the last query failed: " .. failure.message or ""),
    hint = ("it goes on at the service; await it again with client:task(%q):await()"):format(self.id),
  }
end

-- Queries a task that another program created, until one of the client's keys has access to it.
local function find_key(self, finding)
  local client, attempt = self.client, 0
  repeat
    local found, failure = queries.query(self)
    if found then break end
    attempt = attempt + 1
    finding.failure = failure
    local wait = client:wait_before_retry(failure, attempt)
    if not wait then
      finding.useless = true
      break
    end
    if rate_limiter.is_pause(failure) then -- during a pause, a query waits in the rate limiter for up to `pause_for` seconds
      local left = client.all_keys:paused()
      wait = left > client.pause_for and left or 0
    end
    client:report_retry(failure, attempt, wait)
    loop.sleep(wait)
  until client.closed
end

-- Runs `find_key` until a deadline. Returns true once the task's key is known, or else the results that `await` should return.
local function await_key(self, deadline, timeout)
  local finding = {}
  local fiber <close> = loop.background(find_key, self, finding)
  local join <close> = loop.begin_join({ fiber, n = 1 }, "task:await")
  if not join:wait(deadline - core.now()) then return deadline_error(self, timeout, finding.failure) end
  fiber:join()
  if self.key then return true end
  if finding.useless then return fail(self, finding.failure) end
  return closed(self)
end

---Waits until the task has finished. Outside of a fiber, `await` runs the event loop while it waits. A network failure doesn't end the
---wait. A timeout ends only the wait: the task continues at the service.
---@param opts? omni.AwaitOptions
---@return omni.Task|nil self  the same task, whose status is "success" or "failed"; check its `error`
---@return omni.Error|nil      codes: timeout (with `task_status`, the last known status), unauthorized, not_found, ... (all with `task_id`)
function Task_methods:await(opts)
  if opts then options.check(opts, await_options, "task:await") end
  if not loop.in_fiber "task:await" then return loop.drive(self.await, self, opts) end
  local timeout, on_status = opts and opts.timeout or DEFAULT_TIMEOUT, opts and opts.on_status
  local deadline, reported = core.now() + timeout, nil
  if not self.key then
    local found, failure = await_key(self, deadline, timeout)
    if not found then return nil, failure end
  end
  while true do
    with_warning(self)
    if on_status and self.status and self.status ~= reported then
      reported = self.status
      on_status(self)
    end
    if self:done() then return self end
    if not self.key.transport.http then return closed(self) end -- doesn't use `self.client`, which would need more stack space
    local woken
    if core.now() < deadline then
      self.key.poller:join(self, on_status ~= nil)
      repeat -- `join` must not park, since each call on the stack of a waiting coroutine takes up memory
        woken = loop.park(deadline - core.now())
      until woken or deadline <= core.now() -- `park` also returns if an event loop callback that runs inside this fiber awaits the task
      if not woken then poller.leave(self) end
    end
    if not woken and not self:done() then
      -- a callback that was sent after the last query might have been lost
      local over = self.callback and poller.confirm(self)
      if not over then return deadline_error(self, timeout, self.key.poller:last_failure(self)) end
    end
    if woken and woken ~= true and woken.code ~= "closed" then return fail(self, woken) end
  end
end

---Waits until the task has ended, in the same way as `await`. If the generation failed, `result` returns nil and an error, as for any other
---failure.
---@param opts? omni.AwaitOptions
---@return omni.Task|nil self  the successful task, with its media
---@return omni.Error|nil      codes: those of `task:await`, and generation_failed, moderation_refused and broken_result
function Task_methods:result(opts)
  if opts then options.check(opts, await_options, "task:result") end
  local over, problem = self:await(opts)
  if over and not self.error then return self end
  return err.from("task:result", nil, problem or err.copy(self.error))
end

-- Returns an error if the file can't be saved, or nil.
local function why_not_saved(self, index)
  if self.error then return err.copy(self.error) end
  if not self:done() then
    local state = self.status == "success" and "its media don't exist yet" or self.status or "not queried yet"
    return err.new { code = "not_done", task_id = self.id, message = ("the task is not over (%s)"):format(state),
      hint = "task:await() first" }
  end
  if not self.media[index] then
    return err.new { code = "invalid_input", field = "index", task_id = self.id,
      message = ("the task has %d file(s), there is no number %d"):format(#self.media, index) }
  end
end

local save_options = {
  timeout = "timeout", index = "count", on_progress = "function", any = "boolean", aside = "boolean", store = "boolean",
}

-- Refuses a downloaded file that isn't media, such as a login page or an error message. Also refuses an incomplete film, which a server or
-- a proxy may send together with a length that is too short. omni downloads an incomplete film again, from its beginning.
local function accept_media(head, encoding, part)
  local what = media_type.download_trouble(head, encoding)
  if what then
    return {
      code = "not_media", retry = false, message = "the file is not a picture, film or sound: it is " .. what,
      hint = "fetch it again later; if the model makes other kinds of files, pass any = true",
    }
  end
  what = mp4_boxes.file_shortage(head, part)
  return what and {
    code = "network", retry = true, offset = 0, message = "the downloaded film is incomplete: " .. what,
    hint = "save it again later, or pass any = true to keep the incomplete file",
  }
end

local function accept_any(head)
  return head == "" and accept_media(head, nil, nil) or nil
end

-- Copies the file from the client's store, if the ledger contains the file's digest and the store has the file. Returns the file's size, or
-- nil.
local function from_store(self, index, path, opts)
  local store = self.client.store
  local known = store and task_rows.known_file(self.client, self, index)
  if not known then return nil end
  local bytes, problem = store:get(known.sha256, known.size, path, opts)
  if problem then self.client:warn(problem.message .. "; omni asks the service for the file") end
  return bytes
end

local function put_into_store(self, path)
  local _, problem = self.client.store:put(path)
  if problem then self.client:warn("a file is not in the store: " .. problem.message) end
end

-- Gets a file from the store or the service. Returns the file's size and whether the file came from the store.
local function get_file(self, index, path, opts)
  local problem = why_not_saved(self, index)
  if problem then return nil, problem end
  local url = self.media[index]
  local given = { on_progress = opts.on_progress, aside = opts.aside, accept = opts.any and accept_any or accept_media }
  local bytes = from_store(self, index, path, opts)
  if bytes then return bytes, true end
  bytes, problem = downloads.download(self.client, url, path, given)
  local stale = not bytes and (problem.code == "media_gone" or problem.code == "not_media")
  if stale and self:refresh() and self.media and self.media[index] ~= url then
    bytes, problem = downloads.download(self.client, self.media[index], path, given) -- tries again with the file's new URL
  end
  if bytes then return bytes, false end
  if problem.code == "media_gone" then problem.hint = "media URLs expire after about 14 days" end
  if problem.code == "closed" then
    problem.message = "the client was closed; the task succeeded and is paid for"
    problem.hint = ("save it with client:task(%q):result() of a new client"):format(self.id)
  end
  return nil, problem
end

local function save(self, path, opts)
  local index = opts.index or 1
  local bytes, stored = get_file(self, index, path, opts)
  if not bytes then return nil, stored end
  local recorded, problem = task_rows.record_file(self.client, self, index, path)
  if not recorded then return nil, problem end
  if not stored and self.client.store and opts.store ~= false then put_into_store(self, path) end
  return path, bytes
end

-- Puts a file of a task into the client's store, unless the store has it. Records the file in the ledger only once the store has the file.
local function store_file(self, index, folder)
  local extension = self.media[index]:match "^[^?#]*":match "%.%w+$" or ""
  local path = ("%s/%s-%d%s"):format(folder, paths.name(self.id), index, #extension < 6 and extension or "")
  local bytes, stored = get_file(self, index, path, {})
  if not bytes then return nil, stored end
  local fine, problem = stored, nil
  if not stored then fine, problem = self.client.store:put(path) end
  if fine then fine, problem = task_rows.record_file(self.client, self, index, path) end
  os.remove(path)
  return fine, problem
end

---Puts the files of a successful task into the client's store, so that every machine that shares the store has them. For omni's own
---modules.
---@param self omni.Task
---@return true|nil
---@return omni.Error|nil  as for task:save; also store_failed
local function store_files(self)
  local folder, why = core.make_temporary_directory "omni-files-"
  if not folder then return nil, err.new { code = "io", message = core.clean(why, 400) } end
  local fine, problem = true, nil
  for index in ipairs(self.media) do
    if fine then fine, problem = store_file(self, index, folder) end
  end
  os.remove(folder)
  return fine, problem
end

---Downloads a file of the task's result. The file gets its final name only once it is complete and on disk, and only if its first bytes are
---those of a picture, a video or an audio file. If the server sends an HTML page, XML, JSON, plain text, an archive or an empty file,
---`save` returns an error. If an MP4 or MOV file ends in the middle of a box or has no box "moov", `save` downloads the file again, for up
---to `retry_for` seconds.
---@param path string
---@param opts? omni.SaveOptions
---@return string|nil path
---@return integer|omni.Error bytes  codes: not_done, generation_failed, broken_result, media_gone, not_media, download_failed, io, ...
function Task_methods:save(path, opts)
  options.path(path, "task:save")
  opts = options.check(opts, save_options, "task:save")
  local saved, bytes = timeouts.call(opts.timeout, "task:save", save, self, path, opts)
  if saved then return saved, bytes end
  bytes.task_id = self.id
  if bytes.code == "timeout" then
    bytes.hint = ("the task is paid for: save it again; what was downloaded stays in %s.part until then"):format(core.clean(path, 200))
  end
  return nil, bytes
end

options.guard(Task_methods, Task_mt, "task")

---Creates a task handle. For omni's own modules.
---@param client omni.Client
---@param id string
---@param key? omni.Key     the key that created the task, if known
---@param kind? omni.TaskKind  for a task that was just submitted (poll_history.lua)
---@param ledger? omni.Ledger
---@param row? integer      the number of the task's row
---@return omni.Task
local function new(client, id, key, kind, ledger, row)
  -- Lists the fields that a waiting task has, so that Lua allocates the table at its final size: 8 fields, or 16 with those of a submit.
  local self = { id = id, key = key, since = core.now(), status = nil, model = nil, created_at = nil, answer = nil, waiter = nil }
  if kind or ledger then
    self = {
      id = id, key = key, since = self.since, submitted = kind, ledger = ledger, row = row, status = kind and "pending",
      model = kind and kind.model, created_at = nil, answer = nil, waiter = nil,
    }
  end
  setmetatable(self, Task_mt)
  if not key then rawset(self, "client", client) end
  return self
end

return { new = new, refresh = refresh, store_files = store_files }
