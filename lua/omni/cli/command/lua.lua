-- SPDX-License-Identifier: MIT
-- `omni lua SCRIPT [ARGS...]`: runs a Lua program with omni at hand and the loop running.

local common = require "omni.cli.common"

local command = { summary = "Run a Lua program with omni at hand and the loop running." }

function command.define(parser)
  parser:argument("script", "A Lua file; - for stdin. What follows it are its arguments."):argname("SCRIPT")
  parser:flag("--sandbox", "Starts a sandbox, and makes it the default of omni.client{}.")
  parser:option("--base-url", "The default base URL of omni.client{}."):argname("URL")
  common.add_sandbox_options(parser)
  parser:usage_margin(7)
end

local Scope_mt = {}

-- A script that brings its own `omni.run` runs here, too, though the loop is turning already: it waits for what was spawned
-- meanwhile.
local function allow_run(omni)
  local run, spawn, loop = omni.run, omni.spawn, require "omni.loop"
  local scopes = {}
  function Scope_mt.__close(scope) scopes[scope] = nil end
  omni.spawn = function(...)
    local fiber = spawn(...)
    for scope in pairs(scopes) do scope[#scope + 1] = fiber end
    return fiber
  end
  omni.run = function(fn, ...)
    if type(fn) ~= "function" or not loop.current() then return run(fn, ...) end
    local scope <close> = setmetatable({}, Scope_mt)
    scopes[scope] = true
    local results = table.pack(fn(...))
    for _, fiber in ipairs(scope) do fiber:join() end -- it grows meanwhile
    return table.unpack(results, 1, results.n)
  end
end

-- What a script sees besides Lua's own globals.
local function set_globals(given, arguments)
  local omni = require "omni"
  _G.omni = omni -- luacheck: ignore 122
  for _, word in ipairs { "storyboard", "scene", "windows", "file", "url", "last_frame", "clip" } do _G[word] = omni[word] end
  _G.arg = table.move(arguments, 1, #arguments, 1, { [0] = given.script }) -- luacheck: ignore 122
end

---@param given table
---@param arguments string[]  the script's
---@return integer exit code
function command.run(given, arguments)
  local misuse = common.sandbox_misuse(given)
  if misuse then return common.say(misuse) or 2 end
  local host = require "omni.host"
  local chunk, syntax = loadfile(given.script ~= "-" and given.script or nil, "t")
  if not chunk then return common.say(syntax) or 2 end

  -- The library reads these; so do programs that the script starts. The sandbox's key opens nothing else.
  local sandbox <close>, problem = common.rehearsal(given)
  if problem then return common.tell(problem) or 2 end
  if sandbox then
    host.setenv("CRUN_BASE_URL", sandbox.url)
    host.setenv("CRUN_API_KEY", sandbox.key)
    host.setenv("CRUN_API_KEYS", "")
  elseif given.base_url then
    host.setenv("CRUN_BASE_URL", given.base_url)
  end
  require("omni.cli.module_path").allow(given.script ~= "-" and given.script or nil)
  set_globals(given, arguments)
  allow_run(_G.omni)

  local in_flight, loop = require "omni.cli.script_tasks", require "omni.loop"
  in_flight.watch_all()
  local code, failure = common.in_loop(function(on_interrupt)
    on_interrupt(function(leave)
      loop.background(function()
        in_flight.settle()
        leave()
      end)
    end)
    chunk(table.unpack(arguments))
    return 0
  end)
  local unheard = host.output_failed() -- the script may have printed ids, and nobody has seen them
  if code and not failure and not unheard then return code end
  local ids = in_flight.task_ids()
  local they = "in flight, and charged, at the service:"
  if code and not failure then
    if #ids > 0 then common.say(they) end
  elseif not failure then
    common.say("interrupted; " .. (#ids == 0 and "no task is in flight" or they))
  else
    common.say(tostring(failure))
    if #ids > 0 then common.say(they) end
  end
  for _, id in ipairs(ids) do io.stderr:write(("  task %s\n"):format(id)) end
  local lost = in_flight.lost()
  if lost > 0 then common.say(("%d submit(s) given up on their way: they may have been accepted and charged"):format(lost)) end
  return failure and 1 or code or 130
end

return command
