---@meta omni.core
-- SPDX-License-Identifier: MIT
-- Types of csrc/core/process.c and csrc/core/board_process.c.

---@class omni.core
local core = {}

---@class omni.process.Options
---@field directory? string                       where it runs; default: where we do
---@field stdout? "pipe"|"null"|"inherit"         default "null"
---@field stderr? "pipe"|"null"|"inherit"         default "pipe"
---@field max_output? integer                     bytes kept of each pipe, the last ones; default 1048576
---@field max_memory? integer                     bytes of address space that it gets; an allocation beyond them fails. Default: no limit
---@field environment? table<string, string>      added to ours, from which what is a secret or looks like one was taken: CRUN_...,
---  names with
---  KEY, TOKEN, SECRET, PASSW, PASSPHRASE or CREDENTIAL in them, URLs with a user

---A running program: a pollable. It is killed, with all of its group, and reaped when it is closed or collected.
---@class omni.Process: omni.Pollable
local Process = {}

---Starts a program without a shell. stdin is /dev/null; it has a process group of its own, so that Ctrl-C in the
---terminal doesn't reach it, and it dies with us.
---@param argv string[]  argv[1] is looked up in PATH (that of `environment`, if it names one)
---@param options? omni.process.Options
---@return omni.Process|nil
---@return string|nil message  why it could not be started
function core.process(argv, options) end

---Runs Lua code in a process and a Lua state of its own, which share nothing with this one. Its result has as `stdout` the string that
---the code returned. Exit codes: 0; 3: it needed more memory; 4: it took more time; 1: any other failure.
---@param code string      compiled (string.dump); it is called with a function that opens files, and the argument
---@param argument string
---@param limits { folder: string, cpu_seconds: number, max_memory: integer, max_output: integer }  folder: without links, below which
---  files can be read; max_memory, max_output: bytes
---@return omni.Process|nil
---@return string|nil message  why it could not be started
function core.board(code, argument, limits) end

---A descriptor that is readable when `step` has something to do.
---@return integer
function Process:pollfd() end

---@return "r"
function Process:events() end

---Seconds until `step` is due anyway, or nil.
---@return number|nil
function Process:timeout() end

---Reads what is there; never blocks.
---@return boolean ended  true when the program has ended and what it wrote was read
function Process:step() end

---What came on stdout since the last call, "" if nothing; at most the last max_output bytes.
---@return string
function Process:read() end

---nil while it runs.
---@return omni.process.Result|nil
function Process:result() end

---Kills it and all of its group; `step` then tells of its end.
function Process:kill() end

---Kills what still runs, reaps it and frees all. May be called again.
function Process:close() end
