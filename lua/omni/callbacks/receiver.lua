-- SPDX-License-Identifier: MIT
-- The callback receiver. Anyone can POST to the receiver, and the service doesn't sign its callbacks. To keep forged callbacks out, each
-- submit's callback URL contains a secret token. A callback is only a hint, which omni doesn't trust until a query confirms it.

local confirming = require "omni.callbacks.confirmation"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local tokens = require "omni.callbacks.token"

local MAX_BODY <const> = 1048576
local MAX_HEADER <const> = 4096 -- bytes: maximum size of a request's headers; libmicrohttpd clears several times as much memory per request
local MAX_LOCAL <const> = 1000 -- maximum number of connections from one address on the loopback interface

---@class omni.Receiver
---@field url string                        the beginning of callback URLs
---@field counts table<string, integer>     accepted, confirmed, settled; wrong_token, wrong_method, too_large, wrong_encoding,
---  not_a_task, wrong_task, unavailable
---@field server? omni.Server
local Receiver_methods = {}
local Receiver_mt = { __name = "omni.receiver", __index = Receiver_methods }

local TEXT <const> = { ["Content-Type"] = "text/plain" }

-- The responses: name → status, text, headers. No response gives the sender any new information.
local RESPONSES <const> = {
  accepted = { 200, "accepted\n", TEXT }, wrong_token = { 404, "not found\n", TEXT },
  wrong_method = { 405, "only POST\n", { ["Content-Type"] = "text/plain", Allow = "POST" } },
  too_large = { 413, "too large\n", TEXT }, wrong_encoding = { 415, "the body must not be compressed\n", TEXT },
  not_a_task = { 400, "not a task\n", TEXT },
  wrong_task = { 409, "another task's callback\n", TEXT }, unavailable = { 503, "try again later\n", TEXT },
}

-- --- requests

-- Records the task that a callback named if the submit's response hasn't arrived yet or was lost. The receiver responds to the callback
-- only when the task's record is on disk, since the service might not send the callback again.
local function record_named_task(self, entry, id)
  entry.kept = id
  if entry.heard then return true end
  local ledgers, problem = self.client:ledgers()
  for _, ledger in ipairs(ledgers) do -- only one of these ledgers contains the submit's row
    local _, failure = ledger:ask("record_callback", { token = entry.hash, task_id = id })
    problem = problem or failure
  end
  if not problem then
    entry.heard = ledgers[1] ~= nil
    return true
  end
  if not entry.task_id then entry.kept = nil end
  return nil, problem
end

-- Accepts a callback with a valid token.
local function accept(self, entry, id, status)
  local named = entry.task_id or entry.kept
  if named and named ~= id then return "wrong_task" end
  if not entry.task_id then
    local fine, problem = record_named_task(self, entry, id)
    if not fine then return "unavailable", problem end
    if entry.task_id and entry.task_id ~= id then return "wrong_task" end -- the submit's response has arrived and names another task
  end
  entry.final = entry.final or status == "success" or status == "failed"
  if entry.task_id or entry.unknown then confirming.confirm(self, entry) end
  return "accepted"
end

-- Returns whether a body is compressed, judging by its headers and by gzip's magic bytes.
local function is_compressed(headers, body)
  for name, value in pairs(headers or {}) do
    if tostring(name):lower() == "content-encoding" and tostring(value):lower() ~= "identity" and value ~= "" then return true end
  end
  return body:sub(1, 2) == "\x1F\x8B"
end

local function check(self, method, path, headers, body)
  local hash = self.tokens:hash(path)
  local entry, problem
  if hash then entry, problem = self.tokens:find(hash) end
  if problem then return "unavailable", nil, nil, problem end
  if not entry then return "wrong_token" end
  if method ~= "POST" then return "wrong_method" end
  if #body > MAX_BODY then return "too_large" end
  if is_compressed(headers, body) then return "wrong_encoding" end
  local id, status = core.callback_head(body)
  if not id then return "not_a_task" end
  local result
  result, problem = accept(self, entry, id, status)
  return result, id, status, problem
end

-- Counts and confirms an expected callback, to which the listener has already responded.
local function accept_expected(self, number, final)
  self.counts.accepted = self.counts.accepted + 1
  local entry = self.tokens.expected[number]
  if not entry then return end -- the receiver dropped the token after the callback had arrived
  entry.final = entry.final or final
  confirming.confirm(self, entry)
end

local function handle(self, method, path, headers, body)
  if self.closed then return 503, TEXT, RESPONSES.unavailable[2] end
  local result, id, status, problem = check(self, method, path, headers, body)
  self.counts[result] = self.counts[result] + 1
  if problem then self.client:warn(problem.message) end
  local response = RESPONSES[result]
  if self.on_event then
    self.on_event { event = result, status = response[1], task_id = id, state = id and status, body = id and body }
  end
  return response[1], response[3], response[2]
end

---Handles a callback request that an application's own web server has received. The last segment of a callback request's path is the token.
---`handle` may wait for the disk, so call it in a fiber (omni.spawn). Outside of a fiber, `handle` runs the event loop while it waits.
---@param method string
---@param path string                  the request's path; `handle` ignores its query string
---@param headers table<string, string>|nil  `handle` checks only Content-Encoding, and returns status 415 for a compressed body
---@param body string|nil
---@return integer status
---@return table<string, string> headers  the response headers; don't change this table
---@return string body
function Receiver_methods:handle(method, path, headers, body)
  if type(method) ~= "string" or type(path) ~= "string" or headers ~= nil and type(headers) ~= "table"
    or body ~= nil and type(body) ~= "string" then
    error("receiver:handle: expected method, path, headers and body; headers must be a table, the others strings", 2)
  end
  if not loop.in_fiber "receiver:handle" then return loop.drive(handle, self, method, path, headers, body or "") end
  return handle(self, method, path, headers, body or "")
end

-- --- functions for the client

---Returns a callback URL with a new token, for one submit request. For the client.
---@return string url
---@return string hash  the token's hash
---@package
function Receiver_methods:issue()
  local token, hash = self.tokens:issue()
  return self.url .. "/" .. token, hash
end

---Reports a submit's outcome to the receiver. For the client.
---@param hash string
---@param task omni.Task|nil
---@param failure omni.Error|nil
---@package
function Receiver_methods:submit_ended(hash, task, failure)
  if self.closed then return end
  if not task and failure.code ~= "submit_unknown" then return self.tokens:forget(hash) end
  local entry = self.tokens:issued(hash)
  if task then
    entry.task_id, task.callback = task.id, true
    self.tokens.tasks[hash] = task
    self.tokens:expect(entry)
    if entry.kept == task.id then confirming.confirm(self, entry) end
    return
  end
  local row, ledger = self.tokens:look_up(hash)
  if not row then return end
  entry.own, entry.ledger, entry.row, entry.unknown = nil, ledger, row, true
  if entry.kept then confirming.confirm(self, entry) end
end

Receiver_methods.await_settled = confirming.await_settled

---Stops accepting callbacks. After `close`, omni queries awaited tasks as often as it does without a receiver.
function Receiver_methods:close()
  if self.closed then return end
  self.closed = true
  if self.client.receiver == self then self.client.receiver = nil end
  if self.server then self.server:close() end
  confirming.stop(self)
end

Receiver_mt.__close = Receiver_methods.close
options.guard(Receiver_methods, Receiver_mt, "receiver")

-- --- opening

local known = {
  client = "client", listen = "any", public_url = "string", poll = "seconds", on_event = "function", tls_certificate = "path",
  tls_key = "path",
}

-- Splits the `listen` option's value, such as "127.0.0.1:8787", "[::1]:8787" or "8787", into an address and a port.
local function address_of(text)
  local host, port = text:match("^%[([%x:.]+)%]:(%d+)$")
  if not host then host, port = text:match("^([^:%s%c]*):(%d+)$") end
  if not host then host, port = "", text:match("^%d+$") end
  port = math.tointeger(tonumber(port))
  if not port or port > 65535 then
    error(("omni.callbacks: option 'listen' must be ADDRESS:PORT, not '%s'"):format(core.clean(text, 60)), 3)
  end
  return host ~= "" and host or "127.0.0.1", port
end

-- On the loopback interface, the receiver allows many connections from one address, because a web server in front of the receiver forwards
-- all callbacks from a single address. Only programs on this machine can connect to the loopback interface.
local function serve(self, given)
  local host, port = address_of(given.listen or "127.0.0.1:8787")
  local problem
  self.server, problem = require("omni.http.server").serve({
    host = host, port = port, max_body = MAX_BODY, max_header = MAX_HEADER,
    tls_certificate = given.tls_certificate, tls_key = given.tls_key,
    max_connections_per_address = core.is_loopback(host) and MAX_LOCAL or nil,
  }, function(request)
    return self:handle(request:method(), request:path(), request:headers(), request:body())
  end)
  if self.server and not self.on_event then -- an `on_event` hook needs each callback's body, which the listener doesn't keep
    self.tokens.listener = self.server.listener
    self.server.on_callback = function(number, final) return accept_expected(self, number, final) end
  end
  return self.server, problem
end

---Opens a receiver for a client. Once the receiver is open, each submit without its own callback URL gets a callback URL that contains a
---secret token. With a receiver, `task:await` waits for the task's callback, and queries the task only every `poll` seconds in case the
---callback gets lost.
---@param given omni.CallbacksOptions
---@return omni.Receiver|nil  the open receiver; close the receiver when you no longer need it
---@return omni.Error|nil     codes: listen_failed, invalid_input
local function open(given)
  given = options.check(given, known, "omni.callbacks")
  local client = given.client
  if not client or client.closed then error("omni.callbacks: option 'client' must be an open client", 2) end
  if client.receiver then error("omni.callbacks: this client has a receiver already", 2) end
  if given.listen == false and not given.public_url then error("omni.callbacks: without 'listen', option 'public_url' is required", 2) end
  if given.listen == false and (given.tls_certificate or given.tls_key) then
    error("omni.callbacks: TLS needs option 'listen'", 2)
  end
  if given.listen and type(given.listen) ~= "string" then error("omni.callbacks: option 'listen' must be a string, or false", 2) end
  local public_url, wrong
  if given.public_url then public_url, wrong = core.normalize_base_url(given.public_url) end
  if wrong then return nil, err.new { code = "invalid_input", field = "public_url", message = "public_url: " .. wrong } end
  local self = setmetatable({
    client = client, tokens = tokens.new(client), confirming = confirming.new(), counts = {}, on_event = given.on_event,
  }, Receiver_mt)
  for _, name in ipairs { "confirmed", "settled" } do self.counts[name] = 0 end
  for name in pairs(RESPONSES) do self.counts[name] = 0 end
  if given.listen ~= false then
    local server, problem = serve(self, given)
    if not server then return nil, problem end
  end
  self.url = public_url or self.server.url
  if not given.public_url and not client.is_sandbox then
    client:warn("the callback URL is " .. self.url .. ", which the service probably can't reach; give a public_url")
  end
  client.receiver, client.callback_poll = self, given.poll or 60
  return self
end

return { open = open, settle_past_callbacks = confirming.settle_past_callbacks }
