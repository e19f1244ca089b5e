-- SPDX-License-Identifier: MIT
-- Helpers for the environment of specs: the interpreter, temporary directories, files, and waiting for conditions.

local core = require "omni.core"
local lfs = require "lfs" -- busted needs it, too

local env = {}

-- An interpreter for helpers of their own, and the one under test, which may run slowly and watched (helper/run).
env.plain_lua = os.getenv("LUA") or "lua5.4"
env.lua = os.getenv("OMNI_TEST_LUA") or env.plain_lua

---For a child whose TMPDIR isn't there: valgrind itself could not start in it.
env.lua_without_tmpdir = env.lua:find("memcheck", 1, true) and env.plain_lua or env.lua

---How much slower the code under test runs here: more than 1 under valgrind and the sanitizers.
env.slowness = tonumber(os.getenv("OMNI_TEST_SLOWNESS") or "1")

---Whether it is: specs of thousands of steps then do with fewer.
env.is_slow = env.slowness > 1

---A time limit in seconds, stretched for slow runs, and for a machine that other programs keep busy.
function env.seconds(value) return value * 3 * env.slowness end

---Waits until a condition holds. Fails within two minutes if it doesn't, so that a spec that hangs shows where.
---@param condition fun(): any
---@param turn? fun()      called between two looks at the condition; without it, only the condition itself is called
---@param seconds? number  how long it takes at most when nothing else keeps the machine busy (40)
function env.become(condition, turn, seconds)
  local limit = env.seconds(seconds or 40)
  local deadline = core.now() + limit
  while not condition() do
    if core.now() >= deadline then error(("the condition didn't hold within %d seconds"):format(limit), 2) end
    if turn then turn() end
  end
end

---A word as the shell takes it literally.
function env.quote(word) return "'" .. tostring(word):gsub("'", [['\'']]) .. "'" end

---What a shell command prints; raises when it fails.
function env.output(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read("a")
  assert(pipe:close(), "failed: " .. command)
  return text
end

---The lines that a shell command prints.
function env.lines(command)
  local lines = {}
  for line in env.output(command):gmatch("[^\n]+") do lines[#lines + 1] = line end
  return lines
end

local Directory_methods = {}
local Directory_mt = { __name = "spec.directory", __index = Directory_methods }

---The path of a file in it.
function Directory_methods:file(name) return self.path .. "/" .. name end

---Removes a file, or a folder with all that is in it. It isn't an error when nothing is there.
function env.remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    pcall(function() -- another program may remove it in the meantime
      for name in lfs.dir(path) do
        if name ~= "." and name ~= ".." then env.remove(path .. "/" .. name) end
      end
    end)
    lfs.rmdir(path)
  else
    os.remove(path)
  end
end

---Removes it with all that is in it.
function Directory_methods:close()
  if self.path then env.remove(self.path) end
  self.path = nil
end

---The names in it, sorted.
function Directory_methods:names()
  local names = {}
  for name in lfs.dir(self.path) do
    if name ~= "." and name ~= ".." then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

---The paths of all that is in it, sorted, a line each.
function Directory_methods:listing()
  local paths = {}
  local function add(folder, prefix)
    for name in lfs.dir(folder) do
      if name ~= "." and name ~= ".." then
        paths[#paths + 1] = prefix .. name
        if lfs.symlinkattributes(folder .. "/" .. name, "mode") == "directory" then add(folder .. "/" .. name, prefix .. name .. "/") end
      end
    end
  end
  add(self.path, "")
  table.sort(paths)
  return table.concat(paths, "\n")
end

Directory_mt.__close = Directory_methods.close
Directory_mt.__gc = Directory_methods.close

---A new temporary directory, removed when closed. Only its owner may look into it.
---@param parent? string  TMPDIR by default
function env.directory(parent)
  local path = assert(core.make_temporary_directory "tmp.")
  if parent then
    local inside = parent .. path:match "/tmp%.[^/]+$"
    assert(os.rename(path, inside))
    path = inside
  end
  return setmetatable({ path = path }, Directory_mt)
end

---Whether a process is there, and isn't a zombie.
---@param pid integer|string
function env.is_alive(pid)
  local state = (env.read("/proc/" .. pid .. "/stat") or ""):match "%) (%u)"
  return state ~= nil and state ~= "Z"
end

---The bytes of a file, or nil.
function env.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

function env.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

---A folder with the locales of these names, for a child's LOCPATH; nil where they can't be made.
---@param ... string  "de_DE", "tr_TR"
---@return table|nil directory  to be closed
function env.locales(...)
  local directory = env.directory()
  for _, name in ipairs { ... } do
    local made = os.execute(("localedef -i %s -f UTF-8 %s >/dev/null 2>&1"):format(name, env.quote(directory:file(name .. ".UTF-8"))))
    if not made then return directory:close() end
  end
  return directory
end

---`text` compressed by the gzip program, `times` times over; or `size` zero bytes, when text is nil.
function env.gzip(text, size)
  local directory <close> = env.directory()
  local path = directory:file("plain")
  if text then
    env.write(path, text)
    return env.output("gzip -9 -c < " .. env.quote(path))
  end
  return env.output(("head -c %d /dev/zero | gzip -9 -c"):format(size))
end

---Ports of the loopback address that nothing listens on just now, and that the system gives to no connection by itself.
---@param count integer
---@return integer ...
function env.free_ports(count)
  local socket = require "socket"
  local servers, ports = {}, {}
  for i = 1, count do
    repeat
      ports[i] = math.random(20000, 32000)
      servers[i] = socket.bind("127.0.0.1", ports[i])
    until servers[i]
  end
  for _, server in ipairs(servers) do server:close() end
  return table.unpack(ports)
end

return env
