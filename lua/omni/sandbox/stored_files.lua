-- SPDX-License-Identifier: MIT
-- What the sandbox serves as files: a task's clip, and what was uploaded. Found by their paths, also where an input names them.

local asset = require "omni.client.placeholder"
local words = require "omni.models.schema.messages"

local function describe(service, path, tag, kind)
  local file, message = service.stat(path)
  if not file then return nil, 404, "this file is gone: " .. tostring(message) end
  return { path = path, size = file.size, modified = file.mtime, tag = ("%s-%x"):format(tag, file.size), kind = kind }
end

local media_types = { mp4 = "video/mp4", png = "image/png", jpg = "image/jpeg" }

-- "ID.mp4", "ID.png", and of further images "ID.2.png".
local function made(service, name)
  local id, ending = name:match "^([%x-]+)%.([%w.]+)$"
  local task = id and service.tasks:find(id)
  local path = task and service.tasks:settle(task) == "success" and task.files[ending]
  if not path then return nil, 404, "no such file" end
  if service.media_seconds and service.now() - task.over >= service.media_seconds then
    return nil, 410, "this file has expired"
  end
  return describe(service, path, ("%s-%d"):format(id:sub(1, 8), tonumber(ending:match "^%d+") or 1), media_types[ending:match "[^.]+$"])
end

local function upload(service, name)
  local place = service.uploads:find(name)
  if not place or not place.path then return nil, 404, "no such file" end
  return describe(service, place.path, name:sub(1, 8) .. "-" .. place.version, place.content_type)
end

-- kind: what faults can be told to strike; find(service, name): what files.answer takes, or nil, status, message.
local kinds = {
  { kind = "media", path = "^/media/([^/]+)$", find = made },
  { kind = "file", path = "^/files/([^/]+)$", find = upload },
}

-- The service fetches what an input names. URLs elsewhere are taken to be good; one of this sandbox must lead to a file.
local function is_lost(service, url)
  if type(url) ~= "string" or url:find "%s" or url:sub(1, #service.url) ~= service.url then return false end
  local path = url:sub(#service.url + 1):match "^/[^?#]*"
  for _, kind in ipairs(path and kinds or {}) do
    local name = path:match(kind.path)
    if name then return kind.find(service, name) == nil end
  end
  return path ~= nil
end

---Where what a task makes can be had.
---@param service table  the sandbox's: url
---@param task omni.sandbox.Task
---@return string[]
local function media_urls(service, task)
  local urls = {}
  for i, ending in ipairs(task.endings) do urls[i] = ("%s/media/%s.%s"):format(service.url, task.id, ending) end
  return urls
end

---Where nothing can be had.
---@param service table
---@return string
local function forged_url(service)
  return service.url .. "/media/forged.mp4"
end

local function positions(list)
  local all = {}
  for i in ipairs(list) do all[i] = i end
  return all
end

local function lost_in(service, value, place)
  if type(value) == "table" then
    for _, key in ipairs(value[1] ~= nil and positions(value) or words.sorted_names(value)) do
      local found = lost_in(service, value[key], asset.place_of(place, key))
      if found then return found end
    end
  elseif is_lost(service, value) then
    return place
  end
end

---What is wrong with the files that an input names, the field named; nil when nothing is.
---@param service table  the sandbox's: url, tasks, uploads, stat, now, media_seconds
---@param input table
---@return string|nil
local function lost_reference(service, input)
  local place = lost_in(service, input, "input")
  return place and place .. ": there is no such file" or nil
end

return { kinds = kinds, lost_reference = lost_reference, media_urls = media_urls, forged_url = forged_url }
