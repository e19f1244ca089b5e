-- SPDX-License-Identifier: MIT
-- Defines the options that configure a sandbox, and starts the sandbox that they describe.

local options = require "omni.cli.options"

local sandbox_options = {}

---Adds the sandbox options to a command.
---@param command table  argparse's
function sandbox_options.define(command)
  options.amount(command:option("--seconds", "Sandbox tasks take about S seconds (default: 3)."):argname("S"))
  options.integer(command:option("--seed", "Determines the sandbox's ids, durations and choices (default: 1, with new ids)."):argname("N"))
  options.amount(command:option("--credits", "The sandbox account starts with N credits (default: 10000)."):argname("N"))
  command:option("--clips", "How clips are made: ffmpeg, or builtin for one small clip (default: ffmpeg if it is installed).")
    :argname("HOW"):choices { "ffmpeg", "builtin" }
  command:option("--fault", "Make the sandbox misbehave: NAME or NAME:key=value,... Repeatable (docs/sandbox.md).")
    :argname("SPEC"):count("*")
end

---Returns why the given sandbox options can't be combined, or nil if they can.
---@param given table
---@return string|nil
function sandbox_options.misuse(given)
  if given.sandbox and given.base_url then return "--sandbox and --base-url exclude each other" end
  if given.sandbox then return nil end
  for _, name in ipairs { "seconds", "seed", "credits", "clips", "fault" } do
    local value = given[name]
    if value and not (type(value) == "table" and #value == 0) then
      return ("--%s configures a sandbox; add --sandbox"):format(name)
    end
  end
end

---Starts a sandbox.
---@param given table
---@param directory? string  the folder for the sandbox's clips
---@return omni.Sandbox|nil, omni.Error|nil
function sandbox_options.open(given, directory)
  return require("omni").sandbox {
    host = given.host, port = given.port, seconds = given.seconds, seed = given.seed, credits = given.credits,
    faults = given.fault, directory = directory, clips = given.clips, keys = given.keys, in_flight = given.in_flight, rate = given.rate,
  }
end

---Starts a sandbox if `--sandbox` was given.
---@param given table
---@return omni.Sandbox|nil, omni.Error|nil
function sandbox_options.open_if_given(given)
  if given.sandbox then return sandbox_options.open(given) end
end

return sandbox_options
