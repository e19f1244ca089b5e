-- SPDX-License-Identifier: MIT
-- Runs a program without a shell. Other fibers keep running while the program runs.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local pollable = require "omni.loop.pollable"
local options = require "omni.options"

local known = {
  directory = "string", stdout = "string", stderr = "string", max_output = "integer", max_memory = "integer", environment = "table",
  on_output = "function",
}

---Waits in a fiber until a process has ended. Kills the process if the fiber is cancelled or `on_output` raises an error.
---@param process omni.Process
---@param on_output? fun(text: string)
---@return omni.process.Result
local function await(process, on_output)
  local owned <close> = process
  pollable.finish(process, on_output and function()
    local text = process:read()
    if text ~= "" then on_output(text) end
  end)
  return owned:result()
end

---@class omni.process.Result
---@field exit? integer    the program's exit code
---@field signal? integer  the signal that ended it; exit and signal are nil if your process ignores SIGCHLD or other code reaps the child
---@field stdout string    "" unless stdout is "pipe"
---@field stderr string

---@class omni.process.RunOptions: omni.process.Options
---@field on_output? fun(text: string)  called with new output from stdout; implies stdout = "pipe"

---Runs a program and waits until it has ended. An exit code other than 0 is a result, not an error. If the calling fiber is cancelled or
---`on_output` raises an error, omni kills the program.
---@param argv string[]  the program, which omni looks up in PATH, and its arguments; omni doesn't use a shell
---@param given? omni.process.RunOptions
---@return omni.process.Result|nil
---@return omni.Error|nil  code "process_failed" (the program can't be started)
local function run(argv, given)
  options.argument(argv, "table", "omni.process")
  given = options.check(given, known, "omni.process")
  loop.in_fiber "omni.process"
  local settings = {}
  for name, value in pairs(given) do settings[name] = value end
  settings.on_output = nil
  if given.on_output then
    if given.stdout and given.stdout ~= "pipe" then
      error('omni.process: on_output needs stdout = "pipe"', 2)
    end
    settings.stdout = "pipe"
  end
  local fine, process, message = pcall(core.process, argv, settings)
  if not fine then error(process, 2) end
  if not process then return nil, err.new { code = "process_failed", message = message } end
  return loop.drive(await, process, given.on_output)
end

---Returns whether a program succeeded. The program's exit code is unknown if this process ignores SIGCHLD, or if other code in this process
---reaps all child processes. If a program's exit code is unknown, the program counts as successful if it wrote nothing to stderr and its
---output exists.
---@param result omni.process.Result  of a run with stderr = "pipe"
---@param proof any  whether the program's output exists
---@return boolean
local function succeeded(result, proof)
  if result.exit or result.signal then return result.exit == 0 end
  return result.stderr == "" and proof and true or false
end

return { await = await, run = run, succeeded = succeeded }
