-- SPDX-License-Identifier: MIT
-- Runs the built program omni as a child, in an environment without a key, a home, the user's ledger and ffmpeg (the small built-in clips
-- are quick).

local cjson = require "cjson"
local env = require "helper.env"
local http = require "socket.http"
local ltn12 = require "ltn12"
local process = require "omni.process"
local socket = require "socket"

local here = env.output("pwd"):gsub("\n$", "")
local binary = os.getenv("OMNI") or here .. "/build/omni"
if binary:sub(1, 1) ~= "/" then binary = here .. "/" .. binary end

local Child_methods = {}
local Child_mt = { __name = "spec.program", __index = Child_methods }

-- `state` is where its ledger is, unless the environment says otherwise.
local function words_of(environment, state)
  local all = {
    HOME = "/nonexistent", PATH = "/nonexistent", TERM = "xterm", CRUN_API_KEY = "", CRUN_API_KEYS = "", XDG_CONFIG_HOME = "",
    XDG_CACHE_HOME = "", CRUN_BASE_URL = "", NO_COLOR = "", XDG_STATE_HOME = state, OMNI_LEDGER = "",
    http_proxy = "", https_proxy = "", all_proxy = "", no_proxy = "", HTTPS_PROXY = "", ALL_PROXY = "", NO_PROXY = "",
    CURL_CA_BUNDLE = "", SSL_CERT_FILE = "", SSL_CERT_DIR = "", OMNI_ALLOW_PRIVATE_NETWORKS = "",
  }
  for name, value in pairs(environment or {}) do all[name] = value end
  local words = {}
  for name, value in pairs(all) do words[#words + 1] = env.quote(name .. "=" .. value) end
  return table.concat(words, " ")
end

local function command_of(arguments, options, files)
  local words = {}
  for i, argument in ipairs(arguments) do words[i] = env.quote(argument) end
  return ("/usr/bin/env %s %s %s"):format(words_of(options.environment, files:file "state"), env.quote(binary), table.concat(words, " "))
end

---Starts it. options: environment (table), input (text for stdin), directory (where it runs).
function Child_methods.start(arguments, options)
  options = options or {}
  local files = env.directory()
  env.write(files:file "in", options.input or "")
  local pipe = assert(io.popen(("cd %s && echo $$ && exec %s <%s 2>%s"):format(env.quote(options.directory or here),
    command_of(arguments, options, files), env.quote(files:file "in"), env.quote(files:file "err"))))
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
function Child_methods:errors() return env.read(self.files:file "err") or "" end

---Waits until stderr matches; returns what is there.
function Child_methods:wait_for_error(pattern)
  while true do
    local text = self:errors()
    if text:find(pattern) then return text end
    assert(env.is_alive(self.pid), "it ended, and stderr was: " .. text)
    socket.sleep(0.01)
  end
end

---Waits for its end.
---@param on_line? fun(line: string)  called after each further line on stdout
---@return { code: integer, out: string, err: string }
function Child_methods:finish(on_line)
  for line in self.pipe:lines() do
    self.lines[#self.lines + 1] = line
    if on_line then on_line(line) end
  end
  local _, how, code = self.pipe:close()
  local result = { code = how == "exit" and code or -code, out = table.concat(self.lines, "\n"), err = self:errors(), lines = self.lines }
  self.files:close()
  return result
end

---Runs it to its end.
local function run(arguments, options)
  return Child_methods.start(arguments, options):finish()
end

---Runs it to its end from inside of the loop, which goes on meanwhile: what it asks may be answered by the spec itself.
---@return { code: integer, out: string, err: string, lines: string[] }
local function run_in_loop(arguments, options)
  local files <close> = env.directory()
  local command = ("exec %s </dev/null"):format(command_of(arguments, options, files))
  local done = assert(process.run({ "/bin/sh", "-c", command }, { stdout = "pipe", directory = options.directory }))
  local result = { code = done.exit or -done.signal, out = done.stdout, err = done.stderr, lines = {} }
  for line in result.out:gmatch "[^\n]+" do result.lines[#result.lines + 1] = line end
  return result
end

---Runs it on a terminal of `columns` columns; `input` is typed. out: all that came onto the terminal. `steps` lists pairs of a
---pattern and a function that is called with `type(text)`, which types, once what came since the last step matches.
local function on_terminal(arguments, options)
  local columns = options.columns or 80
  local files <close> = env.directory()
  local keys = files:file "in"
  if options.steps then env.output("mkfifo " .. env.quote(keys)) else env.write(keys, options.input or "") end
  local inner = ("stty cols %d rows 24; %s"):format(columns, command_of(arguments, options, files))
  local pipe = assert(io.popen(("script -q -e -c %s /dev/null <%s"):format(env.quote(inner), env.quote(keys))))
  local typed, out = options.steps and assert(io.open(keys, "w")), ""
  for _, step in ipairs(options.steps or {}) do
    local since = #out + 1
    repeat out = out .. assert(pipe:read(1), out) until out:find(step[1], since)
    step[2](function(text) assert(typed:write(text)):flush() end)
  end
  out = out .. pipe:read("a")
  local _, _, code = pipe:close()
  if typed then typed:close() end
  return { code = code or 0, out = out }
end

---The events that a program with --json has told of, a line each.
local function events_of(result)
  local events = {}
  for i, line in ipairs(result.lines) do events[i] = cjson.decode(line) end
  return events
end

-- The environment of a program that finds ffmpeg, which cuts films.
local tools <const> = { PATH = os.getenv("PATH") }

---The body of an answer to a request without a body, which must succeed.
local function ask(method, url)
  local received = {}
  local fine, status = http.request { method = method, url = url, sink = ltn12.sink.table(received), headers = { ["Content-Length"] = 0 } }
  assert(fine and status == 200, ("%s %s: %s"):format(method, url, status))
  return table.concat(received)
end

-- Adds the URL, the keys, the environment and the methods of a sandbox to its program.
local function as_service(child)
  local line = child:wait_for('"event":"sandbox"')
  child.url, child.key = line:match('"url":"([^"]+)"'), line:match('"key":"([^"]+)"')
  child.keys = {}
  for key in line:gmatch('"key":"([^"]+)"') do child.keys[#child.keys + 1] = key end
  if child.keys[2] then table.remove(child.keys, 1) end -- the line has the first key twice
  child.environment = { CRUN_BASE_URL = child.url, CRUN_API_KEY = child.key, PATH = tools.PATH }
  child.stop = function()
    child:signal("TERM")
    return child:finish()
  end
  child.ledger = function() return cjson.decode(ask("GET", child.url .. "/sandbox/ledger")) end
  child.advance = function(seconds) ask("POST", ("%s/sandbox/advance?seconds=%d"):format(child.url, seconds)) end
  child.submits = function() return math.tointeger(child.ledger().submits) end
  return child
end

---A sandbox as a program of its own. Its clips are the small ones.
---@param arguments? string[]  further ones for `omni sandbox`
---@return table child  with `url`, `key`, `keys`, `environment` (of programs that use it, and that find ffmpeg), `ledger()`, `submits()`,
---  `advance(seconds)` (sets its clock ahead), `stop()`
local function service(arguments)
  local all = { "sandbox", "--json", "--seconds", "0.05" }
  for _, argument in ipairs(arguments or {}) do all[#all + 1] = argument end
  return as_service(Child_methods.start(all))
end

local real_service_script <const> = [[
local faults = table.move(arg, 3, #arg, 1, {})
local sandbox = assert(omni.sandbox {
  key = "ak_" .. ("0123456789abcdef"):rep(2), seconds = tonumber(arg[1]), credits = tonumber(arg[2]), faults = faults,
})
print(('{"event":"sandbox","url":"%s","key":"%s"}'):format(sandbox.url, sandbox.key))
io.stdout:flush()
omni.loop.park()
]]

---The same with a key of its own, so that omni can't tell it from the real service: its submits are no rehearsal's.
---@param options? { seconds?: number, credits?: number, faults?: string[] }
---@return table child  as for `service`
local function real_service(options)
  options = options or {}
  local arguments = { "lua", "-", options.seconds or 0.05, options.credits or 10000 }
  for _, fault in ipairs(options.faults or {}) do arguments[#arguments + 1] = fault end
  return as_service(Child_methods.start(arguments, { input = real_service_script }))
end

return {
  ask = ask, binary = binary, events_of = events_of,
  run = run, run_in_loop = run_in_loop, start = Child_methods.start, on_terminal = on_terminal,
  service = service, real_service = real_service, tools = tools,
}
