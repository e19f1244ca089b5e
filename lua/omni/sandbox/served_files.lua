-- SPDX-License-Identifier: MIT
-- Serves the sandbox's files: its tasks' clips, and uploaded files. Finds a file by the path in its URL, and serves either the whole file
-- or the requested range (RFC 9110: Range, If-Range, ETag, Last-Modified).

local http_date = require("omni.sandbox.response").http_date
local messages = require "omni.models.schema.messages"
local placeholder = require "omni.client.placeholder"

-- --- finding

local function describe(service, path, tag, kind)
  local file, message = service.stat(path)
  if not file then return nil, 404, "this file is gone: " .. tostring(message) end
  return { path = path, size = file.size, modified = file.mtime, tag = ("%s-%x"):format(tag, file.size), kind = kind }
end

local media_types = { mp4 = "video/mp4", png = "image/png", jpg = "image/jpeg" }

-- Finds a task's file by its name, such as "ID.mp4" or "ID.png"; "ID.2.png" is a task's second image.
local function find_media(service, name)
  local id, ending = name:match "^([%x-]+)%.([%w.]+)$"
  local task = id and service.tasks:find(id)
  local path = task and service.tasks:settle(task) == "success" and task.files[ending]
  if not path then return nil, 404, "no such file" end
  if service.media_seconds and service.now() - task.over >= service.media_seconds then
    return nil, 410, "this file has expired"
  end
  return describe(service, path, ("%s-%d"):format(id:sub(1, 8), tonumber(ending:match "^%d+") or 1), media_types[ending:match "[^.]+$"])
end

local function find_upload(service, name)
  local place = service.uploads:find(name)
  if not place or not place.path then return nil, 404, "no such file" end
  return describe(service, place.path, name:sub(1, 8) .. "-" .. place.version, place.content_type)
end

-- kind: the name for faults; find(service, name) → a file for `serve`, or nil, status, message.
local kinds = {
  { kind = "media", path = "^/media/([^/]+)$", find = find_media },
  { kind = "file", path = "^/files/([^/]+)$", find = find_upload },
}

-- Returns true if a URL belongs to this sandbox but no file exists at the URL. The sandbox accepts all URLs on other hosts.
local function is_lost(service, url)
  if type(url) ~= "string" or url:find "%s" or url:sub(1, #service.url) ~= service.url then return false end
  local path = url:sub(#service.url + 1):match "^/[^?#]*"
  for _, kind in ipairs(path and kinds or {}) do
    local name = path:match(kind.path)
    if name then return kind.find(service, name) == nil end
  end
  return path ~= nil
end

local function positions(list)
  local all = {}
  for i in ipairs(list) do all[i] = i end
  return all
end

local function find_lost(service, value, place)
  if type(value) == "table" then
    for _, key in ipairs(value[1] ~= nil and positions(value) or messages.sorted_names(value)) do
      local found = find_lost(service, value[key], placeholder.place_of(place, key))
      if found then return found end
    end
  elseif is_lost(service, value) then
    return place
  end
end

---If an input refers to a file on this sandbox that doesn't exist, returns an error message that names the input field.
---@param service table
---@param input table
---@return string|nil
local function lost_reference(service, input)
  local place = find_lost(service, input, "input")
  return place and place .. ": there is no such file" or nil
end

---Returns the URLs of a task's media.
---@param service table
---@param task omni.sandbox.Task
---@return string[]
local function media_urls(service, task)
  local urls = {}
  for i, ending in ipairs(task.endings) do urls[i] = ("%s/media/%s.%s"):format(service.url, task.id, ending) end
  return urls
end

---Returns a URL on this sandbox at which no file exists.
---@param service table
---@return string
local function forged_url(service)
  return service.url .. "/media/forged.mp4"
end

-- --- serving

-- Returns the offset and the length of the range that a Range header requests. Returns nil if the whole file must be served, and false if
-- the range lies outside the file.
local function part(range, size)
  local first, last = range:match "^bytes=(%d*)%-(%d*)$" -- for several ranges, HTTP allows the server to send the whole file
  if not first or first == "" and last == "" then return nil end
  if first == "" then
    local length = math.min(tonumber(last), size) -- the last bytes
    if length < 1 then return false end
    return math.tointeger(size - length), math.tointeger(length)
  end
  local from, to = tonumber(first), last == "" and size - 1 or tonumber(last)
  if from > to and last ~= "" then return nil end
  if from >= size then return false end
  return math.tointeger(from), math.tointeger(math.min(to, size - 1) - from + 1)
end

---Returns the response to a request for a file.
---@param file { path: string, size: integer, modified: number, tag: string, kind: string }  modified: Unix seconds
---@param headers table<string, string>  of the request, with names in lower case
---@return { status: integer, headers: table, body: string|table }
local function serve(file, headers)
  local answered = {
    ["Content-Type"] = file.kind, ["Accept-Ranges"] = "bytes",
    ETag = '"' .. file.tag .. '"', ["Last-Modified"] = http_date(file.modified // 1 | 0),
  }
  local condition, range = headers["if-range"], headers.range
  if condition and condition ~= answered.ETag and condition ~= answered["Last-Modified"] then range = nil end
  local offset, length = nil, nil
  if range then offset, length = part(range, file.size) end
  if offset == false then
    answered["Content-Range"] = "bytes */" .. file.size
    return { status = 416, headers = answered, body = "" }
  elseif offset then
    answered["Content-Range"] = ("bytes %d-%d/%d"):format(offset, offset + length - 1, file.size)
  end
  return {
    status = offset and 206 or 200, headers = answered,
    body = { file = file.path, offset = offset or 0, length = length or file.size },
  }
end

return { kinds = kinds, lost_reference = lost_reference, media_urls = media_urls, forged_url = forged_url, serve = serve }
