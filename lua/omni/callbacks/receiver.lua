-- SPDX-License-Identifier: MIT
-- The receiver of callbacks. Anybody can POST, and the service signs nothing: so each submit carries a secret of its own in its callback
-- URL, and what comes with it is a hint that a query has to confirm before anything is believed.

local confirming = require "omni.callbacks.confirmation"
local core = require "omni.core"
local err = require "omni.error"
local loop = require "omni.loop"
local options = require "omni.options"
local tokens = require "omni.callbacks.token"

local MAX_BODY <const> = 1048576
local MOST_LOCAL <const> = 1000 -- connections of one address, on the loopback interface

---@class omni.Receiver
---@field url string                        what callback URLs begin with
---@field counts table<string, integer>     taken, confirmed, settled; wrong_token, wrong_method, too_large, not_a_task, wrong_task,
---  unavailable
---@field server? omni.Server
local Receiver_methods = {}
local Receiver_mt = { __name = "omni.receiver", __index = Receiver_methods }

local TEXT <const> = { ["Content-Type"] = "text/plain" }

-- What may be answered: name → status, text, headers. None of these says more than its sender knew.
local answers = {
  taken = { 200, "taken over\n", TEXT }, wrong_token = { 404, "not found\n", TEXT },
  wrong_method = { 405, "only POST\n", { ["Content-Type"] = "text/plain", Allow = "POST" } },
  too_large = { 413, "too large\n", TEXT }, not_a_task = { 400, "not a task\n", TEXT },
  wrong_task = { 409, "another task's callback\n", TEXT }, unavailable = { 503, "try again later\n", TEXT },
}

-- --- what comes in

-- Writes down which task a callback named whose submit has no answer, or a lost one, before that callback is answered: the service may
-- not send it again.
local function note(self, entry, task)
  entry.kept = task.id
  if entry.heard then return true end
  local ledgers, problem = self.client:ledgers()
  for _, ledger in ipairs(ledgers) do -- one of them has the submit's row
    local _, failure = ledger:ask("heard", { token = entry.hash, task_id = task.id })
    problem = problem or failure
  end
  if not problem then
    entry.heard = ledgers[1] ~= nil
    return true
  end
  if not entry.task_id then entry.kept = nil end
  return nil, problem
end

-- Takes over what a callback with the right token says.
local function take(self, entry, task)
  local named = entry.task_id or entry.kept
  if named and named ~= task.id then return "wrong_task" end
  if not entry.task_id then
    local fine, problem = note(self, entry, task)
    if not fine then return "unavailable", problem end
    if entry.task_id and entry.task_id ~= task.id then return "wrong_task" end -- its submit was answered meanwhile
  end
  entry.final = entry.final or task.status == "success" or task.status == "failed"
  if entry.task_id or entry.unknown then confirming.confirm(self, entry) end
  return "taken"
end

local function judge(self, method, path, body)
  local hash = self.tokens:hash(path)
  local entry, problem
  if hash then entry, problem = self.tokens:find(hash) end
  if problem then return "unavailable", nil, problem end
  if not entry then return "wrong_token" end
  if method ~= "POST" then return "wrong_method" end
  if #body > MAX_BODY then return "too_large" end
  local task = core.parse_callback(body)
  if not task then return "not_a_task" end
  local verdict
  verdict, problem = take(self, entry, task)
  return verdict, task, problem
end

local function handle(self, method, path, body)
  if self.closed then return 503, TEXT, answers.unavailable[2] end
  local verdict, task, problem = judge(self, method, path, body)
  self.counts[verdict] = self.counts[verdict] + 1
  if problem then self.client:warn(problem.message) end
  local answer = answers[verdict]
  if self.on_event then
    self.on_event { event = verdict, status = answer[1], task_id = task and task.id, state = task and task.status, body = task and body }
  end
  return answer[1], answer[3], answer[2]
end

---Handles a request, for applications with a web server of their own; its path's last part is the token. What it answers is written
---down first, so it may wait: call it in a fiber (omni.spawn); elsewhere it turns the loop meanwhile.
---@param method string
---@param path string                  as requested; a query is passed over
---@param headers table<string, string>|nil  not looked at: nothing in them can be trusted
---@param body string|nil
---@return integer status
---@return table<string, string> headers  not to be changed
---@return string body
function Receiver_methods:handle(method, path, headers, body) -- luacheck: ignore 212
  if type(method) ~= "string" or type(path) ~= "string" or body ~= nil and type(body) ~= "string" then
    error("receiver:handle: method, path, headers and body are due; all but the headers are strings", 2)
  end
  if not loop.in_fiber "receiver:handle" then return loop.drive(handle, self, method, path, body or "") end
  return handle(self, method, path, body or "")
end

-- --- the client's side

---A callback URL for a submit, with a token of its own. For omni's own modules.
---@return string url
---@return string hash  of the token
function Receiver_methods:issue()
  local token, hash = self.tokens:issue()
  return self.url .. "/" .. token, hash
end

---What became of a submit. For omni's own modules.
---@param hash string
---@param task omni.Task|nil
---@param failure omni.Error|nil
function Receiver_methods:answered(hash, task, failure)
  if self.closed then return end
  if not task and failure.code ~= "submit_unknown" then return self.tokens:forget(hash) end
  local entry = self.tokens:issued(hash)
  if task then
    entry.task_id, task.callback = task.id, true
    self.tokens.tasks[hash] = task
    if entry.kept == task.id then confirming.confirm(self, entry) end
    return
  end
  local row, ledger = self.tokens:look_up(hash)
  if not row then return end
  entry.own, entry.ledger, entry.row, entry.unknown = nil, ledger, row, true
  if entry.kept then confirming.confirm(self, entry) end
end

Receiver_methods.await_settled = confirming.await_settled

---Takes no more callbacks; those who wait go on by queries.
function Receiver_methods:close()
  if self.closed then return end
  self.closed = true
  if self.client.receiver == self then self.client.receiver = nil end
  if self.server then self.server:close() end
  confirming.stop(self)
end

Receiver_mt.__close = Receiver_methods.close

-- --- opening

local known = {
  client = "any", listen = "any", public_url = "string", poll = "seconds", on_event = "function", tls_certificate = "path",
  tls_key = "path",
}

-- "127.0.0.1:8787", "[::1]:8787", "8787"
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

-- Behind a web server all callbacks come from one address, and only this machine's programs reach it.
local function serve(self, given)
  local host, port = address_of(given.listen or "127.0.0.1:8787")
  local problem
  self.server, problem = require("omni.http.server").serve({
    host = host, port = port, max_body = MAX_BODY, tls_certificate = given.tls_certificate, tls_key = given.tls_key,
    max_connections_per_address = core.is_loopback(host) and MOST_LOCAL or nil,
  }, function(request)
    return self:handle(request:method(), request:path(), nil, request:body())
  end)
  return self.server, problem
end

---Opens a receiver for a client: from then on its submits carry a callback URL with a secret of their own, unless they say one themselves,
---and its tasks are waited for by callbacks, with a query every `poll` seconds in case one is lost.
---@param given omni.CallbacksOptions
---@return omni.Receiver|nil  to be closed
---@return omni.Error|nil     codes: listen_failed, invalid_input
local function open(given)
  options.check(given, known, "omni.callbacks")
  local client = given and given.client
  if not client or not client.http then error("omni.callbacks: option 'client' must be an open client", 2) end
  if client.receiver then error("omni.callbacks: this client has a receiver already", 2) end
  if given.listen == false and not given.public_url then error("omni.callbacks: without 'listen' there must be a 'public_url'", 2) end
  if given.listen == false and (given.tls_certificate or given.tls_key) then
    error("omni.callbacks: without 'listen' there is no TLS here", 2)
  end
  if given.listen and type(given.listen) ~= "string" then error("omni.callbacks: option 'listen' must be a string, or false", 2) end
  local public_url, wrong
  if given.public_url then public_url, wrong = core.normalize_base_url(given.public_url) end
  if wrong then return nil, err.new { code = "invalid_input", field = "public_url", message = "public_url: " .. wrong } end
  local self = setmetatable({
    client = client, tokens = tokens.new(client), confirming = confirming.new(), counts = {}, on_event = given.on_event,
  }, Receiver_mt)
  for _, name in ipairs { "confirmed", "settled" } do self.counts[name] = 0 end
  for name in pairs(answers) do self.counts[name] = 0 end
  if given.listen ~= false then
    local server, problem = serve(self, given)
    if not server then return nil, problem end
  end
  self.url = public_url or self.server.url
  if not given.public_url and not client.play then
    client:warn("callbacks are asked for at " .. self.url .. ", where the service can hardly reach them; give a public_url")
  end
  client.receiver, client.callback_poll = self, given.poll or 60
  return self
end

return { open = open, settle_heard = confirming.settle_heard }
