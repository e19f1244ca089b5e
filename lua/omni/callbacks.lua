-- SPDX-License-Identifier: MIT
-- The receiver of callbacks. Anybody can POST, and the service signs nothing: so each submit carries a secret of its own in its callback
-- URL, and what comes with it is a hint that a query has to confirm before anything is believed.

local claims = require "omni.claim"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"

local TOKEN_BYTES <const> = 16   -- 128 bits
local MAX_BODY <const> = 1048576
local PATIENCE <const> = 1800    -- seconds after a submit in which its callback may settle it
local EVERY <const> = 1          -- seconds between two confirming queries of one token
local MAX_TRIES <const> = 10     -- of those in a row, when the service doesn't confirm at once

---@class omni.Receiver
---@field url string                        what callback URLs begin with
---@field counts table<string, integer>     taken, confirmed, settled; wrong_token, wrong_method, too_large, not_a_task, wrong_task
---@field server? omni.Server
local Receiver_methods = {}
local Receiver_mt = { __name = "omni.receiver", __index = Receiver_methods }

-- What may be answered: name → status and text. None of these says more than its sender knew.
local answers = {
  taken = { 200, "taken over" }, wrong_token = { 404, "not found" }, wrong_method = { 405, "only POST" },
  too_large = { 413, "too large" }, not_a_task = { 400, "not a task" }, wrong_task = { 409, "another task's callback" },
}

-- A token's entry: hash; task_id and task, once known; row, of the ledger; unknown: its outcome isn't known; kept: the task that a
-- callback named before we knew any.

-- --- confirming

-- Wakes those who wait for an unknown submit to be settled.
local function tell(entry)
  local waiting = entry.waiting
  entry.waiting = nil
  for _, fiber in ipairs(waiting or {}) do loop.wake(fiber, entry.task) end
end

-- Asks the service about what a callback said. Answers whether that is done with.
local function ask(self, entry)
  local client = self.client
  if entry.task then
    if not client.watch:confirm(entry.task) then return false end
    self.counts.confirmed = self.counts.confirmed + 1
    return true
  elseif entry.unknown then
    local task, problem = claims.claim(client, entry.row, entry.kept)
    if not task then return problem.code == "task_mismatch" or problem.code == "not_found" end
    entry.task, entry.task_id, entry.unknown = task, task.id, nil
    self.counts.settled = self.counts.settled + 1
    tell(entry)
    return true
  end
  local task = client:query(entry.task_id) -- of an earlier program: the ledger takes note of how it ended
  return task ~= nil and task:done()
end

local function confirm(self, entry)
  entry.due = true
  if entry.fiber then return end
  entry.fiber = loop.background(function()
    local tries = 0
    while entry.due and tries < MAX_TRIES do
      local wait = (entry.next_at or 0) - core.now()
      if wait > 0 then loop.sleep(wait) end
      entry.next_at, entry.due, tries = core.now() + EVERY, false, tries + 1
      if not ask(self, entry) then entry.due = true end
    end
    entry.fiber = nil
  end)
end

-- --- what comes in

-- The entry of a token, from memory or from the ledger.
local function find(self, hash)
  local entry = self.entries[hash]
  if entry then return core.same(entry.hash, hash) and entry or nil end
  local records = self.client:ledger()
  local row = records and records:row("by_token", { token = hash })
  if not row or row.state == "refused" or row.state == "forgotten" then return nil end
  entry = { hash = hash, row = row, task_id = row.task_id, unknown = row.state == "unknown" or nil }
  self.entries[hash] = self.entries[hash] or entry
  return self.entries[hash]
end

-- Takes over what a callback with the right token says.
local function take(self, entry, task)
  if entry.task_id and task.id ~= entry.task_id then return "wrong_task" end
  if not entry.task_id then
    if entry.kept and entry.kept ~= task.id then return "wrong_task" end
    local records = self.client:ledger()
    if records and not entry.kept then -- before it is answered: the service may not send it again
      local _, problem = records:ask("heard", { token = entry.hash, task_id = task.id })
      if problem then error(problem, 0) end
    end
    entry.kept = task.id
    if not entry.unknown then return "taken" end -- its submit has no answer yet
  end
  confirm(self, entry)
  return "taken"
end

local function judge(self, method, path, body)
  local token = path:match("^[^?#]*"):match("([^/]+)/?$")
  local entry = token and #token == 2 * TOKEN_BYTES and token:find("^%x+$") and find(self, core.sha256(token:lower()))
  if not entry then return "wrong_token" end
  if method ~= "POST" then return "wrong_method" end
  if #body > MAX_BODY then return "too_large" end
  local task = core.parse_callback(body)
  if not task then return "not_a_task" end
  return take(self, entry, task), task
end

---Handles a request, for applications with a web server of their own; its path's last part is the token.
---@param method string
---@param path string                  as requested; a query is passed over
---@param headers table<string, string>|nil  not looked at: nothing in them can be trusted
---@param body string
---@return integer status
---@return table<string, string> headers
---@return string body
function Receiver_methods:handle(method, path, headers, body) -- luacheck: ignore 212
  if not loop.current() then return loop.drive(self.handle, self, method, path, headers, body) end
  local verdict, task = judge(self, method, path, body or "")
  self.counts[verdict] = self.counts[verdict] + 1
  local answer = answers[verdict]
  if self.on_event then
    self.on_event { event = verdict, status = answer[1], task_id = task and task.id, state = task and task.status, body = task and body }
  end
  local headers_out = { ["Content-Type"] = "text/plain" }
  if verdict == "wrong_method" then headers_out.Allow = "POST" end
  return answer[1], headers_out, answer[2] .. "\n"
end

-- --- the client's side

---A callback URL for a submit, with a token of its own. For the client.
---@return string url
---@return string hash  of the token
function Receiver_methods:issue()
  local token = core.token(TOKEN_BYTES)
  local hash = core.sha256(token)
  self.entries[hash] = { hash = hash }
  return self.url .. "/" .. token, hash
end

---What became of a submit. For the client.
---@param hash string
---@param task omni.Task|nil
---@param failure omni.Error|nil
function Receiver_methods:answered(hash, task, failure)
  local entry = self.entries[hash]
  if task then
    entry.task, entry.task_id, task.callback = task, task.id, true
    if entry.kept == task.id then confirm(self, entry) end
  elseif failure.code == "submit_unknown" then
    local records = self.client:ledger()
    entry.row = records and records:row("by_token", { token = hash })
    entry.unknown = entry.row ~= nil
    if entry.unknown and entry.kept then confirm(self, entry) end
  else
    self.entries[hash] = nil
  end
end

---Waits for a callback to settle a submit whose outcome is unknown.
---@param row table  of the ledger, with a token
---@return omni.Task|nil  nil when its time is over
function Receiver_methods:await_settled(row)
  local entry = find(self, row.token)
  if not entry then return nil end
  if entry.task then return entry.task end
  if row.heard and not entry.kept then
    entry.kept = row.heard
    confirm(self, entry)
  end
  local deadline = core.now() + math.max(0, row.intended_at + PATIENCE - os.time())
  entry.waiting = entry.waiting or {}
  table.insert(entry.waiting, loop.current())
  repeat
    local task = loop.park(math.max(0, deadline - core.now()))
    if task then return task end
  until core.now() >= deadline
end

---Settles what callbacks have named while nobody was there to confirm it.
---@param client omni.Client
---@return integer count
local function settle_heard(client)
  local records = client:ledger()
  local count = 0
  for _, row in ipairs(records and records:ask("all_heard") or {}) do
    if row.state == "unknown" and row.account == client.account and claims.claim(client, row, row.heard) then count = count + 1 end
  end
  return count
end

---Takes no more callbacks; those who wait go on by queries.
function Receiver_methods:close()
  if self.client.receiver == self then self.client.receiver = nil end
  if self.server then self.server:close() end
  for _, entry in pairs(self.entries) do
    if entry.fiber and not entry.fiber:done() then entry.fiber:cancel() end
  end
  self.entries = {}
end

Receiver_mt.__close = Receiver_methods.close

-- --- opening

local known = {
  client = "any", listen = "any", public_url = "string", poll = "seconds", on_event = "function", tls_certificate = "string",
  tls_key = "string",
}

-- "127.0.0.1:8787", "[::1]:8787", "8787"
local function address_of(text)
  local host, port = text:match("^%[([%x:.]+)%]:(%d+)$")
  if not host then host, port = text:match("^([^:%s]*):(%d+)$") end
  if not host then host, port = "", text:match("^%d+$") end
  port = math.tointeger(tonumber(port))
  if not port or port > 65535 then
    error(("omni.callbacks: option 'listen' must be ADDRESS:PORT, not '%s'"):format(core.clean(text, 60)), 3)
  end
  return host ~= "" and host or "127.0.0.1", port
end

local function serve(self, given)
  local host, port = address_of(given.listen or "127.0.0.1:8787")
  local problem
  self.server, problem = require("omni.server").serve({
    host = host, port = port, max_body = MAX_BODY, tls_certificate = given.tls_certificate, tls_key = given.tls_key,
  }, function(request)
    return self:handle(request:method(), request:path(), request:headers(), request:body())
  end)
  return self.server, problem
end

---Opens a receiver for a client: from then on its submits carry a callback URL with a secret of their own, unless they say one themselves,
---and its tasks are waited for by callbacks, with a query every `poll` seconds in case one is lost.
---@param given { client: omni.Client, listen?: string|false, public_url?: string, poll?: number, on_event?: fun(event: table),
---  tls_certificate?: string, tls_key?: string }  listen: "ADDRESS:PORT" ("127.0.0.1:8787"), false for a web server of your own that calls
---  receiver:handle; public_url: what the service can reach it under, by default the server's own address; poll: seconds (60)
---@return omni.Receiver|nil  to be closed
---@return omni.Error|nil     codes: listen_failed, invalid_input
local function open(given)
  options.check(given, known, "omni.callbacks")
  local client = given and given.client
  if not client or not client.http then error("omni.callbacks: option 'client' must be an open client", 2) end
  if client.receiver then error("omni.callbacks: this client has a receiver already", 2) end
  if given.listen == false and not given.public_url then error("omni.callbacks: without 'listen' there must be a 'public_url'", 2) end
  if given.listen and type(given.listen) ~= "string" then error("omni.callbacks: option 'listen' must be a string, or false", 2) end
  if given.public_url and (not core.is_usable_url(given.public_url) or given.public_url:find("[?#]")) then
    return nil, err.new { code = "invalid_input", field = "public_url",
      message = "public_url: must be an http(s) URL without a user, a password, a query" }
  end
  local self = setmetatable({ client = client, entries = {}, counts = {}, on_event = given.on_event }, Receiver_mt)
  for _, name in ipairs { "confirmed", "settled" } do self.counts[name] = 0 end
  for name in pairs(answers) do self.counts[name] = 0 end
  if given.listen ~= false then
    local server, problem = serve(self, given)
    if not server then return nil, problem end
  end
  self.url = (given.public_url or self.server.url):gsub("/+$", "")
  client.receiver, client.callback_poll = self, given.poll or 60
  return self
end

return { open = open, settle_heard = settle_heard }
