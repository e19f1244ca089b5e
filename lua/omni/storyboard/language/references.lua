-- SPDX-License-Identifier: MIT
-- Reads a board's references, which are named images and videos. Finds the reference, file or URL that a scene's field refers to.
--
-- This module's errors are tables with the fields `message`, `field` and `hint`.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local input = require "omni.models.input_rules"
local problems = require "omni.storyboard.language.errors"
local wrong_name = require("omni.storyboard.language.scene").wrong_name

local a, missing = problems.a, problems.missing

local function is_url(text)
  return text:find("://", 1, true) ~= nil or text:find("^%s*[dD][aA][tT][aA]:") ~= nil
end

-- Describes a file or URL that isn't one of the board's named references.
local function described(value)
  if type(value) == "string" then
    local host, path = value:match("^%a+://([^/?#]*)([^?#]*)")
    local last = path and path:match("([^/]+)/*$")
    return last or host or value
  end
  if value.kind == "file" then return value.path:match("([^/]+)/*$") or value.path end
  return (value.kind == "frame" and 'the last frame of "%s"' or 'the clip of "%s"'):format(value.scene)
end

-- The words for a scene's result in error messages, by kind of media.
local made <const> = { video = "a film", image = "a picture", audio = "sound" }

-- Returns an error message and a hint if a scene's clip or frame isn't of the required kind (image or video), and nil otherwise.
local function unfit(part, want, yields)
  local kind = yields[part.scene] or "video"
  if part.kind == "frame" and want == "video" then return "must be a video, not another scene's frame", 'write continues = "%s"' end
  if part.kind == "frame" and kind == "video" or part.kind == "clip" and kind == want then return nil end
  if part.kind == "clip" and kind == "video" then return "must be an image, not another scene's clip", 'write last_frame "%s"' end
  return ('scene "%s" makes %s'):format(part.scene, made[kind]), kind == "image" and want == "image" and 'write clip "%s"' or nil
end

---Finds what a value in a scene's field refers to: a reference, a file, a URL, or another scene's frame or clip.
---@param value any
---@param want "image"|"video"
---@param field string          the field's name, for errors
---@param board { references: table<string, omni.Placeholder|string>, names: table<string, any>, yields: table<string, omni.Modality> }
---@return { value: omni.Placeholder|string, label: string, field: string }|nil item, table|nil bad
local function find(value, want, field, board)
  local named = board.references
  local function fail(message, hint)
    return nil, { message = field .. ": " .. message, field = field, hint = hint }
  end
  local found, label = value, nil
  if type(value) == "string" and named[value] then
    found, label = named[value], value
  elseif type(value) == "string" and is_url(value) then
    local checked, bad = input.url(value, field)
    if not checked then return nil, bad end
  elseif type(value) == "string" then
    local scene = rawget(board.names, value)
    local of_scene = board.yields[value] == "image" and want == "image" and 'write clip "%s"'
      or want == "image" and 'write last_frame "%s"' or 'write continues = "%s"'
    local hint = scene and of_scene:format(value)
      or value:find("%.%w+$") and ('for a file write file "%s"'):format(core.clean(value, 200))
      or 'declare it on the board: references = { NAME = file "..." }'
    return fail(missing("reference", value, named), hint)
  elseif not placeholder.is(value) then
    return fail("must be a reference's name, file \"...\" or url \"...\", not " .. a(value))
  end
  if placeholder.is(found) then
    local message, hint
    if found.scene and board.names[found.scene] then message, hint = unfit(found, want, board.yields) end
    if message then return fail(message, hint and hint:format(found.scene)) end
    found = placeholder.copy(found)
  end
  return { value = found, label = label or described(found), field = field }
end

---Returns the images in a scene's `references` field. The field's value is one image, an array of images, or `false` or nil for no images.
---@param fail fun(bad: table)  called for each wrong image
---@return table[] items
local function list(value, field, board, fail)
  if not value then return {} end
  if type(value) ~= "table" or placeholder.is(value) then value = { value } end
  local count = input.array_length(value)
  if not count then
    fail { field = field, message = field .. ": must be names, files and URLs in an array without holes",
      hint = "names are given on the board: storyboard { references = { NAME = file \"...\" } }" }
    return {}
  end
  local items = {}
  for index = 1, count do
    local item, bad = find(value[index], "image", ("%s[%d]"):format(field, index), board)
    if bad then fail(bad) end
    items[#items + 1] = item
  end
  return items
end

---Checks the board's own `references` field, a table that maps names to files, URLs, or scenes' frames and clips.
---@param value any
---@param fail fun(message: string, field: string, hint?: string)
---@return table<string, omni.Placeholder|string> named  copies of the references
local function declared(value, fail)
  local named = {}
  if value == nil then return named end
  if type(value) ~= "table" or placeholder.is(value) then
    fail("field 'references' must be a table of names, not " .. (placeholder.is(value) and tostring(value) or a(value)), "references",
      'write references = { keeper = file "keeper.png" }')
    return named
  end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, function(x, y) return tostring(x) < tostring(y) end)
  for _, name in ipairs(names) do
    local given = value[name]
    local field = "references." .. tostring(name)
    local wrong = type(name) ~= "string" and "a reference needs a name"
      or wrong_name(name, "a reference's name") or is_url(name) and "a reference's name can't be a URL"
    if wrong then
      fail("references: " .. wrong, "references", 'write references = { keeper = file "keeper.png" }')
    elseif placeholder.is(given) then
      named[name] = placeholder.copy(given)
    elseif type(given) == "string" and is_url(given) then
      local checked, bad = input.url(given, field)
      named[name] = checked and given or problems.stand_in
      if bad then fail(bad.message, field) end
    else
      named[name] = problems.stand_in
      local hint = type(given) == "string" and ('write %s = file "%s"'):format(name, given) or nil
      fail(field .. ': must be file "..." or url "...", not ' .. a(given), field, hint)
    end
  end
  return named
end

return { declared = declared, described = described, find = find, list = list }
