-- SPDX-License-Identifier: MIT
-- The annotations of all of lua/omni, and which of them belongs to a function of `require "omni"`.

local annotations = require "annotations"

local files, classes, methods, aliases = {}, {}, {}, {}
local listing = assert(io.popen "find lua/omni -name '*.lua' | LC_ALL=C sort")
for path in listing:lines() do
  files[path] = annotations.read(path)
  for name, block in pairs(files[path].classes) do
    if not classes[name] or #block.fields > #classes[name].fields then classes[name] = block end
  end
  for name, block in pairs(files[path].aliases) do aliases[name] = block end
  for name, list in pairs(files[path].methods) do
    methods[name] = methods[name] or {}
    table.move(list, 1, #list, #methods[name] + 1, methods[name])
  end
end
listing:close()

-- A function that is loaded when it is first called is known by the module and the name that its closure holds.
local function implementation(fn)
  local module, name
  for index = 1, 10 do
    local variable, value = debug.getupvalue(fn, index)
    if variable == "module" then module = value elseif variable == "name" then name = value end
  end
  return module and name and require(module)[name] or fn
end

local function block_of(fn)
  local info = debug.getinfo(implementation(fn), "S")
  local file = files[info.source:match "lua/omni/.*$"]
  return file and file.functions[info.linedefined]
end

return { aliases = aliases, block_of = block_of, classes = classes, files = files, methods = methods }
