-- SPDX-License-Identifier: MIT
-- The ledger's interface for fibers: each verb parks the calling fiber until the result is on disk. Besides submits, the ledger stores
-- results that would take time to recompute: file digests, uploads and films.

local addresses = require "omni.ledger.address"
local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local loop = require "omni.loop"
local paths = require "omni.file.path"
local pollable = require "omni.loop.pollable"

-- The number of seconds after a file's last change before the ledger stores the file's digest. If the ledger stored the digest earlier,
-- omni wouldn't notice a second change within the same tick of the file system's clock.
local SETTLED <const> = 2

---@class omni.Ledger
---@field path string  path of the file, or address of the database
---@field is_shared boolean  whether several machines can share the ledger
---@field private machine string  prefix for paths in a ledger that several machines share
---@field sending table<integer, table>  the rows whose submits this handle's program is sending or recording, with their owners.
---  `sending` is a weak table: if memory runs out before an owner removes its row, the row disappears together with the owner
---@field on_trouble? fun(err: omni.Error|nil)  called with an error when verbs begin to wait for the database, and with nil when none waits
---@field on_failure? fun(err: omni.Error, returned: boolean)  called when a verb fails; returned: the caller also gets the error
local Ledger_methods = {}
local Ledger_mt = { __name = "omni.ledger", __index = Ledger_methods }

-- Delivers the results of finished verbs to the fibers that are waiting for them.
local function deliver(self, handle)
  for box, rows, failure in handle.finished, handle do
    box.rows, box.failure, box.done = rows, failure, true
    if box.fiber then
      loop.wake(box.fiber)
    else
      if box.late then box.late(rows) end
      if failure and self.on_failure then self.on_failure(err.new(failure), false) end
    end
  end
end

-- Reports when verbs begin to wait for a database that can't be reached, and when no verb is waiting any more.
local function report_trouble(self, handle)
  local trouble = handle:trouble()
  local changed = (trouble ~= nil) ~= self.in_trouble
  self.in_trouble = trouble ~= nil
  if changed and self.on_trouble then self.on_trouble(trouble and err.new(trouble)) end
end

-- Returns a driver, through which the event loop drives the ledger while a verb runs.
local function driver_of(self)
  return pollable.driver(self.handle, function(handle)
    handle:step()
    deliver(self, handle)
    report_trouble(self, handle)
    for text in handle.notified, handle do
      for listener in pairs(self.listeners) do listener.fn(text) end
    end
    return not self.handle or handle:busy() == 0 and not next(self.listeners)
  end)
end

-- Holds a verb's result for the fiber that is waiting for it. If the fiber that waits for a verb is cancelled after it has been woken,
-- `late` receives the verb's result.
local Box_mt = {
  __close = function(box)
    box.fiber = nil
    if box.done and not box.received and box.late then box.late(box.rows) end
  end,
}

local function start(self, verb, params, fiber)
  local box = setmetatable({ fiber = fiber }, Box_mt)
  self.handle:start(box, verb, params or {})
  self.driver:start()
  return box
end

local function closed(self)
  return nil, err.new { code = "ledger_failed", message = ("the ledger %s was closed"):format(self.path) }
end

local function failed(self, failure)
  if self.on_failure then self.on_failure(err.new(err.copy(failure)), true) end
  return nil, err.new(failure)
end

---Runs one of the ledger's verbs (csrc/ledger/verbs.h) and waits for its result. When `ask` returns, the verb's changes are on disk.
---@param verb string
---@param params? table<string, string|number|boolean>
---@param late? fun(rows: table[]|nil)  gets the result if the fiber is cancelled first; must not wait
---@return table[]|nil rows
---@return omni.Error|nil err  code "ledger_failed"
function Ledger_methods:ask(verb, params, late)
  if not loop.in_fiber "the ledger" then return loop.drive(self.ask, self, verb, params, late) end
  if not self.handle then return closed(self) end
  local box <close> = start(self, verb, params, loop.current())
  box.late = late
  repeat loop.park() until box.done -- an event other than the verb's result may have woken the fiber
  box.received = true
  if box.failure then return failed(self, box.failure) end
  return box.rows
end

local Boxes_mt = {
  __close = function(boxes)
    for _, box in ipairs(boxes) do box.fiber = nil end
  end,
}

---Runs a verb for each of several sets of parameters. Starts all verbs before it waits, so that the event loop and the ledger's thread
---don't have to take turns for each verb.
---@param verb string
---@param list table<string, string|number|boolean>[]
---@return table[][]|nil rows  the rows for each set of parameters
---@return omni.Error|nil err  code "ledger_failed"
function Ledger_methods:ask_each(verb, list)
  if not loop.in_fiber "the ledger" then return loop.drive(self.ask_each, self, verb, list) end
  if not self.handle then return closed(self) end
  local boxes <close>, results = setmetatable({}, Boxes_mt), {}
  for i, params in ipairs(list) do boxes[i] = start(self, verb, params, loop.current()) end
  for i, box in ipairs(boxes) do
    while not box.done do loop.park() end
    if box.failure then return failed(self, box.failure) end
    results[i] = box.rows
  end
  return results
end

---Runs a verb that returns at most one row.
---@return table|nil row
---@return omni.Error|nil err
function Ledger_methods:row(verb, params)
  local rows, problem = self:ask(verb, params)
  return rows and rows[1], problem
end

---Starts a verb without waiting for its result. Verbs run in the order in which they were started. If a verb fails, `on_failure` receives
---the failure.
---@param verb string
---@param params? table<string, string|number|boolean>
---@param late? fun(rows: table[]|nil)  gets the result; must not wait
function Ledger_methods:note(verb, params, late)
  if self.handle then start(self, verb, params).late = late end
end

---Marks a submit's row as `unknown` if no program will record the submit's outcome any more, and returns the row. Returns the row unchanged
---if the submit's outcome has been or may still be recorded. If memory runs out, a submit can end without a recorded outcome.
---@param row table  a row of a submit
---@return table|nil row
---@return omni.Error|nil err
function Ledger_methods:settle_abandoned(row)
  if row.state ~= "intended" or self.sending[row.id] then return row end
  local rows, problem = self:ask("abandon", { id = row.id, message = "its outcome couldn't be recorded" })
  if not rows then return nil, problem end
  if not rows[1] then return row end
  return self:row("row", { id = row.id })
end

local Listener_mt = {
  __close = function(listener)
    local self = listener.ledger
    self.listeners[listener] = nil
    if self.handle and not next(self.listeners) then self.handle:listen(false) end
  end,
}

---Calls a function for each notification from another program: "task ID" or "account". Notifications may get lost, and a ledger in a file
---has none.
---@param fn fun(text: string)  must not wait
---@return table listener  close it to stop listening
function Ledger_methods:listen(fn)
  local listener = setmetatable({ ledger = self, fn = fn }, Listener_mt)
  if not self.handle then return listener end
  self.handle:listen(true)
  self.listeners[listener] = true
  self.driver:start()
  return listener
end

-- --- files

local DIGESTS <const> = 250 -- minimum number of recently used digests to keep in memory; the ledger contains all digests

-- Keeps a digest in memory. A digest stays in memory at least until `most_recent` other digests have been used.
local function remember(self, path, known)
  local recent = self.digests
  if not recent[path] then
    if self.recent >= self.most_recent then
      self.older_digests, recent = recent, {}
      self.digests, self.recent = recent, 0
    end
    self.recent = self.recent + 1
  end
  recent[path] = known
end

local function remembered(self, path)
  return self.digests[path] or self.older_digests[path]
end

---Returns the SHA-256 digest of a file's contents. Reads the file only if its stamp (inode, size and times) differs from the stamp in the
---ledger.
---@param path string
---@return string|nil sha256
---@return omni.Error|nil err  code "io"
function Ledger_methods:digest(path)
  local info, why = core.stat(path)
  if not info then return nil, err.new { code = "io", message = "can't read " .. (why or path) } end
  local place = self.machine .. path
  local known = remembered(self, path) or self:row("digest", { path = place })
  if known and known.stamp == info.stamp then
    remember(self, path, known)
    return known.sha256
  end
  -- Stores a digest only if the file's bytes are on disk, because after a power loss a file may have other bytes with the same stamp.
  local found, problem = digest.file(path, true)
  if not found then return nil, problem end
  if found.synced and os.time() - info.mtime > SETTLED then
    remember(self, path, { stamp = found.stamp, sha256 = found.sha256 })
    self:note("remember_digest", { path = place, stamp = found.stamp, sha256 = found.sha256, size = found.size })
  end
  return found.sha256
end

---Loads the digests of several files from the ledger in one step, so that later calls to `digest` don't query the ledger. Reads no file.
---@param files string[]  paths
---@return true|nil
---@return omni.Error|nil
function Ledger_methods:load_digests(files)
  local list, unknown = {}, {}
  for _, path in ipairs(files) do
    if not remembered(self, path) then list[#list + 1], unknown[#unknown + 1] = { path = self.machine .. path }, path end
  end
  local found, problem = self:ask_each("digest", list)
  if not found then return nil, problem end
  self.most_recent = math.max(DIGESTS, #files)
  for i, path in ipairs(unknown) do
    if found[i][1] then remember(self, path, found[i][1]) end
  end
  return true
end

-- --- opening

---Waits until the running verbs have ended, and closes the ledger's file.
function Ledger_methods:close()
  if not self.handle then return end
  self.driver:stop()
  local handle = self.handle
  self.handle = nil
  handle:close()
  deliver(self, handle)
end

Ledger_mt.__close, Ledger_mt.__gc = Ledger_methods.close, Ledger_methods.close

---Returns the ledger's default path or address: the value of OMNI_LEDGER, or else omni/ledger.db in XDG_STATE_HOME (by default
---~/.local/state).
---@return string|nil path
---@return omni.Error|nil err
local function default_path()
  local function variable(name)
    local value = os.getenv(name)
    return value ~= "" and value or nil
  end
  local given, state, home = variable("OMNI_LEDGER"), variable("XDG_STATE_HOME"), variable("HOME")
  local wrong = given and addresses.problem(given)
  if wrong then return nil, err.new { code = "ledger_failed", message = "the ledger's address in OMNI_LEDGER " .. wrong } end
  if given then return given end
  if state and state:find("^/") then return state .. "/omni/ledger.db" end -- the XDG specification forbids relative paths
  if home then return home .. "/.local/state/omni/ledger.db" end
  return nil, err.new { code = "ledger_failed", message = "there is no place for the ledger: HOME is not set",
    hint = "set OMNI_LEDGER, or give --ledger PATH" }
end

-- Returns the prefix for this machine's paths in a ledger that several machines share.
local function machine_prefix()
  local file <close> = io.open "/proc/sys/kernel/hostname"
  return (file and file:read "l" or "") .. ":"
end

-- Returns a handle for a ledger in PostgreSQL, and loads libpq.
local function open_address(address)
  local wrong = addresses.problem(address)
  if wrong then return nil, err.new { code = "ledger_failed", message = "the ledger's address " .. wrong } end
  local found, backend = pcall(function() return require "omni.ledger_postgresql" end)
  if found then return backend.open(address) end
  return nil, err.new { code = "ledger_failed",
    message = "a ledger in PostgreSQL needs the module omni.ledger_postgresql: " .. tostring(backend):match "^[^\n]*",
    hint = "install libpq5 (Debian), or build omni where libpq-dev is installed" }
end

-- Returns a handle for a ledger in a file. Creates the file's folder.
local function open_file(path)
  local parent = path:match("^(.*[^/])/+[^/]+$")
  local fine, why = true, nil
  if parent then fine, why = paths.make_directories(parent, 448) end -- 0700
  if fine then return require("omni.ledger_sqlite").open(path) end
  return nil, err.new { code = "ledger_failed", message = ("the ledger's folder can't be created: %s"):format(why) }
end

---Opens a ledger. If the ledger's file or folder is missing, creates it with permissions for its owner only. If the file or the database
---can't be used, each verb returns the error.
---@param path string  a path, or an address (postgresql://...)
---@return omni.Ledger|nil
---@return omni.Error|nil err  code "ledger_failed"
local function open(path)
  local is_shared = addresses.is_address(path)
  local handle, problem = (is_shared and open_address or open_file)(path)
  if not handle then return nil, problem end
  local self = setmetatable({
    path = path, sending = setmetatable({}, { __mode = "v" }), machine = is_shared and machine_prefix() or "",
    digests = {}, older_digests = {}, recent = 0, most_recent = DIGESTS, is_shared = is_shared, in_trouble = false, listeners = {},
  }, Ledger_mt)
  self.handle = handle
  self.driver = driver_of(self)
  return self
end

return { default_path = default_path, exists = addresses.exists, open = open, address_problem = addresses.problem,
  is_address = addresses.is_address }
