-- SPDX-License-Identifier: MIT
-- A server with thousands of connections: their memory, the requests of other clients, and the end.
local env = require "helper.env"
local listening = require "helper.listening"
local loop = require "omni.loop"
local process = require "omni.process"
local server = require "omni.http.server"
local wire = require "helper.wire"

local HALF <const> = "POST /slow HTTP/1.1\r\nHost: x\r\nContent-"
local BODY <const> = "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"
local WAIT <const> = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"
local LARGE <const> = "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"

-- 10,000, but at most half of a process's descriptors, minus the other open ones.
local most = math.min(10000, tonumber((env.output("ulimit -n"):gsub("unlimited", "1e9"))) // 2 - 50) // env.slowness // 1 | 0

-- Starts a crowd (helper/crowd.lua), which counts its `open`, `closed` and `failed` connections. It ends with its variable.
local function crowd(one, count, addresses, ...)
  local self = setmetatable({ open = 0, closed = 0, failed = 0 }, { __close = function(self) self.fiber:cancel() end })
  local argv = { env.plain_lua, "spec/helper/crowd.lua", tostring(one.port), tostring(count), tostring(addresses), ... }
  local text = ""
  self.fiber = loop.spawn(process.run, argv, { stdout = "pipe", stderr = "inherit", on_output = function(more)
    text = text .. more
    local last, rest = text:match("([^\n]*)\n([^\n]*)$")
    if not last then return end
    text = rest
    self.open, self.closed, self.failed = table.unpack((function()
      local numbers = {}
      for number in last:gmatch("%d+") do numbers[#numbers + 1] = tonumber(number) end
      return numbers
    end)())
  end })
  return self
end

-- Waits in the loop for a condition.
local function until_so(condition)
  env.become(condition, function() loop.sleep(0.005) end)
end

-- Sends a request from 127.0.0.1, an address that no crowd uses. Returns its status and its duration in seconds.
local function get(one)
  local began = listening.now()
  return (wire.request(one.url, "GET", "/quick")), listening.now() - began
end

local large = ("x"):rep(1 << 22)

-- Runs `fn(server)` in the loop; a request of /wait is never answered.
local function with(options, fn)
  return loop.run(function()
    local one <close> = assert(server.serve(options, function(request)
      if request:path() == "/wait" then loop.park() end
      return 200, nil, request:path() == "/large" and large or "yes"
    end))
    fn(one)
  end)
end

describe("a server with a crowd of connections", function()
  it("holds 10,000 of them in little memory, serves others meanwhile, and frees everything", function()
    local options = { max_connections = most + 10, idle_timeout = 100, header_timeout = 100, body_timeout = 100 }
    local before, bytes = listening.descriptors(), listening.memory()
    with(options, function(one)
      do
        local many <close> = crowd(one, most, most // 60 + 1, HALF, BODY)
        until_so(function() return many.open == most end)
        until_so(function() return listening.descriptors() >= before + most end)
        assert.equal(0, many.closed + many.failed)
        local each = (listening.memory() - bytes) / most
        assert.is_true(each < env.slowness * (20 << 10), each .. " bytes each")
        local status, seconds = get(one)
        assert.equal(200, status)
        assert.is_true(seconds < env.seconds(1), seconds)
      end
      until_so(function() return listening.descriptors() < before + 20 end)
      assert.equal(200, (get(one)))
    end)
  end)

  it("never exceeds its limit, and reaches every client as slow connections time out", function()
    local count = math.min(most, 3000)
    local limit <const> = count // 3
    local before = listening.descriptors()
    with({ max_connections = limit, header_timeout = env.seconds(0.4), body_timeout = env.seconds(0.4) }, function(one)
      local many <close> = crowd(one, count, count // 60 + 1, HALF, BODY)
      until_so(function() return many.open + many.closed >= limit end)
      local highest, status = 0, nil
      loop.spawn(function() status = get(one) end)
      until_so(function()
        highest = math.max(highest, listening.descriptors() - before)
        return many.closed == count
      end)
      assert.equal(200, status)
      assert.is_true(highest >= limit * 0.9 and highest < limit + 20, highest)
    end)
  end)

  it("limits the connections of one address", function()
    with({ header_timeout = 100 }, function(one)
      local many <close> = crowd(one, math.min(most, 2000), 1, HALF)
      until_so(function() return many.closed == math.min(most, 2000) - 64 end)
      assert.equal(64, many.open)
      local status, seconds = get(one)
      assert.equal(200, status)
      assert.is_true(seconds < env.seconds(1), seconds)
    end)
  end)

  it("can be closed while requests arrive, wait and are answered", function()
    local count = math.min(most, 600)
    for _, served in ipairs { count // 4, count } do
      local before = listening.descriptors()
      with({ max_connections = 10000 }, function(one)
        local many <close> = crowd(one, count, 20, HALF, BODY, WAIT, LARGE)
        until_so(function() return many.open >= served end)
        one:close()
        until_so(function() return many.open == 0 end)
        assert.is_nil(next(one.fibers))
      end)
      until_so(function() return listening.descriptors() <= before end)
    end
  end)
end)
