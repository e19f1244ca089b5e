-- SPDX-License-Identifier: MIT
-- What the sandbox serves as files: a task's clip, and what was uploaded. Found by their paths, also where an input names them.

local function describe(service, path, tag, kind)
  local file, message = service.stat(path)
  if not file then return nil, 404, "this file is gone: " .. tostring(message) end
  return { path = path, size = file.size, modified = file.mtime, tag = ("%s-%x"):format(tag, file.size), kind = kind }
end

local function clip(service, id)
  local task = service.tasks:find(id)
  if not task or service.tasks:settle(task) ~= "success" or not task.path then return nil, 404, "no such file" end
  if service.media_seconds and service.now() - math.max(task.ends_at, task.drawn_at) >= service.media_seconds then
    return nil, 410, "this file has expired"
  end
  return describe(service, task.path, id:sub(1, 8), "video/mp4")
end

local function upload(service, name)
  local place = service.uploads:find(name)
  if not place or not place.path then return nil, 404, "no such file" end
  return describe(service, place.path, name:sub(1, 8) .. "-" .. place.version, place.content_type)
end

-- kind: what faults can be told to strike; find(service, name): what files.answer takes, or nil, status, message.
local kinds = {
  { kind = "media", path = "^/media/([^/]+)%.mp4$", find = clip },
  { kind = "file", path = "^/files/([^/]+)$", find = upload },
}

-- The service fetches what an input names. URLs elsewhere are taken to be good; one of this sandbox must lead to a file.
local function is_lost(service, url)
  if type(url) ~= "string" or url:sub(1, #service.url) ~= service.url then return false end
  local path = url:sub(#service.url + 1):match "^/[^?#]*"
  for _, kind in ipairs(path and kinds or {}) do
    local name = path:match(kind.path)
    if name then return kind.find(service, name) == nil end
  end
  return path ~= nil
end

---What is wrong with a task's references, the field named; nil when nothing is.
---@param service table  the sandbox's: url, tasks, uploads, stat, now, media_seconds
---@param spec table     what its clip is drawn from: images, video
---@return string|nil
local function lost_reference(service, spec)
  for i, url in ipairs(type(spec.images) == "table" and spec.images or {}) do
    if is_lost(service, url) then return ("input.img_urls[%d]: there is no such file"):format(i) end
  end
  if type(spec.video) == "table" and is_lost(service, spec.video.url) then return "input.video_list[1].url: there is no such file" end
end

return { kinds = kinds, lost_reference = lost_reference }
