-- SPDX-License-Identifier: MIT
-- The built program omni as a child, with an environment that knows no key, no home and no ffmpeg (its small clips are quick).

local env = require "helper.env"

local here = env.output("pwd"):gsub("\n$", "")
local binary = os.getenv("OMNI") or here .. "/build/omni"
if binary:sub(1, 1) ~= "/" then binary = here .. "/" .. binary end

local Child_methods = {}
local Child_mt = { __name = "spec.program", __index = Child_methods }

-- Sorted, so that what was written last counts.
local function words_of(environment)
  local all = { HOME = "/nonexistent", PATH = "/nonexistent", TERM = "xterm", CRUN_API_KEY = "", CRUN_BASE_URL = "", NO_COLOR = "" }
  for name, value in pairs(environment or {}) do all[name] = value end
  local words = {}
  for name, value in pairs(all) do words[#words + 1] = env.quote(name .. "=" .. value) end
  return table.concat(words, " ")
end

local function command_of(arguments, options)
  local words = {}
  for i, argument in ipairs(arguments) do words[i] = env.quote(argument) end
  return ("/usr/bin/env %s %s %s"):format(words_of(options.environment), env.quote(binary), table.concat(words, " "))
end

---Starts it. options: environment (table), input (text for stdin), directory (where it runs).
function Child_methods.start(arguments, options)
  options = options or {}
  local files = env.directory()
  env.write(files:file "in", options.input or "")
  local pipe = assert(io.popen(("cd %s && echo $$ && exec %s <%s 2>%s"):format(env.quote(options.directory or here),
    command_of(arguments, options), env.quote(files:file "in"), env.quote(files:file "err"))))
  return setmetatable({ files = files, lines = {}, pipe = pipe, pid = assert(pipe:read("l")) }, Child_mt)
end

-- After a test that failed nobody stops it, and the pipe's end waits for its end. The pipe, which is older, is collected later.
function Child_mt:__gc()
  if io.type(self.pipe) == "file" then os.execute("kill -9 " .. self.pid) end
end

---Reads stdout until a line matches; returns that line.
function Child_methods:wait_for(pattern)
  for line in self.pipe:lines() do
    self.lines[#self.lines + 1] = line
    if line:find(pattern) then return line end
  end
  error(("no line matched '%s' in\n%s\n%s"):format(pattern, table.concat(self.lines, "\n"), env.read(self.files:file "err")), 2)
end

---Sends it a signal: "INT", "TERM", ...
function Child_methods:signal(name)
  assert(os.execute(("kill -%s %s"):format(name, self.pid)))
end

---What is on stderr so far.
function Child_methods:errors() return env.read(self.files:file "err") end

---Waits for its end.
---@return { code: integer, out: string, err: string }
function Child_methods:finish()
  for line in self.pipe:lines() do self.lines[#self.lines + 1] = line end
  local _, how, code = self.pipe:close()
  local result = { code = how == "exit" and code or -code, out = table.concat(self.lines, "\n"), err = self:errors(), lines = self.lines }
  self.files:close()
  return result
end

---Runs it to its end.
local function run(arguments, options)
  return Child_methods.start(arguments, options):finish()
end

---Runs it on a terminal of `columns` columns; `input` is typed. out: all that came onto the terminal.
local function on_terminal(arguments, options)
  local columns = options.columns or 80
  local files <close> = env.directory()
  env.write(files:file "in", options.input or "")
  local inner = ("stty cols %d rows 24; %s"):format(columns, command_of(arguments, options))
  local pipe = assert(io.popen(("script -q -e -c %s /dev/null <%s"):format(env.quote(inner), env.quote(files:file "in"))))
  local out = pipe:read("a")
  local _, _, code = pipe:close()
  return { code = code or 0, out = out }
end

---A sandbox of its own program, as a stand-in for the real service.
---@return table child  with `url`, `environment` (for other programs); `child:stop()`
local function service(arguments)
  local all = { "sandbox", "--json", "--seconds", "0.05" }
  for _, argument in ipairs(arguments or {}) do all[#all + 1] = argument end
  local child = Child_methods.start(all)
  local line = child:wait_for('"event":"sandbox"')
  child.url, child.key = line:match('"url":"([^"]+)"'), line:match('"key":"([^"]+)"')
  child.environment = { CRUN_BASE_URL = child.url, CRUN_API_KEY = child.key }
  child.stop = function()
    child:signal("TERM")
    return child:finish()
  end
  child.submits = function()
    return math.tointeger(tonumber(env.output("curl -s " .. child.url .. "/sandbox/ledger"):match('"submits":(%d+)')))
  end
  return child
end

return { run = run, start = Child_methods.start, on_terminal = on_terminal, service = service }
