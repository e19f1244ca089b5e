-- SPDX-License-Identifier: MIT
-- Handles uploads. The sandbox returns a presigned URL, which is valid for a limited time, and stores the file that a client uploads to
-- this URL.

local core = require "omni.core"
local random = require "omni.sandbox.random"

---@class omni.sandbox.Place
---@field name string           a UUID and an extension: "1c9f...-....png"
---@field signature string      the secret part of the presigned URL
---@field content_type string   the media type that the file must have
---@field ends number           monotonic seconds: when the signature expires
---@field path string|nil       the file, once it is uploaded
---@field version integer       number of uploads to this place

local Uploads_methods = {}
local Uploads_mt = { __name = "omni.sandbox.uploads", __index = Uploads_methods }

---Creates a presigned URL to which a client can upload a file.
---@param content_type string
---@param ending string  a dot, letters and digits
---@return omni.sandbox.Place
function Uploads_methods:offer(content_type, ending)
  local name = random.uuid(self.names) .. ending
  local place = {
    name = name, content_type = content_type, signature = ("%016x%016x"):format(self.signatures(), self.signatures()),
    ends = self.now() + self.seconds, version = 0,
  }
  self.by_name[name] = place
  return place
end

---@param name string
---@return omni.sandbox.Place|nil
function Uploads_methods:find(name)
  return self.by_name[name]
end

-- If a request isn't allowed to upload its body to this URL, returns an HTTP status and an error message.
local function objection(self, place, request, signature, leaks)
  local headers = request.headers
  for name, value in pairs(headers) do
    if name == "x-api-key" or leaks(value) then
      return 400, ("an upload must not contain the API key (header %s); send it only with API calls"):format(name)
    end
  end
  if not place or signature ~= place.signature then return 403, "the signature isn't valid" end
  if self.now() >= place.ends then return 403, "the presigned URL has expired" end
  if not headers["content-length"] then return 411, "the header Content-Length is required" end
  if headers["content-type"] ~= place.content_type then
    return 422, ("the header Content-Type must be %s, as for the presigned URL"):format(place.content_type)
  end
  if (request.size or #request.body) == 0 then return 422, "the file is empty" end
end

---Stores the body of a PUT request as the file at a presigned URL.
---@param name string            the place's name
---@param request { headers: table<string, string>, body: string|nil, size: integer|nil, file: string|nil }
---@param signature string|nil   in the request's URL
---@param leaks fun(text: string): boolean  returns whether a text contains an API key, which must not come with an upload
---@return omni.sandbox.Place|nil
---@return integer|nil status    of the refusal
---@return string|nil message
function Uploads_methods:take(name, request, signature, leaks)
  local place = self.by_name[name]
  local status, message = objection(self, place, request, signature, leaks)
  if status then return nil, status, message end
  local path, why = self.keep(place.name, request)
  if not path then return nil, 500, "can't store the file: " .. tostring(why) end
  place.path, place.version = path, place.version + 1
  return place
end

---@param settings { seed: integer, upload_seconds?: number, now: fun(): number, keep: fun(name: string, request: table): string|nil, any }
local function open(settings)
  return setmetatable({
    seconds = settings.upload_seconds or 900, now = settings.now, keep = settings.keep, by_name = {},
    names = random.stream(settings.seed, "uploads"), signatures = random.stream(settings.seed, "signatures"),
  }, Uploads_mt)
end

-- --- files on disk, in a folder that the first upload creates

local Store_methods = {}
local Store_mt = { __name = "omni.sandbox.store", __index = Store_methods }

local function write(path, bytes)
  local file, message = core.open(path, "x")
  if not file then return nil, message end
  local fine
  fine, message = file:write(bytes)
  local closed, trouble = file:close()
  return fine and closed, message or trouble
end

---Stores a request's body. A client that is already downloading an older file with this name still receives the older content.
---@param name string
---@param request { body: string|nil, file: string|nil }  file: is moved, not copied
---@return string|nil path
---@return string|nil message
function Store_methods:keep(name, request)
  local made, message = core.make_directory(self.directory)
  if not made then return nil, message end
  local path = self.directory .. "/" .. name
  local fine = true
  if not request.file then fine, message = write(path .. ".part", request.body) end
  if fine then fine, message = os.rename(request.file or path .. ".part", path) end
  if not fine then
    core.remove(path .. ".part")
    return nil, message
  end
  self.paths[path] = true
  return path
end

---Removes all uploaded files and their directory.
function Store_methods:remove()
  for path in pairs(self.paths) do core.remove(path) end
  core.remove(self.directory)
end

---@param directory string
local function store(directory)
  return setmetatable({ directory = directory, paths = {} }, Store_mt)
end

return { open = open, store = store }
