-- SPDX-License-Identifier: MIT
-- A local file brought to where the service can fetch it: the service names a place, and the file is PUT there without the key.
-- Nothing of it costs credits, and all of it may be repeated.

local core = require "omni.core"
local digest = require "omni.file.digest"
local err = require "omni.error"
local exchange = require "omni.http.exchange"
local loop = require "omni.loop"
local media_type = require "omni.file.media_type"
local percent = require "omni.http.percent_encoding"

local days <const> = 7 * 86400 -- seconds for which an upload is taken to be there; the service doesn't say
local place_path <const> = "/api/v1/client/files/upload-url?content_type=%s&ext=%s" -- docs/service.md, "Other endpoints"
local most_refused <const> = 3 -- places in a row at which the file is refused, before it is given up

local function shown(path)
  return (core.clean(path, 200))
end

local function wrong(code, path, message, hint)
  return nil, err.new { code = code, field = "path", message = shown(path) .. ": " .. message, hint = hint }
end

-- What the system says of a path, without the path.
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

-- The ending that the service is told: the file's own where it goes with the kind, which the bytes may have contradicted.
local function ending_for(path, kind)
  local own = media_type.ending(path)
  if not kind then return own and #own <= 10 and own or ".bin" end
  for _, usual in ipairs(kind.endings) do
    if usual == own then return own end
  end
  return kind.endings[1]
end

---Whether a file can be uploaded: a regular file that isn't empty, and is media by its first bytes. Asks nothing of the service.
---@param path string
---@param content_type? string  what the user says it is; then its bytes don't matter
---@return true|nil
---@return omni.Error|omni.MediaType|nil  what is wrong with it (codes io, invalid_input); else its kind, if its bytes tell
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
    local message = other and "is " .. other or "is no kind of picture, film or sound that its first bytes tell"
    return wrong("invalid_input", path, message .. "; these can be uploaded: " .. media_type.all,
      "convert it, or say what it is with the option content_type")
  end
  return true, kind
end

-- What it is, looked at before anything is asked of the service: { path, type, ending, bytes, sha256, stamp }; or nil, err.
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

-- Whether the file is still the one that was looked at. Its stamp also changes with its mode and its links: then its bytes tell.
local function is_same(file)
  local now = core.stat(file.path)
  if now and now.stamp == file.stamp then return true end
  local again = digest.file(file.path)
  return again ~= nil and again.sha256 == file.sha256
end

-- --- the place

-- Why a place can't be used, or nil.
local function trouble(place)
  if type(place) ~= "table" then return "no place for the file" end
  for _, name in ipairs { "presigned_url", "file_url" } do
    local normal, why = core.normalize_url(place[name])
    if not normal then return ("no usable %s: it %s"):format(name, why) end
    place[name] = normal
  end
end

local function ask_place(client, file)
  local key, none = client.keyring:any()
  if not key then return nil, none end
  local path = place_path:format(percent.encode(file.type), percent.encode(file.ending))
  local place, failure = exchange.perform(key, nil, nil, "call", "GET", path)
  if failure then return nil, failure end
  file.account = key.account
  local why = trouble(place)
  if why then return nil, { code = "bad_answer", retry = false, message = "the service gave " .. why } end
  return place
end

-- --- the way

-- One try, at a place of its own: one that broke may have used up, or outlived, the place before.
local function try(client, file, on_progress)
  local place, failure = ask_place(client, file)
  if not place then return nil, failure end
  local bytes
  bytes, failure = exchange.upload(client:courier(), place.presigned_url, file.path, file.type, on_progress)
  if not bytes then return nil, failure end
  if bytes ~= file.bytes or not is_same(file) then
    return nil, { code = "file_changed", retry = false, message = "the file changed while it was uploaded" }
  end
  return place.file_url
end

-- --- what is there already

-- Where these bytes were brought before, as far as is known, and how many seconds ago.
local function known(client, file)
  local here = client.uploads[file.sha256]
  if here and os.time() - here.at < days then return here.url, os.time() - here.at end
  local records = client:ledger()
  for _, key in ipairs(records and client.keyring or {}) do
    local row = records:row("upload", { account = key.account, sha256 = file.sha256 })
    if row and os.time() - row.at < days then return row.url, os.time() - row.at end
  end
end

local function remember(client, file, url)
  client.uploads[file.sha256] = { url = url, at = os.time() }
  local records = client:ledger()
  if records then records:note("remember_upload", { account = file.account, sha256 = file.sha256, url = url }) end
end

-- Who uploads these bytes just now; others wait until that is done, and look again.
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

-- Tried again like any call that may be, but of `retry_for` only those seconds count in which nothing goes. A place that is refused is
-- asked for anew.
local function bring(client, file, on_progress)
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
    local wait = refused < most_refused and client:pause_after(failure, attempt)
    if not wait or idle + wait > client.retry_for then
      failure.retry, failure.offset, failure.total = nil, nil, nil
      failure.message = ("the upload of %s failed: %s"):format(shown(file.path), failure.message)
      if failure.code == "file_changed" or failure.code == "io" then failure.field = "path" end
      return nil, err.new(failure)
    end
    loop.sleep(wait)
    idle = idle + wait
  end
end

---Uploads a file, unless its content was uploaded before. In a fiber.
---@param client omni.Client
---@param path string
---@param opts { content_type?: string, on_progress?: fun(bytes: integer, total: integer), again?: boolean }  content_type: instead of what
---  the file looks like (such an upload isn't remembered); on_progress: begins again with each try; again: though it was before
---@return { url: string, bytes: integer, content_type: string, sha256: string, reused: boolean, age?: number }|nil
---  age: seconds since it was uploaded, of one that is reused
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
  url, problem = bring(client, file, opts.on_progress)
  if not url then return nil, problem end
  if not opts.content_type then remember(client, file, url) end
  return sent(url)
end

---Said when a submit is made again with its files uploaded anew.
local GONE <const> = "the service refused a submit that names files which were uploaded before (%s); nothing was charged, the files are"
  .. " uploaded again, and it is sent once more"

return { GONE = GONE, check = check, send = send }
