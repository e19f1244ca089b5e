-- SPDX-License-Identifier: MIT
-- Derives the names of a scene's files from the scene's name. The derived name is never a path, and never the name of a hidden file.

-- Maximum length, in bytes, of a scene's name in a file name. A file name also contains an identity, a number, an extension and ".part",
-- and most file systems limit a file name to 255 bytes.
local MAX_BYTES = 120

-- Replaces or removes every character that is special in a file system or a shell.
local function safe(name)
  local text = name:gsub('[%c%s/\\:*?"<>|%%]+', "-"):gsub("^[.%-~]+", ""):gsub("[.%-]+$", "")
  if #text > MAX_BYTES then
    local cut = MAX_BYTES
    while cut > 0 and text:byte(cut + 1) & 0xC0 == 0x80 do cut = cut - 1 end -- not within a character
    text = text:sub(1, cut):gsub("[.%-]+$", "")
  end
  return text ~= "" and text or "scene"
end

---Returns the stem of each scene's file names: the scene's name and the beginning of its identity. Since a changed scene has a new
---identity, its files get new names, and the old files, which were paid for, are kept.
---@param scenes { name: string }[]
---@param planned { identity?: string }[]  in the same order
---@return string[] stems
local function stems(scenes, planned)
  local result = {}
  for index, scene in ipairs(scenes) do
    local identity = planned[index].identity
    result[index] = safe(scene.name) .. (identity and "-" .. identity:sub(1, 8) or "")
  end
  return result
end

---Returns the stem for the file with this number: NAME, NAME-2, NAME-3, ...
---@param stem string
---@param index integer  the file's number, counting from 1
---@return string
local function numbered(stem, index)
  return index == 1 and stem or ("%s-%d"):format(stem, index)
end

local known_extensions = {}
for extension in ("mp4 mov webm mkv gif png jpg jpeg webp mp3 wav m4a ogg"):gmatch("%S+") do
  known_extensions[extension] = true
end

local usual <const> = { video = "mp4", image = "png", audio = "mp3" }

---Returns the extension in a media file's URL. If the URL has no known extension, returns the usual extension for the kind of media.
---@param url string
---@param yields? omni.Modality  what the scene makes (default: a video)
---@return string
local function extension(url, yields)
  local found = (url:match("^[^?#]*") or ""):match("%.(%w+)$")
  found = found and found:lower()
  return known_extensions[found] and found or usual[yields or "video"]
end

return { stems = stems, numbered = numbered, extension = extension }
