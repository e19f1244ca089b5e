-- SPDX-License-Identifier: MIT
-- Soak tests (`make soak`): COUNT tasks (1,000,000) through one process, and a board of 50 scenes that is changed and run again RUNS times
-- (1,000) in one process. After the warm-up, the memory, the descriptors and the threads of these processes may grow by less than 1 %.
-- SOAK_LIMIT is another limit, in percent.

local cjson = require "cjson"
local env = require "helper.env"
local program = require "helper.program"

local function number(name, default) return tonumber(os.getenv(name)) or default end

local count, runs, limit = number("COUNT", 1000000), number("RUNS", 1000), number("SOAK_LIMIT", 1)
local lua <const> = env.lines("command -v " .. env.plain_lua)[1]
local failed = false

-- Runs a Lua program to its end, and checks what it prints.
local function run(name, ...)
  local words = { env.lua, ("spec/soak/%s.lua"):format(name), ... }
  for i, word in ipairs(words) do words[i] = env.quote(word) end
  words[1] = ("PATH=/nonexistent %s"):format(lua) -- without ffmpeg, which would take most of the time
  local said = env.output(table.concat(words, " "))
  local result = cjson.decode(said)
  local parts = {}
  for _, quantity in ipairs { "memory", "live", "descriptors", "threads" } do
    local of = result[quantity]
    parts[#parts + 1] = ("%s %.0f to %.0f (%+.2f %%)"):format(quantity, of.before, of.after, of.growth)
    if quantity ~= "live" and of.growth >= limit then failed = true end
  end
  print(("%s: %d in %.0f s, %.0f s of CPU time; %s"):format(name, result.tasks or result.runs, result.seconds, result.cpu_seconds,
    table.concat(parts, ", ")))
  io.stdout:flush()
  return result
end

local folder <close> = env.directory()
if count > 0 then
  local pipe = assert(io.popen(("echo $$; exec %s spec/soak/service.lua"):format(env.plain_lua)))
  local pid, url = pipe:read "l", pipe:read "l"
  local result = run("tasks", url, ("%d"):format(count), folder:file "tasks.db")
  local charged = cjson.decode(env.output("curl -s " .. url .. "/count"))
  os.execute("kill " .. pid)
  pipe:close()
  if charged.submits ~= count or result.tasks ~= count then
    print(("%d tasks were charged"):format(charged.submits))
    failed = true
  end
end
if runs > 0 then
  local sandbox = program.service { "--seconds", "0", "--credits", "1000000000", "--clips", "builtin" }
  local result = run("board", sandbox.url, sandbox.key, ("%d"):format(runs), folder:file "board")
  if sandbox.submits() ~= 50 + runs or result.fetched ~= 50 + runs then
    print(("%d scenes were charged, %d were fetched"):format(sandbox.submits(), result.fetched))
    failed = true
  end
  sandbox.stop()
end
folder:close()
os.exit(not failed)
