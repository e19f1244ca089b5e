---@meta omni.ledger_sqlite
-- SPDX-License-Identifier: MIT

---Stores submits in an SQLite file. Each handle has its own thread. The handle's thread opens the file at the first verb and executes the
---verbs in order, each as one transaction. Only the handle's thread waits for the disk and for other programs; Lua code never does. Call
---the handle's `step` when its descriptor is readable or its timeout has passed. After each `step`, call `finished` until it returns
---nothing, as the module omni.ledger does.
---
---Each open handle of a ledger in FILE locks one byte of the file FILE-alive. Until the handle is closed or its process ends, its lock on
---FILE-alive shows other programs that the ledger is open.
---@class omni.LedgerHandle: omni.Source
local LedgerHandle = {}

---The reason why a ledger verb failed. A failed verb leaves the file intact, and a later verb may succeed, for example once a full disk has
---space again.
---@class omni.LedgerFailure
---@field code "ledger_failed"
---@field message string  names the file and the problem

---Starts one of the verbs that csrc/ledger/verbs.h defines. Raises an error for an unknown verb or parameter, and for a value that can't be
---stored: a string that contains a NUL, NaN, or a table.
---@param owner any  `finished` returns it; not nil. The handle keeps it until then
---@param verb string
---@param parameters? table<string, string|integer|number|boolean>  by name; a missing parameter is NULL, a boolean becomes 0 or 1
function LedgerHandle:start(owner, verb, parameters) end

---Returns the oldest result that `finished` hasn't returned yet, or nothing if there is none. `finished` also works after `close`. Can be
---used as an iterator: `for owner, rows, failure in handle.finished, handle do`. If the body of a `for` loop over `finished` raises an
---error, or memory runs out while `finished` returns a result, the next `for` loop over `finished` starts with the same result.
---@param before? any  the `for` loop's variable
---@return any owner
---@return table<string, string|integer|number>[]|nil rows  values by column name, without NULLs; empty for a verb without rows
---@return omni.LedgerFailure|nil
function LedgerHandle:finished(before) end

---Returns why started verbs wait for a database that can't be reached, or nothing. Only verbs that record what has already happened wait;
---all others fail soon.
---@return omni.LedgerFailure|nil
function LedgerHandle:trouble() end

---Starts or stops collecting notifications from other programs. A ledger in a file has no notifications.
---@param on boolean
function LedgerHandle:listen(on) end

---Returns the next notification from another program, or nothing. The notification is "task ID" if another program has recorded the end of
---a task, or "account" if it has changed the table `account`. Notifications may get lost.
---@return string|nil
function LedgerHandle:notified() end

---Returns the number of started verbs whose results `finished` hasn't returned yet.
---@return integer
function LedgerHandle:busy() end

---@return boolean  whether `finished` will return a result
function LedgerHandle:step() end

---Waits for the verbs in progress, then closes the file. Closing again does nothing. A `<close>` variable and the garbage
---collector also close the handle.
function LedgerHandle:close() end

local ledger = {}

---Returns a handle for a ledger's file. The first verb creates the file with mode 0600 if it doesn't exist; the file's folder must exist.
---Every verb fails if the file can't be used, for example because other users can read it, or because it is damaged or belongs to another
---program or a newer omni.
---@param path string
---@return omni.LedgerHandle
function ledger.open(path) end

return ledger
