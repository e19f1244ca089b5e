-- SPDX-License-Identifier: MIT
-- Runs Lua code in another process, in which functions of the C library are replaced.
local env = require "helper.env"

local preloaded = {}

---Runs Lua code with a library of C code preloaded; returns what the Lua code prints.
---@param c string  the C code of the replaced functions
---@param command string  a shell command that runs Lua code, for example from `helper.ledger`'s `command`
---@param environment? string  assignments for the shell
function preloaded.output(c, command, environment)
  local directory <close> = env.directory()
  local source, library = directory:file "shim.c", directory:file "shim.so"
  env.write(source, "#define _GNU_SOURCE\n" .. c)
  env.output(("cc -shared -fPIC -o %s %s -ldl"):format(env.quote(library), env.quote(source)))
  return env.output(('LD_PRELOAD=%s ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0" %s %s'):format(
    env.quote(library), environment or "", command))
end

return preloaded
