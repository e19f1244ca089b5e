-- SPDX-License-Identifier: MIT
-- A task: one generation job at the service. A handle that can be refreshed, awaited and saved.

local calling = require "omni.client.retry"
local core = require "omni.core"
local entry = require "omni.client.submit_record"
local err = require "omni.error"
local exchange = require "omni.http.exchange"
local governor = require "omni.http.rate_limiter"
local loop = require "omni.loop"
local media_type = require "omni.file.media_type"
local options = require "omni.options"
local watch = require "omni.client.poller"

local await_options = { timeout = "seconds", on_status = "function" }
local default_timeout <const> = 1800 -- seconds; tasks take from half a minute to many minutes

---@class omni.Task
---@field id string
---@field status? string         "pending", "running", "success", "failed", or a word of the service's that we don't know; lower case
---@field model? string
---@field created_at? integer    Unix seconds
---@field completed_at? integer  Unix seconds
---@field duration? number       seconds that the generation took
---@field credits? number        what it cost, once it is over
---@field reserved_credits? number  what is set aside for it until then
---@field package ledger? omni.Records    the ledger that has its row
---@field package row? integer            the row's number there
---@field package media_by? number        of a success without media: until when (monotonic seconds) it is asked again
---@field media? string[]        http(s) URLs; they expire after about 14 days
---@field error? omni.Error      "generation_failed", "moderation_refused", or "broken_result" for a success without media
---@field raw? table             the last answer's data as it came, unknown fields too (while the task is waited for: only within
---                              on_status, and when it is over)
local Task_methods = {}
local Task_mt = { __name = "omni.task" }

-- `raw` is decoded when it is asked for: a hundred thousand waiting tasks hold texts, not tables.
function Task_mt.__index(self, name)
  local method = Task_methods[name]
  if method then return method end
  if name == "client" then -- a field of its own only while it isn't known whose the task is
    local key = rawget(self, "key")
    return key and key.client
  end
  if name ~= "raw" then return nil end
  local answer = rawget(self, "answer")
  if not answer then return nil end
  local whole = core.decode(answer)
  rawset(self, "raw", whole and whole.data)
  return rawget(self, "raw")
end

---Whether the task is over: "failed", or "success" with its media. A success can come a moment before its media; then it isn't over
---until these are there, or until the client's `media_wait` has passed (error "broken_result").
---@return boolean
function Task_methods:done()
  return self.status == "failed" or self.status == "success" and (self.media ~= nil or self.error ~= nil)
end

local known_status = { pending = true, running = true, success = true, failed = true }

-- In the fiber of whoever asks or waits: what on_warning raises is raised there.
local function heeded(self)
  if self.status and not known_status[self.status] then
    self.client:warn(("the service gave a task the unknown status '%s'; it is taken as not final"):format(self.status))
  end
  return self
end

local function give_up(self, failure)
  failure.retry, failure.task_id = nil, self.id
  return nil, err.new(failure)
end

---Asks for the task's state now. What fails for the moment is tried again for the client's retry_for seconds.
---@return omni.Task|nil self
---@return omni.Error|nil
function Task_methods:refresh()
  if not loop.in_fiber "task:refresh" then return loop.drive(self.refresh, self) end
  local client = self.client
  local fine, failure = calling.persist(client, function() return watch.query(self) end)
  if fine then return heeded(self) end
  return give_up(self, failure)
end

local function closed(self)
  return give_up(self, { code = "closed", message = "the client was closed" })
end

local function deadline_error(self, timeout, failure)
  return nil, err.new {
    code = "timeout", task_id = self.id, cause = failure and err.new(err.copy(failure)), task_status = self.status,
    message = core.format("the task wasn't done within %g seconds: %s%s", timeout,
      self.status and ("the service last said '%s'"):format(self.status) or "the service has said nothing of it yet",
      failure and "; the last query failed: " .. failure.message or ""),
    hint = ("it goes on at the service; take it up again with client:task(%q)"):format(self.id),
  }
end

-- Queries a task that was made elsewhere until one of the keys turns out to be its own. Wakes `waiter` then.
local function find_key(self, finding, waiter)
  local client, attempt = self.client, 0
  repeat
    local found, failure = watch.query(self)
    if found then break end
    attempt = attempt + 1
    finding.failure = failure
    local wait = client:pause_after(failure, attempt)
    if not wait then
      finding.useless = true
      break
    end
    if governor.is_paced(failure) then -- the governor makes it wait, but for no longer than the client's patience
      local left = client.keyring:paused()
      wait = left > client.pause_for and left or 0
    end
    loop.sleep(wait)
  until not client.http
  loop.wake(waiter)
end

-- The same within a deadline. True when there is a key, else nil and what await returns.
local function await_key(self, deadline, timeout)
  local finding = {}
  local fiber <close> = loop.background(find_key, self, finding, loop.current())
  while not fiber:done() do
    local left = deadline - core.now()
    if left <= 0 then return deadline_error(self, timeout, finding.failure) end
    loop.park(left)
  end
  fiber:join() -- raises what on_warning has raised
  if self.key then return true end
  if finding.useless then return give_up(self, finding.failure) end
  return closed(self)
end

---Waits until the task is over. Outside of omni.run this turns the loop.
---A network failure doesn't end the wait; a deadline ends only the waiting: the task goes on at the service.
---@param opts? omni.AwaitOptions
---@return omni.Task|nil self  its status is "success" or "failed"; then see `error`
---@return omni.Error|nil      code "timeout" (`task_status`: what the service last said), or what makes asking useless (unauthorized,
---  not_found, ...); with task_id
function Task_methods:await(opts)
  if opts then options.check(opts, await_options, "task:await") end
  if not loop.in_fiber "task:await" then return loop.drive(self.await, self, opts) end
  local timeout, on_status = opts and opts.timeout or default_timeout, opts and opts.on_status
  local deadline, told = core.now() + timeout, nil
  if not self.key then
    local found, failure = await_key(self, deadline, timeout)
    if not found then return nil, failure end
  end
  while true do
    heeded(self)
    if on_status and self.status and self.status ~= told then
      told = self.status
      on_status(self)
    end
    if self:done() then return self end
    if not self.key.http then return closed(self) end -- not through `client`: that would take more of the stack of who waits
    local woken = self.key.watch:wait(self, deadline)
    if not woken and not self:done() then
      -- A callback may have been lost since the last query.
      local over = self.callback and watch.confirm(self)
      if not over then return deadline_error(self, timeout, self.key.watch:last_failure(self)) end
    end
    if woken and woken ~= true then return give_up(self, woken) end
  end
end

-- Why there is nothing to save, or nil.
local function save_trouble(self, index)
  if self.error then return err.copy(self.error) end
  if not self:done() then
    local state = self.status == "success" and "its media is not there yet" or self.status or "not asked yet"
    return err.new { code = "not_done", task_id = self.id, message = ("the task is not over (%s)"):format(state),
      hint = "task:await() first" }
  end
  if not self.media[index] then
    return err.new { code = "invalid_input", field = "index", task_id = self.id,
      message = ("the task has %d file(s), there is no number %d"):format(#self.media, index) }
  end
end

local save_options = { index = "count", on_progress = "function", any = "boolean", aside = "boolean" }

-- Looks at a file before it gets its name: a login page or an error's text is no result.
local function accept_media(head, encoding)
  local what = media_type.download_trouble(head, encoding)
  return what and {
    code = "not_media", retry = false, message = "the file is no picture, film or sound: it is " .. what,
    hint = "fetch it again later; where the model makes files of another kind, say so with any = true",
  }
end

local function accept_any(head)
  return head == "" and accept_media(head) or nil
end

---Downloads a file of the task's result. It is on disk under its name only when it is whole, and when its first bytes may be those of a
---picture, a film or a sound: a page of HTML, XML, JSON, plain text, an archive or an empty file is an error.
---@param path string
---@param opts? omni.SaveOptions
---@return string|nil path
---@return integer|omni.Error bytes  codes: not_done, generation_failed, broken_result,
---  media_gone, url_refused, not_media, download_failed, io, ...
function Task_methods:save(path, opts)
  options.path(path, "task:save")
  opts = options.check(opts, save_options, "task:save")
  if not loop.in_fiber "task:save" then return loop.drive(self.save, self, path, opts) end
  local index = opts.index or 1
  local trouble = save_trouble(self, index)
  if trouble then return nil, trouble end
  local url = self.media[index]
  local given = { on_progress = opts.on_progress, aside = opts.aside, accept = opts.any and accept_any or accept_media }
  local bytes, problem = exchange.download(self.client:courier(), url, path, given)
  local stale = not bytes and (problem.code == "media_gone" or problem.code == "not_media")
  if stale and self:refresh() and self.media and self.media[index] ~= url then
    bytes, problem = exchange.download(self.client:courier(), self.media[index], path, given) -- the service signed it anew
  end
  if bytes then
    local noted
    noted, problem = entry.note_file(self.client, self, index, path)
    if noted then return path, bytes end
    return nil, problem
  end
  problem.task_id = self.id
  if problem.code == "media_gone" then problem.hint = "media URLs expire after about 14 days" end
  return nil, problem
end

---Makes a task handle. For omni's own modules; users have client:submit, client:task and client:query.
---@param client omni.Client
---@param id string
---@param key? omni.Key     whose it is, when that is known
---@param kind? omni.Kind   of a task that was submitted just now (task_durations.lua)
---@param ledger? omni.Records
---@param row? integer      its row there
---@return omni.Task
local function new(client, id, key, kind, ledger, row)
  local self = setmetatable({
    id = id, key = key, since = core.now(), submitted = kind, ledger = ledger, row = row,
    -- Named so that the table has its size at once.
    status = kind and "pending", model = kind and kind.model, created_at = nil, answer = nil,
  }, Task_mt)
  if not key then rawset(self, "client", client) end
  return self
end

return { new = new }
