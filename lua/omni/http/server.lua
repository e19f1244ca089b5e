-- SPDX-License-Identifier: MIT
-- An HTTP server based on omni.listener. Calls a handler for each request, in a separate fiber.

local err = require "omni.error"
local listener = require "omni.listener"
local loop = require "omni.loop"
local options = require "omni.options"
local pollable = require "omni.loop.pollable"

local known = {
  host = "string", port = "integer", max_body = "integer", max_bodies = "integer", max_header = "integer",
  max_connections = "count", max_connections_per_address = "count", idle_timeout = "seconds", header_timeout = "seconds",
  body_timeout = "seconds", answer_timeout = "seconds", tls_certificate = "path", tls_key = "path", body_directory = "path",
  on_error = "function",
}

-- Response headers for a request whose handler raised an error.
local FAILED_HEADERS <const> = { ["Content-Type"] = "application/json" }
local FAILED_BODY <const> = '{"code":500,"message":"internal error","data":null}'

---@class omni.ServerOptions: omni.ListenerOptions
---@field on_error? fun(failure: omni.Error, request: omni.Request)  called for each error that the handler raises

---A handler responds to one request. Each call to the handler runs in its own fiber, so the handler can wait. The handler returns the
---arguments for `request:answer`, or calls `request:answer`, immediately or later. If the garbage collector frees a request without a
---response, the listener closes the request's connection.
---@alias omni.Handler fun(request: omni.Request): integer|nil, table|nil, omni.RequestBody|nil, omni.RequestFault|nil

---@class omni.Server
---@field url string           the server's URL without a path, such as "http://127.0.0.1:8080"; with a certificate, "https://..."
---@field host string
---@field port integer
---@field tls boolean           whether the server has a certificate
---@field failure? omni.Error  the last error that the handler raised
---@field package listener omni.Listener
---@field package on_callback? fun(number: integer, final: boolean)  called for each callback that the listener expected
local Server_methods = {}
local Server_mt = { __name = "omni.server", __index = Server_methods }

local function failure_of(problem)
  local traceback = debug.traceback(nil, 2)
  if err.is(problem) then
    problem.traceback = problem.traceback or traceback
    return problem
  end
  return err.new { code = "handler_failed", message = tostring(problem), cause = problem, traceback = traceback }
end

local function reply(request, status, ...)
  if status == nil then return end
  local sent, why = request:answer(status, ...)
  if sent == nil then error(why, 0) end
end

local function respond(request, handler)
  return reply(request, handler(request))
end

local function handle(server, request)
  local fine, failure = xpcall(respond, failure_of, request, server.handler)
  server.fibers[loop.current()] = nil
  if fine then return end
  request:answer(500, FAILED_HEADERS, FAILED_BODY)
  server.failure = failure
  if server.on_error then server.on_error(failure, request) end
end

-- Takes requests from the listener and starts a fiber for each request.
local function driver_of(server)
  return pollable.driver(server.listener, function(source)
    source:step()
    for number, final in source.callback, source do server.on_callback(number, final) end
    for request in source.next, source do
      server.fibers[loop.background(handle, server, request)] = true
    end
  end)
end

local function url_of(scheme, host, port)
  if host == "0.0.0.0" then host = "127.0.0.1" elseif host == "::" then host = "::1" end
  return ("%s://%s:%d"):format(scheme, host:find(":", 1, true) and "[" .. host .. "]" or host, port)
end

---Reads the server's TLS certificate and key files again, and uses them for new connections. `reload` raises an error if the server has no
---certificate.
---@return true|nil
---@return omni.Error|nil  code "listen_failed" (the new certificate or key can't be used, so the server keeps the old certificate and key)
function Server_methods:reload()
  if not self.tls or self.closed then error("server:reload: this server " .. (self.tls and "is closed" or "has no certificate"), 2) end
  local fine, message = self.listener:reload()
  if not fine then return nil, err.new { code = "listen_failed", message = message } end
  return true
end

---Stops listening, cancels running handlers and drops requests without a response. Idempotent.
function Server_methods:close()
  if self.closed then return end
  self.closed = true
  self.driver:stop()
  local fibers = self.fibers
  self.fibers = {}
  for fiber in pairs(fibers) do
    if fiber ~= loop.current() then fiber:cancel() end
  end
  self.listener:close()
end

Server_mt.__close = Server_methods.close
options.guard(Server_methods, Server_mt, "server")

---Opens an HTTP server, by default on the loopback address and any free port. `omni.run` can return while a server is still open. If the
---handler raises an error, the HTTP client gets status 500 without the error's text; `on_error` and `server.failure` get the error.
---@param given? omni.ServerOptions
---@param handler omni.Handler
---@return omni.Server|nil
---@return omni.Error|nil  code `listen_failed`
local function serve(given, handler)
  given = options.check(given, known, "omni.serve", 2)
  if type(handler) ~= "function" then error("omni.serve: expected a handler function, got " .. type(handler), 2) end
  local wanted = {}
  for name, value in pairs(given) do
    if name ~= "on_error" then wanted[name] = value end
  end
  local fine, source, message = pcall(listener.open, wanted)
  if not fine then error("omni.serve: " .. source:gsub("^listener.open: ", ""), 2) end
  if not source then return nil, err.new { code = "listen_failed", message = message } end
  local host, port = source:host(), source:port()
  local tls = given.tls_certificate ~= nil
  local server = setmetatable({
    url = url_of(tls and "https" or "http", host, port), host = host, port = port, tls = tls,
    listener = source, fibers = {}, handler = handler, on_error = given.on_error,
  }, Server_mt)
  server.driver = driver_of(server)
  server.driver:start()
  return server
end

return { serve = serve }
