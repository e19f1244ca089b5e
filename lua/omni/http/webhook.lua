-- SPDX-License-Identifier: MIT
-- POSTs to anybody's URL: no account, no key, one try each. What the sandbox sends its callbacks with, and omni trigger.

local core = require "omni.core"
local err = require "omni.error"
local exchange = require "omni.http.exchange"
local loop = require "omni.loop"

---@class omni.Sender
local Sender_methods = {}
local Sender_mt = { __name = "omni.sender", __index = Sender_methods }

---Sends one POST, once. A redirect isn't followed. Waits.
---@param url string           http(s), without user and password
---@param body string
---@param content_type string
---@return { status: integer, text: string }|nil  whatever the status; text: the first KiB of what was said, as it came: not to be trusted
---@return omni.Error|nil                         codes: invalid_input (the URL), network, too_large, closed
function Sender_methods:post(url, body, content_type)
  if self.closed then error("the sender is closed", 2) end
  local normal, wrong = core.normalize_url(url)
  if not normal then return nil, err.new { code = "invalid_input", field = "url", message = "url: " .. wrong } end
  url = normal
  if not loop.in_fiber "sender:post" then return loop.drive(self.post, self, url, body, content_type) end
  local answer, failure = exchange.perform(self, nil, nil, "post", url, body, content_type)
  if answer then return answer end
  failure.retry = nil
  return nil, err.new(failure)
end

---Gives up what is on its way. May be called again.
function Sender_methods:close()
  if self.closed then return end
  self.closed = true
  exchange.close(self)
end

Sender_mt.__close = Sender_methods.close

---@param given? { timeout?: number, connect_timeout?: number, connections?: integer }  seconds for the whole of a POST (30) and for its
---  connection (10); how many may be on their way at once (64)
---@return omni.Sender
local function open(given)
  given = given or {}
  local connections = given.connections or 64
  local http = core.client {
    timeout = given.timeout or 30, connect_timeout = given.connect_timeout or 10, max_connections = connections,
  }
  local sender = setmetatable({ http = http }, Sender_mt)
  exchange.attach(sender, { connections = connections })
  return sender
end

return { open = open }
