-- SPDX-License-Identifier: MIT
-- Names of files for scenes: never a path, never hidden, never two alike on a file system that ignores case.

local MAX_BYTES = 120 -- leaves room for a number, an extension and ".part" within the usual 255

-- The name with everything gone that means something to a file system or a shell's globs.
local function safe(name)
  local text = name:gsub('[%c%s/\\:*?"<>|%%]+', "-"):gsub("^[.%-~]+", ""):gsub("[.%-]+$", "")
  if #text > MAX_BYTES then
    local cut = MAX_BYTES
    while cut > 0 and text:byte(cut + 1) & 0xC0 == 0x80 do cut = cut - 1 end -- not within a character
    text = text:sub(1, cut):gsub("[.%-]+$", "")
  end
  return text ~= "" and text or "scene"
end

---Gives each scene the stem of its files.
---@param names string[]  the scenes' names
---@return string[] stems  at the same places
local function stems(names)
  local taken, result = {}, {}
  for index, name in ipairs(names) do
    local stem, n = safe(name), 1
    while taken[(n == 1 and stem or stem .. "~" .. n):lower()] do n = n + 1 end
    if n > 1 then stem = stem .. "~" .. n end
    taken[stem:lower()] = true
    result[index] = stem
  end
  return result
end

---The stem for a scene's further media: NAME, NAME-2, NAME-3, ...; passes over names that are another scene's.
---@param all string[]  what `stems` gave
---@param stem string   this scene's
---@param index integer which of its media, from 1
---@return string
local function numbered(all, stem, index)
  if index == 1 then return stem end
  local taken = {}
  for _, other in ipairs(all) do taken[other:lower()] = true end
  local n, count = 1, 1
  local name
  repeat
    n = n + 1
    name = stem .. "-" .. n
    if not taken[name:lower()] then count = count + 1 end
  until count == index
  return name
end

local known_extensions = {}
for extension in ("mp4 mov webm mkv gif png jpg jpeg webp mp3 wav m4a ogg"):gmatch("%S+") do
  known_extensions[extension] = true
end

---The extension of a medium, from its URL; "mp4" where that says nothing.
---@param url string
---@return string
local function extension(url)
  local found = (url:match("^[^?#]*") or ""):match("%.(%w+)$")
  found = found and found:lower()
  return known_extensions[found] and found or "mp4"
end

return { stems = stems, numbered = numbered, extension = extension }
