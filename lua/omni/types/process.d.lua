---@meta omni.core
-- SPDX-License-Identifier: MIT
-- Declares the types implemented in csrc/core/process.c and csrc/core/board_process.c.

---@class omni.core
local core = {}

---@class omni.process.Options
---@field directory? string                       the working directory (default: this process's)
---@field stdout? "pipe"|"null"|"inherit"         where the program's stdout goes (default "null")
---@field stderr? "pipe"|"null"|"inherit"         where the program's stderr goes (default "pipe")
---@field max_output? integer                     how many of the last bytes of each pipe to keep (default 1048576)
---@field max_memory? integer                     bytes of address space; an allocation beyond it fails (default: no limit)
---@field environment? table<string, string>      added to omni's environment, which is passed on without its secrets

---A running program. Closing or garbage-collecting a process kills the program and its process group, and reaps the program.
---@class omni.Process: omni.Source
local Process = {}

---Starts a program without a shell. Its stdin is /dev/null. The program has its own process group, so Ctrl-C in the terminal doesn't reach
---it. The program is killed when this process ends.
---@param argv string[]  argv[1] is looked up in PATH (the one in `environment`, if any)
---@param options? omni.process.Options
---@return omni.Process|nil
---@return string|nil message  why it couldn't be started
function core.process(argv, options) end

---Runs Lua code in a separate process with its own Lua state, which shares nothing with this process. The result's `stdout` is the string
---that the code returned. The exit code is 0 on success, 3 when memory ran out, 4 when time ran out, and 1 for any other failure.
---@param code string      compiled (string.dump); receives a function that opens files, and the argument
---@param argument string
---@param limits { folder: string, cpu_seconds: number, max_memory: integer, max_output: integer }  folder: a real path
---@return omni.Process|nil
---@return string|nil message  why it couldn't be started
function core.board_process(code, argument, limits) end

---Reads the available output; never blocks.
---@return boolean ended  the program has ended and all its output was read
function Process:step() end

---Returns what the program has written to stdout since the last call, but at most the last `max_output` bytes.
---@return string
function Process:read() end

---Returns the result, or nil while the program is still running.
---@return omni.process.Result|nil
function Process:result() end

---Kills the program and its process group; a later `step` detects the program's end.
function Process:kill() end

---Kills the program if it is still running, reaps it and frees all resources. Idempotent.
function Process:close() end
