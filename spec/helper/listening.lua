-- SPDX-License-Identifier: MIT
-- What the listener's specs share: one listener for each test, closed at its end, and its peers (helper/peer.lua).
--
--   local here = listening.here(after_each)
--   here.open{ max_body = 10 }; here.connect(peer.GET); here.take():answer(204)

local env = require "helper.env"
local listener = require "omni.listener"
local peer = require "helper.peer"
local socket = require "socket"

local listening = {}

---@param after_each function  busted's, of the block that the tests are in
function listening.here(after_each)
  local here = {}

  ---Opens the test's listener; `here.listener` from now on.
  function here.open(options)
    here.listener = assert(listener.open(options))
    return here.listener
  end

  function here.close()
    if here.listener then here.listener:close() end
    here.listener = nil
  end

  function here.connect(text) return peer.connect(here.listener, text) end
  function here.take(strict) return peer.take(here.listener, strict) end
  function here.serves() return peer.serves(here.listener) end
  function here.drive(condition, seconds, strict) return peer.drive(here.listener, condition, seconds, strict) end

  -- The ports and sockets of a test go with it.
  after_each(function()
    here.close()
    collectgarbage()
  end)
  return here
end

---Seconds, for measuring.
listening.now = socket.gettime

---How many descriptors this process has open.
function listening.descriptors()
  local _, count = env.output("ls /proc/" .. listening.pid() .. "/fd"):gsub("\n", "")
  return count
end

---This process's id.
function listening.pid()
  return (env.read("/proc/self/stat"):match("^%d+"))
end

---Bytes of memory that this process has in use.
function listening.memory()
  return tonumber(env.read("/proc/self/statm"):match("^%d+ (%d+)")) * 4096
end

return listening
