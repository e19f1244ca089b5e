-- SPDX-License-Identifier: MIT
-- A store in S3, or on an S3-compatible server. The requests are signed by libcurl (csrc/core/signing.c).

local addresses = require "omni.store.address"
local aws_settings = require "omni.store.aws_settings"
local core = require "omni.core"
local downloads = require "omni.client.download"
local err = require "omni.error"
local media_transfer = require "omni.client.media_transfer"
local loop = require "omni.loop"
local retry = require "omni.client.retry"
local transports = require "omni.http.transport"

local TYPE <const> = "application/octet-stream"
local MEBIBYTE <const> = 1 << 20
local MAX_PARTS <const> = 9000 -- S3 allows 10,000
local CHECK_READS <const> = 3 -- number of times that `check` reads the object if its content is wrong
local CHECK_FOR <const> = 10 -- seconds for which `check` retries failed requests; short, since a user may be waiting

-- Hints for users, indexed by S3's error codes.
local wrong_region <const> = "set AWS_REGION to the bucket's region"
local wrong_key <const> = "correct the access key and its secret"
local hints <const> = {
  AccessDenied = "let the access key read, write and list the bucket: s3:GetObject, s3:PutObject, s3:ListBucket",
  AuthorizationHeaderMalformed = wrong_region, PermanentRedirect = wrong_region, TemporaryRedirect = wrong_region,
  ExpiredToken = "get new credentials", InvalidToken = "get new credentials",
  InvalidAccessKeyId = wrong_key, SignatureDoesNotMatch = wrong_key,
  NoSuchBucket = "create the bucket, or correct the store's address",
  RequestTimeTooSkewed = "correct this machine's clock",
}
local temporary <const> = { InternalError = true, RequestTimeout = true, ServiceUnavailable = true, SlowDown = true }

---@class omni.S3Store
---@field address string
---@field base_url string  the URL of the bucket's prefix, with a slash at its end
---@field client omni.Client
---@field retry_for number
---@field single_most integer  bytes: the size of the largest file that is sent as a whole (S3 allows 5 GiB)
---@field part_bytes integer   the size of a part of a larger file
---@field key_from string  the name of the variable or of the file that has the access key
local S3_methods = {}
local S3_mt = { __name = "omni.store.s3", __index = S3_methods }

-- --- what downloads and uploads need of a client

function S3_methods:media_transport() return self.transport.http and self.transport end
function S3_methods:wait_before_retry(...) return self.client:wait_before_retry(...) end
function S3_methods:report_retry(...) return self.client:report_retry(...) end

-- --- failures

local local_problems <const> = { closed = true, file_changed = true, io = true } -- failures that the store didn't cause

-- Turns a failure, or a response with this status and text, into a store failure.
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

-- Sends a request, retries it for `patience` seconds (default: the client's `retry_for`), and returns the response. `fine` lists the
-- statuses that the caller expects.
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

local found <const>, ok <const>, forgotten <const> = { [200] = true, [404] = true }, { [200] = true }, { [204] = true, [404] = true }

---Returns an object's size, or nil if the store doesn't contain the object.
---@param sha256 string
---@return integer|nil
---@return omni.Error|nil
function S3_methods:size(sha256)
  local answer, problem = request(self, found, "HEAD", url_of(self, sha256))
  if not answer then return nil, problem end
  return answer.status == 200 and answer.length or nil
end

-- Uploads a file or a part of a file, and retries failed attempts. Returns the ETag.
local function put_bytes(self, url, path, sha256, first, length)
  return retry.persist(self, function()
    local tag
    local function finish(exchange)
      local bytes, failure = exchange:result()
      if bytes then tag = exchange:header "ETag" end
      return bytes, failure
    end
    local bytes, failure = media_transfer.send(self, nil, finish, "upload", url, path, TYPE, sha256, first, length)
    if bytes then return tag or "" end
    return nil, failure_of(self, failure.status, failure.message, failure)
  end)
end

-- Uploads a file in parts. Returns the XML text that lists the uploaded parts.
local function put_parts(self, url, query, path, size)
  local part_bytes, parts = math.max(self.part_bytes, size // MAX_PARTS + 1), {}
  for first = 0, size - 1, part_bytes do
    local number = #parts + 1
    local tag, problem = put_bytes(self, ("%s?partNumber=%d&%s"):format(url, number, query), path, "UNSIGNED-PAYLOAD", first,
      math.min(part_bytes, size - first))
    if not tag then return nil, problem end
    tag = tag:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" })
    parts[number] = ("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>"):format(number, tag)
  end
  return "<CompleteMultipartUpload>" .. table.concat(parts) .. "</CompleteMultipartUpload>"
end

-- Uploads a large file in several parts. If a part fails, sends only that part again. If the upload fails, asks the server to delete the
-- parts.
local function put_large(self, url, path, size)
  local begun, problem = request(self, ok, "POST", url .. "?uploads=", "")
  if not begun then return nil, problem end
  local id = begun.text:match "<UploadId>([^<]+)</UploadId>" or ""
  local query = "uploadId=" .. id:gsub("[^%w._~-]", function(byte) return ("%%%02X"):format(byte:byte()) end)
  local list, done
  list, problem = put_parts(self, url, query, path, size)
  if list then done, problem = request(self, ok, "POST", url .. "?" .. query, list) end
  -- S3 may return an error with the status 200.
  if done and not done.text:find "<Error>" then return true end
  problem = problem or err.public(failure_of(self, nil, done.text))
  request(self, forgotten, "DELETE", url .. "?" .. query)
  return nil, problem
end

---Puts a file into the store. If the file is sent as a whole, the server checks the file's digest.
---@param path string
---@param sha256 string  the file's digest
---@param size integer
---@return true|nil
---@return omni.Error|nil
function S3_methods:put(path, sha256, size)
  local url = url_of(self, sha256)
  if size > self.single_most then return put_large(self, url, path, size) end
  local tag, problem = put_bytes(self, url, path, sha256)
  if not tag then return nil, problem end
  return true
end

---Downloads an object, and renames the downloaded file to a local path if `accept` accepts it.
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

---Writes an object with this content, and reads it back.
---@param content string
---@return true|nil
---@return omni.Error|nil
function S3_methods:check(content)
  local url = url_of(self, core.sha256(content))
  local written, problem = request(self, ok, "PUT", url, content, CHECK_FOR)
  if not written then return nil, problem end
  for attempt = 1, CHECK_READS do
    if attempt > 1 then loop.sleep(1) end -- another machine may be writing the same object
    local read
    read, problem = request(self, ok, "GET", url, nil, CHECK_FOR)
    if not read then return nil, problem end
    if read.text == content then return true end
  end
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
  if settings.endpoint:find "^http://" and not core.is_loopback(settings.endpoint) then
    client:warn "the store's endpoint is plain http: files cross the network unencrypted"
  end
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
    single_most = 128 * MEBIBYTE, part_bytes = 64 * MEBIBYTE,
    transport = transports.new(http, { connections = client.connections, timeout = client.timeout, events = client.events }),
  }, S3_mt)
end

return { open = open }
