---@meta omni.ledger_sqlite
-- SPDX-License-Identifier: MIT

---The durable record of what was submitted: an SQLite file. A handle has a thread of its own, which opens the file at the first verb,
---carries the verbs out one after the other, each as a transaction of its own, and waits for the disk and for other programs. Lua never
---does. A pollable: whoever drives it calls `step` when the descriptor is readable or the time-out is due, and then takes what is done
---by `finished` until there is nothing. lua/omni/ledger/init.lua does so.
---
---Beside the file lies FILE-alive, in which each handle that is open keeps one byte locked: so others know that it lives, until it
---is closed or its process ended, however that came about.
---@class omni.Ledger: omni.Pollable
local Ledger = {}

---What went wrong with a verb. The file is whole all the same, and a later verb may work: a full disk has room again.
---@class omni.LedgerFailure
---@field code "ledger_failed"
---@field message string  which file, and what is wrong with it

---Queues a verb, one of csrc/ledger/verbs.h. Raises for an unknown verb or parameter, and for a value that can't be stored: a
---string with a NUL, NaN, a table.
---@param owner any  what `finished` returns for it; not nil. It is held until then
---@param verb string
---@param parameters? table<string, string|integer|number|boolean>  by name; what is missing is NULL, a boolean 0 or 1
function Ledger:start(owner, verb, parameters) end

---What was done first of what wasn't taken yet, each once. Nothing when there is none. Also after `close`.
---@return any owner
---@return table<string, string|integer|number>[]|nil rows  by the columns' names, NULL being absent; empty for a verb that gives none
---@return omni.LedgerFailure|nil
function Ledger:finished() end

---How many were started and not taken yet.
---@return integer
function Ledger:busy() end

---A descriptor that is readable when something is done.
---@return integer
function Ledger:pollfd() end

---@return "r"
function Ledger:events() end

---Seconds until `step` is due anyway: 0 while something can be taken, else nil.
---@return number|nil
function Ledger:timeout() end

---@return boolean  whether something can be taken
function Ledger:step() end

---Finishes what is queued, which can take as long as the disk does, and closes the file. May be called again; also `<close>` and
---collection.
function Ledger:close() end

local ledger = {}

---A handle for a ledger's file, which is made with mode 0600 at the first verb when it isn't there; its folder must be. What is wrong
---with the file every verb tells: others can read it, it is another program's database or a newer omni's, it is damaged.
---@param path string
---@return omni.Ledger
function ledger.open(path) end

return ledger
