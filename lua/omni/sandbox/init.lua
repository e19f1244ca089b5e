-- SPDX-License-Identifier: MIT
-- omni.sandbox: imitates the service within this process (docs/sandbox.md). The sandbox doesn't use omni's client.

local accounts = require "omni.sandbox.accounts"
local callbacks = require "omni.sandbox.callbacks"
local clip_cache = require "omni.sandbox.clip_cache"
local clock = require "omni.sandbox.clock"
local core = require "omni.core"
local drawing = require "omni.sandbox.drawing"
local err = require "omni.error"
local faults = require "omni.sandbox.faults"
local loop = require "omni.loop"
local options = require "omni.options"
local random = require "omni.sandbox.random"
local server = require "omni.http.server"
local service = require "omni.sandbox.service"
local uploads = require "omni.sandbox.uploads"

local most_upload <const> = 64 * 1024 * 1024    -- maximum size of an uploaded file, in bytes
-- maximum total size of simultaneous uploads, in bytes; the sandbox keeps large uploads on disk
local most_uploads <const> = 1024 * 1024 * 1024

local known = {
  host = "string", port = "integer", seconds = "seconds", seed = "integer",
  key = "string", keys = "any", credits = "number", in_flight = "count", rate = "number", faults = "table",
  directory = "path", clips = "string", upload_seconds = "seconds", media_seconds = "seconds",
}

---@class omni.Sandbox
---@field url string        the base URL for a client
---@field key string        the first API key
---@field keys { key: string, in_flight: integer|nil }[]  all API keys
---@field directory string  contains the clips and the uploaded files
local Sandbox_methods = {}
local Sandbox_mt = { __name = "omni.sandbox", __index = Sandbox_methods }

---Returns the accepted tasks and the charges as a table with the fields of `GET /sandbox/ledger`, but with nil instead of null.
---@return { submits: integer, charged: number, tasks: table[], accounts: table[] }  all accepted submits and their charges
function Sandbox_methods:ledger()
  return self.service:ledger()
end

---Returns a list of the callbacks that were sent, in order. Each entry has the fields that `GET /sandbox/callbacks` returns, but with nil
---instead of null.
---@return omni.sandbox.Callback[]
function Sandbox_methods:callbacks()
  return self.service:sent()
end

local function account_of(self, key, what)
  return self.service.accounts:find(key) or error(("sandbox:%s: the sandbox has no such key"):format(what), 3)
end

---Revokes an API key: from now on, the sandbox rejects every request that uses this key, with HTTP status 401.
---@param key string  one of the sandbox's API keys
function Sandbox_methods:revoke(key)
  account_of(self, key, "revoke").revoked = true
end

---Sets the balance of a key's account.
---@param key string  one of the sandbox's API keys
---@param credits number  the new balance, 0 or more
function Sandbox_methods:set_credits(key, credits)
  local account = account_of(self, key, "set_credits")
  local fits = type(credits) == "number" and credits >= 0 and credits < math.huge
  if not fits then error("sandbox:set_credits: credits must be 0 or more", 2) end
  account.balance = credits
end

---Moves the sandbox's clock ahead, and waits until all events up to the new time have happened in chronological order: tasks have ended,
---late responses have been sent, callbacks have been sent and have received a response, and URLs have expired. `POST
---/sandbox/advance?seconds=` also moves the clock ahead.
---@param seconds number  how far to move the clock, 0 or more
function Sandbox_methods:advance(seconds)
  local fits = type(seconds) == "number" and seconds >= 0 and seconds < math.huge
  if not fits then error("sandbox:advance: seconds must be 0 or more", 2) end
  loop.in_fiber "sandbox:advance"
  loop.drive(self.step, seconds)
end

---Stops the sandbox's server and callbacks, and removes the sandbox's temporary directory. Calling `close` again does nothing.
function Sandbox_methods:close()
  if self.closed then return end
  self.closed = true
  self.clock:close()
  self.server:close()
  self.sent_callbacks:close()
  if self.temporary then self.uploads:remove() end
  self.clips:close(self.temporary)
end

Sandbox_mt.__close = Sandbox_methods.close
options.guard(Sandbox_methods, Sandbox_mt, "sandbox")

-- Delays a response for as long as its field `delay` or the function `wait` requires. Returns the values that an HTTP server's handler must
-- return.
local function outcome(time, request, response)
  if response.wait then response.wait() end
  if response.delay then time:sleep_until(time:now() + response.delay) end
  if response.drop then
    request:drop { reset = response.reset or false }
    return nil
  end
  local fault = response.cut and { cut = response.cut, reset = response.reset or false } or nil
  return response.status, response.headers, response.body, fault
end

-- Returns the directory for clips. Creates the directory if it is missing.
local function directory_of(given)
  if not given then return core.make_temporary_directory("omni-sandbox-") end
  local made, message = core.make_directory(given)
  if not made then return nil, message end
  return given
end

---Starts a sandbox, which runs in omni's event loop.
---@param given? omni.SandboxOptions
---@return omni.Sandbox|nil
---@return omni.Error|nil
local function open(given)
  local o = options.check(given, known, "omni.sandbox")
  local seed = o.seed or 1
  local wanted, misuse = accounts.read(o)
  if not wanted then error("omni.sandbox: " .. misuse, 2) end
  if o.clips and o.clips ~= "ffmpeg" and o.clips ~= "builtin" then
    error("omni.sandbox: option 'clips' must be 'ffmpeg' or 'builtin'", 2)
  elseif o.clips == "ffmpeg" and drawing.available() ~= "ffmpeg" then
    return nil, err.new { code = "process_failed", message = "the sandbox can't draw clips: no ffmpeg with libx264 is installed",
      hint = "install ffmpeg, or use the built-in clip: clips = \"builtin\"" }
  end
  local injected, failure = faults.open(o.faults, seed)
  if not injected then return nil, failure end
  local directory, message = directory_of(o.directory)
  if not directory then
    return nil, err.new { code = "io", message = "can't create the sandbox's directory for clips: " .. tostring(message) }
  end

  local time, served = clock.open(), nil
  local web
  web, failure = server.serve({
    host = o.host or "127.0.0.1", port = o.port or 0, max_body = most_upload, max_bodies = most_uploads, body_directory = directory,
    max_connections_per_address = 1000, -- all connections are local
  }, function(request)
    return outcome(time, request, served:handle {
      method = request:method(), path = request:path(), query = request:query(), headers = request:headers(), size = request:size(),
      file = request:body_file(), body = request:size() <= service.most_body and request:body() or nil,
    })
  end)
  if not web then
    if not o.directory then core.remove(directory) end
    return nil, failure
  end

  local kept = uploads.store(directory .. "/uploads")
  local clips = clip_cache.open { directory = directory, seed = seed, draw = drawing.clip }
  local sent = callbacks.open { seed = seed, clock = time }
  local function step(seconds)
    local target = time:now() + seconds
    time:wait_until(function() return not served.tasks:is_drawing(target) end)
    time:advance(seconds)
  end
  served = service.open {
    accounts = wanted, seconds = o.seconds or 3, seed = seed, port = web.port, url = web.url, faults = injected, callbacks = sent,
    -- Without a seed option, each sandbox creates different task ids, since a ledger may contain tasks from an earlier sandbox.
    ids_seed = o.seed or random.hash(core.token(16)),
    upload_seconds = o.upload_seconds, media_seconds = o.media_seconds,
    keep = function(name, request) return kept:keep(name, request) end,
    now = function() return time:now() end, advance = step, wall = os.time, stat = core.stat,
    draw = function(spec, done)
      spec.seed, spec.builtin = seed, o.clips == "builtin" or nil
      clips:get(spec, function(...)
        done(...)
        time:notice()
      end)
    end,
  }
  local keys = {}
  for i, one in ipairs(served.accounts) do keys[i] = { key = one.key, in_flight = one.in_flight } end
  return setmetatable({
    url = web.url, key = keys[1].key, keys = keys, directory = directory,
    server = web, service = served, clock = time, sent_callbacks = sent, step = step, clips = clips, uploads = kept,
    temporary = not o.directory,
  }, Sandbox_mt)
end

return { open = open, faults = faults.rows }
