-- SPDX-License-Identifier: MIT
-- A local file brought to where the service can fetch it: the service names a place, and the file is PUT there without the key.
-- Nothing of it costs credits, and all of it may be repeated.

local core = require "omni.core"
local digest = require "omni.digest"
local err = require "omni.error"
local exchange = require "omni.exchange"
local loop = require "omni.loop"
local media_type = require "omni.media_type"

local place_path <const> = "/api/v1/client/files/upload-url?content_type=%s&ext=%s" -- docs/service.md, "Other endpoints"
local most_refused <const> = 3 -- places in a row at which the file is refused, before it is given up

local function shown(path)
  return (core.clean(path, 200))
end

local function wrong(code, path, message, hint)
  return nil, err.new { code = code, field = "path", message = shown(path) .. ": " .. message, hint = hint }
end

-- --- the file

local function first_bytes(path)
  local file <close>, why = io.open(path, "rb")
  if not file then return nil, why end
  local bytes
  bytes, why = file:read(media_type.enough)
  return bytes, why
end

-- The ending that the service is told: the file's own where it goes with the kind, which the bytes may have contradicted.
local function ending_for(path, kind)
  local own = media_type.ending(path)
  if not kind then return own and #own <= 10 and own or ".bin" end
  for _, usual in ipairs(kind.endings) do
    if usual == own then return own end
  end
  return kind.endings[1]
end

-- What it is, looked at before anything is asked of the service: { path, type, ending, bytes, sha256, stamp }; or nil, err.
local function look(path, content_type)
  local info, why = core.stat(path)
  if not info then return wrong("io", path, "can't be read: " .. why) end
  if info.kind ~= "file" then
    return wrong("invalid_input", path, info.kind == "directory" and "is a folder, not a file" or "isn't a file")
  end
  if info.size == 0 then return wrong("invalid_input", path, "is empty") end
  local bytes
  bytes, why = first_bytes(path)
  if not bytes then return wrong("io", path, "can't be read: " .. (why or "it is empty by now")) end
  local kind, other = media_type.of(bytes, path)
  if not kind and not content_type then
    local message = other and "is " .. other or "can't be told what it is from its first bytes, nor from its name"
    return wrong("invalid_input", path, message .. "; these can be uploaded: " .. media_type.all,
      "convert it, or say what it is with the option content_type")
  end
  local found, problem = digest.file(path)
  if not found then
    problem.field = "path"
    return nil, problem
  end
  return {
    path = path, type = content_type or kind.type, ending = ending_for(path, not content_type and kind or nil),
    bytes = found.size, sha256 = found.sha256, stamp = found.stamp,
  }
end

-- Whether the file is still the one that was looked at. Its stamp also changes with its mode and its links: then its bytes tell.
local function is_same(file)
  local now = core.stat(file.path)
  if now and now.stamp == file.stamp then return true end
  local again = digest.file(file.path)
  return again ~= nil and again.sha256 == file.sha256
end

-- --- the place

local function encode(text)
  return (text:gsub("[^%w%-._~/]", function(byte) return ("%%%02X"):format(byte:byte()) end))
end

-- Why a place can't be used, or nil.
local function trouble(place, base_url)
  if type(place) ~= "table" then return "no place for the file" end
  local target = place.presigned_url
  if not core.is_usable_url(target) then return "no usable presigned_url" end
  if not core.is_usable_url(place.file_url) then return "no usable file_url" end
  if base_url:lower():find "^https:" and not target:lower():find "^https:" then return "a presigned_url without encryption" end
end

local function ask_place(client, file)
  local place, failure = exchange.perform(client, nil, nil, "call", "GET", place_path:format(encode(file.type), encode(file.ending)))
  if failure then return nil, failure end
  local why = trouble(place, client.base_url)
  if why then return nil, { code = "bad_answer", retry = false, message = "the service gave " .. why } end
  return place
end

-- --- the way

-- One try, at a place of its own: one that broke may have used up, or outlived, the place before.
local function try(client, file, on_progress)
  local place, failure = ask_place(client, file)
  if not place then return nil, failure end
  local bytes
  bytes, failure = exchange.upload(client, place.presigned_url, file.path, file.type, on_progress)
  if not bytes then return nil, failure end
  if bytes ~= file.bytes or not is_same(file) then
    return nil, { code = "file_changed", retry = false, message = "the file changed while it was uploaded" }
  end
  return place.file_url
end

---Uploads a file. Tried again like any call that may be, but of `retry_for` only those seconds count in which nothing goes. A place
---that is refused is asked for anew. In a fiber.
---@param client omni.Client
---@param path string
---@param content_type? string  instead of what the file looks like
---@param on_progress? fun(bytes: integer, total: integer)  begins again with each try
---@return { url: string, bytes: integer, content_type: string, sha256: string }|nil
---@return omni.Error|nil
local function send(client, path, content_type, on_progress)
  local file, problem = look(path, content_type)
  if not file then return nil, problem end
  local attempt, refused, idle = 0, 0, 0
  while true do
    local gone, since = 0, core.now()
    local url, failure = try(client, file, function(bytes, total)
      if bytes > gone then gone, since = bytes, core.now() end
      if on_progress then on_progress(bytes, total) end
    end)
    if url then return { url = url, bytes = file.bytes, content_type = file.type, sha256 = file.sha256 } end
    attempt = attempt + 1
    refused = failure.code == "upload_expired" and refused + 1 or 0
    idle = idle + core.now() - since
    local wait = refused < most_refused and client:pause_after(failure, attempt)
    if not wait or idle + wait > client.retry_for then
      failure.retry, failure.offset, failure.total = nil, nil, nil
      failure.message = ("the upload of %s failed: %s"):format(shown(path), failure.message)
      if failure.code == "file_changed" then failure.field = "path" end
      return nil, err.new(failure)
    end
    loop.sleep(wait)
    idle = idle + wait
  end
end

return { send = send }
