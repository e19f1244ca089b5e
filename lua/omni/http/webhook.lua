-- SPDX-License-Identifier: MIT
-- Sends individual POST requests to any URL, without an account or an API key, for the sandbox's callbacks and `omni trigger`.

local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local transports = require "omni.http.transport"

---@class omni.Sender
local Sender_methods = {}
local Sender_mt = { __name = "omni.sender", __index = Sender_methods }

---Sends a POST request once, and waits for the response. Doesn't follow a redirect.
---@param url string           http(s), without user and password
---@param body string
---@param content_type string
---@return { status: integer, text: string }|nil  the response, whatever its status; text: the first KiB of its body, unchecked
---@return omni.Error|nil                         codes: invalid_input (the URL), network, too_large, closed
function Sender_methods:post(url, body, content_type)
  if self.closed then error("the sender is closed", 2) end
  local normal, wrong = core.normalize_url(url)
  if not normal then return nil, err.new { code = "invalid_input", field = "url", message = "url: " .. wrong } end
  url = normal
  if not loop.in_fiber "sender:post" then return loop.drive(self.post, self, url, body, content_type) end
  local answer, failure = self.transport:perform(nil, nil, "post", url, body, content_type)
  if answer then return answer end
  return nil, err.public(failure)
end

---Closes the sender, and aborts its running requests. Idempotent.
function Sender_methods:close()
  if self.closed then return end
  self.closed = true
  self.transport:close()
end

Sender_mt.__close = Sender_methods.close

---@param given? { timeout?: number, connect_timeout?: number, connections?: integer }  defaults: 30 s, 10 s, 64
---@return omni.Sender
local function open(given)
  given = given or {}
  local connections = given.connections or 64
  local http = core.client {
    timeout = given.timeout or 30, connect_timeout = given.connect_timeout or 10, max_connections = connections,
  }
  return setmetatable({ transport = transports.new(http, { connections = connections }) }, Sender_mt)
end

return { open = open }
