-- SPDX-License-Identifier: MIT
-- A store in S3, or at a server that speaks S3's protocol. libcurl signs the requests (csrc/core/signing.c).

local addresses = require "omni.store.address"
local aws_settings = require "omni.store.aws_settings"
local core = require "omni.core"
local downloads = require "omni.client.download"
local err = require "omni.error"
local media_request = require "omni.client.media_request"
local retry = require "omni.client.retry"
local transports = require "omni.http.transport"

local TYPE <const> = "application/octet-stream"
local CHECK_FOR <const> = 10 -- seconds for which `check` retries, since a person may be waiting

-- What to do about S3's error codes.
local wrong_region <const> = "set AWS_REGION to the bucket's region"
local wrong_key <const> = "correct the access key and its secret"
local hints <const> = {
  AccessDenied = "let the access key read, write and list the bucket: s3:GetObject, s3:PutObject, s3:ListBucket",
  AuthorizationHeaderMalformed = wrong_region, PermanentRedirect = wrong_region, TemporaryRedirect = wrong_region,
  ExpiredToken = "get new credentials", InvalidToken = "get new credentials",
  InvalidAccessKeyId = wrong_key, SignatureDoesNotMatch = wrong_key,
  NoSuchBucket = "create the bucket, or correct the store's address",
  RequestTimeTooSkewed = "set this machine's clock",
}
local temporary <const> = { InternalError = true, RequestTimeout = true, ServiceUnavailable = true, SlowDown = true }

---@class omni.S3Store
---@field address string
---@field base_url string  the URL of the bucket's prefix, with a slash at its end
---@field client omni.Client
---@field retry_for number
---@field key_from string  the name of the variable or of the file that has the access key
local S3_methods = {}
local S3_mt = { __name = "omni.store.s3", __index = S3_methods }

-- --- what downloads and uploads need of a client

function S3_methods:media_transport() return self.transport.http and self.transport end
function S3_methods:wait_before_retry(...) return self.client:wait_before_retry(...) end
function S3_methods:report_retry(...) return self.client:report_retry(...) end

-- --- failures

local local_problems <const> = { closed = true, file_changed = true, io = true } -- failures that aren't the store's

-- Turns a failure, or a response with this status and text, into a failure of the store.
local function failure_of(self, status, said, failure)
  local code = said:match "<Code>([%w.]+)</Code>"
  local message = said:match "<Message>(.-)</Message>"
  local why = code and ("%s (%s)"):format(core.clean(message or "no reason", 300), code)
  if not why then why = status and ("HTTP %d"):format(status) or core.clean(said, 300) end
  local retries = failure and not failure.status and failure.retry
  if status then retries = status >= 500 or status == 429 or status == 408 or temporary[code] or false end
  return {
    code = failure and local_problems[failure.code] and failure.code or "store_failed",
    message = ("the store %s: %s"):format(self.address, why), status = status, retry = retries,
    retry_after = failure and failure.retry_after,
    hint = hints[code] and ("%s (%s)"):format(hints[code], self.key_from) or failure and failure.hint
      or status == 403 and hints.AccessDenied or status == 301 and wrong_region or nil,
  }
end

-- Sends a request, retries it for the client's `retry_for` seconds or for `patience`, and returns the response. `fine` lists the statuses
-- that the caller expects.
local function request(self, fine, method, url, body, patience)
  local deadline = core.now() + (patience or math.huge)
  return retry.persist(self, function()
    local answer, failure = self.transport:perform(nil, nil, "request", method, url, body, body and core.sha256(body))
    if answer and fine[answer.status] then return answer end
    if answer then failure = failure_of(self, answer.status, answer.text) else failure = failure_of(self, nil, failure.message, failure) end
    failure.retry = failure.retry and core.now() < deadline
    return nil, failure
  end)
end

local function url_of(self, sha256)
  return ("%s%s/%s"):format(self.base_url, sha256:sub(1, 2), sha256)
end

-- --- objects

local FOUND <const> = { [200] = true, [404] = true }

---Returns the size of an object, or nil if the store doesn't have the object.
---@param sha256 string
---@return integer|nil
---@return omni.Error|nil
function S3_methods:size(sha256)
  local answer, problem = request(self, FOUND, "HEAD", url_of(self, sha256))
  if not answer then return nil, problem end
  return answer.status == 200 and answer.length or nil
end

local function result_of(exchange) return exchange:result() end

---Puts a file into the store. The server checks the digest.
---@param path string
---@param sha256 string  the file's digest
---@return true|nil
---@return omni.Error|nil
function S3_methods:put(path, sha256)
  return retry.persist(self, function()
    local bytes, failure = media_request.send(self, nil, result_of, "upload", url_of(self, sha256), path, TYPE, sha256)
    if bytes then return true end
    return nil, failure_of(self, failure.status, failure.message, failure)
  end)
end

---Downloads an object to a local path, once `accept` has accepted the downloaded file.
---@param sha256 string
---@param path string
---@param given { accept: fun(part: string): table|nil, aside?: boolean, on_progress?: fun(bytes: integer, total: integer|nil) }
---@return integer|nil bytes
---@return omni.Error|nil
function S3_methods:get(sha256, path, given)
  local bytes, problem = downloads.download(self, url_of(self, sha256), path, {
    aside = given.aside, on_progress = given.on_progress, accept = function(_, _, part) return given.accept(part) end,
  })
  if bytes or problem.code == "store_failed" then return bytes, problem end
  return nil, err.public(failure_of(self, problem.status, problem.message, problem))
end

local ok <const> = { [200] = true }

---Writes an object with this content, and reads it again.
---@param content string
---@return true|nil
---@return omni.Error|nil
function S3_methods:check(content)
  local url = url_of(self, core.sha256(content))
  local written, problem = request(self, ok, "PUT", url, content, CHECK_FOR)
  if not written then return nil, problem end
  local read
  read, problem = request(self, ok, "GET", url, nil, CHECK_FOR)
  if not read then return nil, problem end
  if read.text == content then return true end
  return nil, err.new { code = "store_failed", message = ("the store %s doesn't return what was written"):format(self.address) }
end

function S3_methods:close() self.transport:close() end

---Opens a store. Sends nothing.
---@param name string
---@param client omni.Client  for its settings and events
---@return omni.S3Store|nil
---@return omni.Error|nil  code "store_failed"
local function open(name, client)
  local settings, problem = aws_settings.find()
  if not settings then return nil, problem end
  local bucket, prefix = addresses.split(name)
  local base_url = ("%s/%s/%s"):format(settings.endpoint, bucket, prefix)
  local options = {
    sign_url = base_url, sign_region = settings.region, sign_access_key = settings.access_key, sign_secret_key = settings.secret_key,
    sign_token = settings.token,
  }
  for option, value in pairs(client.transport_options) do options[option] = value end
  local fine, http = pcall(core.client, options)
  if not fine then return nil, err.new { code = "store_failed", message = "the store can't be used: " .. http } end
  return setmetatable({
    address = name, base_url = base_url, client = client, retry_for = client.retry_for, key_from = settings.from,
    transport = transports.new(http, { connections = client.connections, timeout = client.timeout, events = client.events }),
  }, S3_mt)
end

return { open = open }
