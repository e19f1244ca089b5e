-- SPDX-License-Identifier: MIT
-- Uploads a local file so that the service can fetch it: the service returns a presigned URL, to which omni uploads the file with a PUT
-- request without the API key. Uploads cost no credits, and omni may repeat them.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local loop = require "omni.loop"
local media_transfer = require "omni.client.media_transfer"
local media_type = require "omni.file.media_type"
local percent = require "omni.http.percent_encoding"

local LASTS <const> = 7 * 86400 -- omni assumes that the service keeps a file for this many seconds; the service documents no time
local PLACE_PATH <const> = "/api/v1/client/files/upload-url?content_type=%s&ext=%s" -- docs/service.md, "Other endpoints"
local MAX_REFUSED <const> = 3 -- omni gives up after this many consecutive presigned URLs have refused the file

local function shown(path)
  return (core.clean(path, 200))
end

local function wrong(code, path, message, hint)
  return nil, err.new { code = code, field = "path", message = shown(path) .. ": " .. message, hint = hint }
end

-- Returns the system's error message without the leading path.
local function reason(path, why)
  return (core.clean(why:sub(1, #path + 2) == path .. ": " and why:sub(#path + 3) or why, 200))
end

-- --- the file

local function first_bytes(path)
  local file <close>, why = core.open(path)
  if not file then return nil, why end
  local bytes
  bytes, why = file:read(media_type.enough)
  return bytes, why
end

-- Returns the file name extension that omni sends to the service: the file's own extension if it matches the content's media type,
-- otherwise the media type's usual extension.
local function ending_for(path, kind)
  local own = media_type.ending(path)
  if not kind then return own and #own <= 10 and own or ".bin" end
  for _, usual in ipairs(kind.endings) do
    if usual == own then return own end
  end
  return kind.endings[1]
end

---Checks whether a file can be uploaded: it must be a regular file that isn't empty and that begins like a media file.
---Sends nothing.
---@param path string
---@param content_type? string  the media type, if the user has given one; the first bytes then don't matter
---@return true|nil
---@return omni.Error|omni.MediaType|nil  the error (codes io, invalid_input), or the type that the first bytes show
local function check(path, content_type)
  local info, why = core.stat(path)
  if not info then return wrong("io", path, "can't be read: " .. reason(path, why)) end
  if info.kind ~= "file" then
    return wrong("invalid_input", path, info.kind == "directory" and "is a folder, not a file" or "isn't a file")
  end
  if info.size == 0 then return wrong("invalid_input", path, "is empty") end
  local bytes
  bytes, why = first_bytes(path)
  if not bytes then return wrong("io", path, "can't be read: " .. (why and reason(path, why) or "it is empty by now")) end
  local kind, other = media_type.of(bytes, path)
  if not kind and not content_type then
    local message = other and "is " .. other or "doesn't begin like any known picture, film or sound"
    return wrong("invalid_input", path, message .. "; these can be uploaded: " .. media_type.all,
      "convert it, or give the option content_type")
  end
  return true, kind
end

-- Examines a local file before omni sends any request. Returns { path, type, ending, bytes, sha256, stamp }, or nil and an error.
local function look(path, content_type)
  local fine, kind = check(path, content_type)
  if not fine then return nil, kind end
  local found, problem = digest.file(path)
  if not found then
    problem.field, problem.message = "path", core.clean(problem.message, 400)
    return nil, problem
  end
  return {
    path = path, type = content_type or kind.type, ending = ending_for(path, not content_type and kind or nil),
    bytes = found.size, sha256 = found.sha256, stamp = found.stamp,
  }
end

-- Returns whether the file is unchanged since `look` examined it. If the file's stamp differs, compares the digests, since a change of
-- permissions or links also changes the stamp.
local function is_same(file)
  local now = core.stat(file.path)
  if now and now.stamp == file.stamp then return true end
  local again = digest.file(file.path)
  return again ~= nil and again.sha256 == file.sha256
end

-- --- the presigned URL

-- Returns the reason why the service's response can't be used, or nil if it can.
local function what_is_wrong(place)
  if type(place) ~= "table" then return "no place for the file" end
  for _, name in ipairs { "presigned_url", "file_url" } do
    local normal, why = core.normalize_url(place[name])
    if not normal then return ("no usable %s: it %s"):format(name, why) end
    place[name] = normal
  end
end

local function ask_place(client, file)
  local key, none = client.all_keys:any()
  if not key then return nil, none end
  local path = PLACE_PATH:format(percent.encode(file.type), percent.encode(file.ending))
  local place, failure = key.transport:perform(nil, nil, "call", "GET", path)
  if failure then return nil, failure end
  file.account = key.account
  local why = what_is_wrong(place)
  if why then return nil, { code = "bad_answer", retry = false, message = "the service gave " .. why } end
  return place
end

-- --- the upload

local function result_of(exchange) return exchange:result() end

-- Tries to upload the file once. Requests a new presigned URL, since an earlier URL may have expired, or a failed attempt may have used it
-- up.
local function try(client, file, on_progress)
  local place, failure = ask_place(client, file)
  if not place then return nil, failure end
  local bytes
  bytes, failure = media_transfer.send(client, on_progress, result_of, "upload", place.presigned_url, file.path, file.type)
  if not bytes then return nil, failure end
  if bytes ~= file.bytes or not is_same(file) then
    return nil, { code = "file_changed", retry = false, message = "the file changed while it was uploaded" }
  end
  return place.file_url
end

-- --- earlier uploads

-- Returns the URL of an earlier upload of the same content, and its age in seconds.
local function known(client, file)
  local here = client.uploads[file.sha256]
  if here and os.time() - here.at < LASTS then return here.url, os.time() - here.at end
  local ledger = client:ledger()
  for _, key in ipairs(ledger and client.all_keys or {}) do
    local row = ledger:row("upload", { account = key.account, sha256 = file.sha256 })
    if row and os.time() - row.at < LASTS then return row.url, os.time() - row.at end
  end
end

local function remember(client, file, url)
  client.uploads[file.sha256] = { url = url, at = os.time() }
  local ledger = client:ledger()
  if ledger then ledger:note("remember_upload", { account = file.account, sha256 = file.sha256, url = url }) end
end

-- A running upload. Other fibers that want to upload the same content wait for this upload, and then use its URL.
local Busy_mt = {
  __close = function(busy)
    busy.client.uploading[busy.sha256] = nil
    for _, fiber in ipairs(busy) do loop.wake(fiber, true) end
  end,
}

local function alone(client, file)
  local busy = client.uploading[file.sha256]
  while busy do
    busy[#busy + 1] = loop.current()
    loop.park()
    busy = client.uploading[file.sha256]
  end
  busy = setmetatable({ client = client, sha256 = file.sha256 }, Busy_mt)
  client.uploading[file.sha256] = busy
  return busy
end

-- Uploads a file, and retries after a temporary failure. Only the seconds in which no byte was sent count against `retry_for`.
local function upload_with_retries(client, file, on_progress)
  local attempt, refused, idle = 0, 0, 0
  while true do
    local gone, since = 0, core.now()
    local url, failure = try(client, file, function(bytes, total)
      if bytes > gone then gone, since = bytes, core.now() end
      if on_progress then on_progress(bytes, total) end
    end)
    if url then return url end
    attempt = attempt + 1
    refused = failure.code == "upload_expired" and refused + 1 or 0
    idle = idle + core.now() - since
    local wait = refused < MAX_REFUSED and client:wait_before_retry(failure, attempt)
    if not wait or idle + wait > client.retry_for then
      failure.message = ("the upload of %s failed: %s"):format(shown(file.path), failure.message)
      if failure.code == "file_changed" or failure.code == "io" then failure.field = "path" end
      return nil, err.public(failure)
    end
    client:report_retry(failure, attempt, wait)
    loop.sleep(wait)
    idle = idle + wait
  end
end

---Uploads a file, unless its content has already been uploaded. Runs in a fiber.
---@param client omni.Client
---@param path string
---@param opts { content_type?: string, on_progress?: fun(bytes: integer, total: integer), again?: boolean }  as for client:upload
---@return { url: string, bytes: integer, content_type: string, sha256: string, reused: boolean, age?: number }|nil
---@return omni.Error|nil
local function send(client, path, opts)
  local file, problem = look(path, opts.content_type)
  if not file then return nil, problem end
  local function sent(url, age)
    return { url = url, bytes = file.bytes, content_type = file.type, sha256 = file.sha256, reused = age ~= nil, age = age }
  end
  local busy <close> = alone(client, file) -- luacheck: ignore 211
  local url, age
  if not opts.again and not opts.content_type then url, age = known(client, file) end
  if url then return sent(url, age) end
  url, problem = upload_with_retries(client, file, opts.on_progress)
  if not url then return nil, problem end
  if not opts.content_type then remember(client, file, url) end
  return sent(url)
end

---The warning that omni gives before it uploads a refused submit's files again and repeats the submit once. %s is the service's message.
local GONE <const> = "the service refused a submit with files that were uploaded earlier (%s); nothing was charged; omni uploads the files"
  .. " again and repeats the submit once"

return { GONE = GONE, check = check, send = send }
