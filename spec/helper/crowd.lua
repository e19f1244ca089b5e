-- SPDX-License-Identifier: MIT
-- A crowd of connections as a program of its own, as one process may not have enough descriptors for both sides: crowd.lua PORT COUNT
-- ADDRESSES TEXT... The connections come from 127.0.1.1, 127.0.1.2, ... (ADDRESSES of them, in turns), and each sends one of the texts, in
-- turns. It keeps them until the other side closes them, and prints after each change how many are open, closed and failed: "OPEN CLOSED
-- FAILED".
local uv = require "luv"

local port, count, addresses = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])
local texts = { table.unpack(arg, 4) }
local PENDING <const> = 100 -- connections that are begun at a time

local begun, pending, open, closed, failed = 0, 0, 0, 0, 0

local function tell() io.write(("%d %d %d\n"):format(open, closed, failed)):flush() end

local begin

local function enter(client, text)
  open = open + 1
  client:write(text)
  client:read_start(function(problem, data)
    if not problem and data then return end
    client:close()
    open, closed = open - 1, closed + 1
    tell()
  end)
end

function begin()
  local index = begun
  begun, pending = begun + 1, pending + 1
  local client, number = uv.new_tcp(), index % addresses
  assert(client:bind(("127.0.%d.%d"):format(1 + number // 250, 1 + number % 250), 0))
  client:connect("127.0.0.1", port, function(problem)
    pending = pending - 1
    if problem then
      client:close()
      failed = failed + 1
    else
      enter(client, texts[index % #texts + 1])
    end
    tell()
    while begun < count and pending < PENDING do begin() end
  end)
end

begin()
uv.run()
