-- SPDX-License-Identifier: MIT
-- Explains why a function can't wait at the point where it was called, and names the line of the call.

-- The chunk names of omni's own files begin with this text, which is "@omni/" in the `omni` program.
local own_chunks = debug.getinfo(1, "S").source:match("^(.*)loop/caller%.lua$") or "@omni/"

local blocks_host -- a function that returns whether a host's event loop is running (a waiting call would block it); nil without a host

-- Returns the location ("file:line: ") of the innermost function on the stack that isn't part of omni.
local function place_of_caller()
  local level = 3
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then return "" end
    if info.what ~= "C" and info.source:sub(1, #own_chunks) ~= own_chunks then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
    level = level + 1
  end
end

local function in_finalizer()
  local level = 3
  while true do
    local info = debug.getinfo(level, "n")
    if not info then return false end
    if info.name == "__gc" and info.namewhat == "metamethod" then return true end
    level = level + 1
  end
end

-- Returns the reason why the caller can't wait, or nil if it can.
local function why_no_wait(fiber, stepping)
  if not fiber then
    if stepping then return "the event loop called this function; use omni.spawn" end
    if in_finalizer() then return "a finalizer (__gc) can't wait; use omni.spawn" end
    if blocks_host and blocks_host() then return "it would block the host's event loop; use the host's call method" end
  elseif coroutine.running() ~= fiber.co then
    return "a coroutine that omni doesn't run can't wait; use omni.spawn instead of coroutine.create"
  elseif not coroutine.isyieldable() then
    return "the call comes through a C function (string.gsub, table.sort, require, a metamethod, a __close handler, ...), which Lua"
      .. " can't suspend; wait before or after that, or use omni.spawn"
  end
end

---Raises an error at the line that called omni if the caller can't wait.
---@param fiber omni.Fiber|nil  the running fiber
---@param stepping boolean      whether the loop is inside a step
---@param name? string          the function that wants to wait
local function check(fiber, stepping, name)
  local why = why_no_wait(fiber, stepping)
  if why then error(("%s%s can't wait here: %s"):format(place_of_caller(), name or "omni", why), 0) end
end

---Makes waiting calls outside of fibers raise an error while a host event loop is running, since they would block that loop.
---@param is_running (fun(): boolean)|nil  returns whether that loop is running; nil: such calls are allowed, and block that loop
local function refuse_to_block(is_running) blocks_host = is_running end

return { check = check, refuse_to_block = refuse_to_block }
