-- SPDX-License-Identifier: MIT
-- The ledger as fibers see it: each verb parks its fiber until it is on disk. Beside the submits it remembers what costs time to
-- find out again: digests of files, uploads, films.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local loop = require "omni.loop"
local paths = require "omni.file.path"

local settled <const> = 2 -- seconds: a file that was changed less long ago may change again within the same tick of the file system's clock

---@class omni.Records
---@field path string
local Records_methods = {}
local Records_mt = { __name = "omni.records", __index = Records_methods }

-- --- the loop drives it while anything is under way

function Records_methods:pollfd() return self.handle:pollfd() end

function Records_methods:events() return "r" end -- luacheck: ignore self

function Records_methods:timeout() return self.handle:timeout() end

-- Gives what is done to those who asked for it.
local function deliver(self, handle)
  for box, rows, failure in handle.finished, handle do
    box.rows, box.failure, box.done = rows, failure, true
    if box.fiber then
      loop.wake(box.fiber)
    elseif box.late then
      box.late(rows)
    elseif failure and self.on_failure then
      self.on_failure(err.new(failure))
    end
  end
end

function Records_methods:step()
  self.handle:step()
  deliver(self, self.handle)
  if self.handle and self.handle:busy() == 0 then
    loop.remove(self)
    self.driven = false
  end
end

-- A fiber that is cancelled after it was woken hears nothing: `late` is told then, too.
local Box_mt = {
  __close = function(box)
    box.fiber = nil
    if box.done and not box.told and box.late then box.late(box.rows) end
  end,
}

local function start(self, verb, params, fiber)
  local box = setmetatable({ fiber = fiber }, Box_mt)
  self.handle:start(box, verb, params or {})
  if not self.driven then
    loop.add(self)
    self.driven = true
  end
  return box
end

---Carries out one of the ledger's verbs (csrc/ledger/verbs.h), and waits until it is done: what changes a row is on disk then.
---@param verb string
---@param params? table<string, string|number|boolean>
---@param late? fun(rows: table[]|nil)  called with what came of it when the fiber was cancelled before this returned; must not wait
---@return table[]|nil rows
---@return omni.Error|nil err  code "ledger_failed"
function Records_methods:ask(verb, params, late)
  if not loop.in_fiber "the ledger" then return loop.drive(self.ask, self, verb, params, late) end
  if not self.handle then return nil, err.new { code = "ledger_failed", message = ("the ledger %s was closed"):format(self.path) } end
  local box <close> = start(self, verb, params, loop.current())
  box.late = late
  repeat loop.park() until box.done -- whoever else wakes this fiber
  box.told = true
  if box.failure then return nil, err.new(box.failure) end
  return box.rows
end

---As `ask`, for a verb that gives one row or none.
---@return table|nil row
---@return omni.Error|nil err
function Records_methods:row(verb, params)
  local rows, problem = self:ask(verb, params)
  return rows and rows[1], problem
end

---As `ask`, without waiting; in the order given, and before what is asked later. A failure goes to `on_failure`.
function Records_methods:note(verb, params)
  if self.handle then start(self, verb, params) end
end

-- --- files

---The SHA-256 of a file's bytes, read again only when the file was touched.
---@param path string
---@return string|nil sha256
---@return omni.Error|nil err  code "io"
function Records_methods:digest(path)
  local info, why = core.stat(path)
  if not info then return nil, err.new { code = "io", message = "can't read " .. (why or path) } end
  local known = self.digests[path] or self:row("digest", { path = path })
  if known and known.stamp == info.stamp then
    self.digests[path] = known
    return known.sha256
  end
  local found, problem = digest.file(path)
  if not found then return nil, problem end
  if os.time() - info.mtime > settled then
    self.digests[path] = { stamp = found.stamp, sha256 = found.sha256 }
    self:note("remember_digest", { path = path, stamp = found.stamp, sha256 = found.sha256, size = found.size })
  end
  return found.sha256
end

-- --- opening

---Finishes what is under way, and closes the file.
function Records_methods:close()
  if not self.handle then return end
  if self.driven then loop.remove(self) end
  local handle = self.handle
  self.driven, self.handle = false, nil
  handle:close()
  deliver(self, handle)
end

Records_mt.__close, Records_mt.__gc = Records_methods.close, Records_methods.close

---Where the ledger is when nobody says otherwise: OMNI_LEDGER, else omni/ledger.db in XDG_STATE_HOME (by default ~/.local/state).
---@return string|nil path
---@return omni.Error|nil err
local function default_path()
  local function variable(name)
    local value = os.getenv(name)
    return value ~= "" and value or nil
  end
  local given, state, home = variable("OMNI_LEDGER"), variable("XDG_STATE_HOME"), variable("HOME")
  if given then return given end
  if state and state:find("^/") then return state .. "/omni/ledger.db" end -- a relative one is to be ignored, says the XDG specification
  if home then return home .. "/.local/state/omni/ledger.db" end
  return nil, err.new { code = "ledger_failed", message = "there is no place for the ledger: HOME is not set",
    hint = "set OMNI_LEDGER, or give --ledger PATH" }
end

---Opens a ledger, and makes it when it isn't there: its folder for its owner only, the file with mode 0600. What is wrong with the file
---itself every verb tells.
---@param path string
---@return omni.Records|nil
---@return omni.Error|nil err  code "ledger_failed"
local function open(path)
  local parent = path:match("^(.*[^/])/+[^/]+$")
  local fine, why = true, nil
  if parent then fine, why = paths.make_directories(parent, 448) end -- 0700
  if not fine then
    return nil, err.new { code = "ledger_failed", message = ("the ledger's folder can't be made: %s"):format(why) }
  end
  local self = setmetatable({ path = path, digests = {}, driven = false }, Records_mt)
  self.handle = require("omni.ledger_sqlite").open(path)
  return self
end

return { default_path = default_path, open = open }
