-- SPDX-License-Identifier: MIT
-- `omni lua SCRIPT [ARGS...]`: runs a Lua program in omni's event loop. In the program, the global variable `omni` contains the library.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local sandbox_options = require "omni.cli.sandbox_options"

local command = { summary = "Run a Lua program in omni's event loop, with omni as a global variable." }

function command.define(parser)
  parser:argument("script", "A Lua file; - for stdin. The words after it are its arguments."):argname("SCRIPT")
  parser:flag("--sandbox", "Start a sandbox, and make it the default for omni.client{}.")
  options.add_base_url(parser)
  sandbox_options.define(parser)
  parser:usage_margin(7)
end

-- Sets the global variables that a script has in addition to Lua's own.
local function set_globals(given, arguments)
  local omni = require "omni"
  _G.omni = omni -- luacheck: ignore 122
  for _, word in ipairs { "storyboard", "scene", "windows", "file", "url", "last_frame", "clip" } do _G[word] = omni[word] end
  _G.arg = table.move(arguments, 1, #arguments, 1, { [0] = given.script }) -- luacheck: ignore 122
end

-- Sets environment variables for the omni library and for programs that the script starts.
local function set_environment(given, sandbox)
  local setenv = require("omni.host").setenv
  if sandbox then
    setenv("CRUN_BASE_URL", sandbox.url)
    setenv("CRUN_API_KEY", sandbox.key)
    setenv("CRUN_API_KEYS", "")
  elseif given.base_url then
    setenv("CRUN_BASE_URL", given.base_url)
  end
end

-- Reports how the script ended and which of its tasks are still in flight. Returns the exit code.
local function finish(script_tasks, code, failure)
  local unseen = require("omni.host").output_failed() -- if writing to stdout failed, nobody has seen the task ids that the script printed
  if code and not unseen then return code end
  local ids = script_tasks.task_ids()
  local in_flight = "in flight, and charged, at the service:"
  if failure then
    message.print(tostring(failure))
  elseif not code then
    message.print("interrupted; " .. (#ids == 0 and "no task is in flight" or in_flight))
  end
  if #ids > 0 and (code or failure) then message.print(in_flight) end
  for _, id in ipairs(ids) do io.stderr:write(("  task %s\n"):format(id)) end
  local lost = script_tasks.lost()
  if lost > 0 then message.print(("%d submit(s) were sent, but their responses were lost: they may be charged"):format(lost)) end
  return failure and 1 or code or 130
end

---@param given table  the options, from argparse
---@param arguments string[]  the script's arguments
---@return integer exit code
function command.run(given, arguments)
  local misuse = sandbox_options.misuse(given)
  if misuse then return message.exit(2, misuse) end
  local chunk, syntax = loadfile(given.script ~= "-" and given.script or nil, "t")
  if not chunk then return message.exit(2, syntax) end
  local sandbox <close>, problem = sandbox_options.open_if_given(given)
  if problem then return message.exit(2, problem) end
  set_environment(given, sandbox)
  require("omni.cli.module_path").allow(given.script ~= "-" and given.script or nil)
  set_globals(given, arguments)

  local script_tasks, loop = require "omni.cli.script_tasks", require "omni.loop"
  script_tasks.watch_all()
  local fine, result = pcall(require("omni.cli.signals").run, function(on_interrupt)
    on_interrupt(function(leave)
      loop.background(function()
        script_tasks.settle()
        leave()
      end)
    end)
    chunk(table.unpack(arguments))
    return 0
  end)
  return finish(script_tasks, fine and result or nil, not fine and result or nil)
end

return command
