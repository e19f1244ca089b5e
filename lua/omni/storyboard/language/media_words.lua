-- SPDX-License-Identifier: MIT
-- Puts the images and videos from a scene's `references`, `first_frame`, `video` and `continues` fields into the model's input.
--
-- This module's errors are tables with the fields `message`, `field` and `hint`.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local input = require "omni.models.input_rules"
local options = require "omni.options"
local references = require "omni.storyboard.language.references"
local a = require("omni.storyboard.language.errors").a

local described, find, list = references.described, references.find, references.list

---@class omni.Reference: omni.Placeholder
---@field label string   its name on the board, or a description
---@field role "first_frame"|"reference"|"video"|"continues"|"input"  the scene's field that it is from; "input": a field of the model
---@field place string   its place in the input: "img_urls[2]", "video_list[1].url"
---@field url? string    the URL, if the reference isn't a placeholder
---@field from? number   start of a video's window in seconds
---@field to? number

local window_fields = { "from", "to" }

-- Checks the times `from` and `to` (in seconds) in a field's table. Returns both.
local function window(given, field)
  for name in pairs(given) do
    if name ~= 1 and name ~= "from" and name ~= "to" then
      return nil, { field = field,
        message = ("%s: unknown field '%s'; %s"):format(field, tostring(name), options.unknown(name, { from = true, to = true })) }
    end
  end
  for _, name in ipairs(window_fields) do
    local value = given[name]
    if value ~= nil and not (type(value) == "number" and value >= 0 and value <= 86400) then
      return nil, { field = field, message = ("%s: '%s' must be a number of seconds, 0 or more, not %s"):format(field, name,
        type(value) == "number" and core.format("%s", value) or a(value)) }
    end
  end
  local from, to = given.from, given.to
  if to and not from then from = 0 end
  if to and from >= to then
    return nil, { field = field, message = ("%s: 'from' (%s) must be less than 'to' (%s)"):format(field, from, to) }
  end
  return { from = from, to = to }
end

---Finds the video that a scene's `video` or `continues` field refers to, if there is one.
---@param given table  the scene's fields
---@return table|nil item, table|nil bad
local function video(given, board)
  local field = given.continues and "continues" or "video"
  local value = given[field]
  if not value then return nil end
  local stretch, bad = {}, nil
  if type(value) == "table" and not placeholder.is(value) then
    stretch, bad = window(value, field)
    if bad then return nil, bad end
    value = value[1]
  end
  local item
  if field == "video" then
    item, bad = find(value, "video", field, board)
  elseif type(value) == "string" and value ~= "" then
    local source = placeholder.clip(value)
    local kind = board.yields[value] or "video"
    if kind ~= "video" then
      return nil, { field = field, message = ('continues: scene "%s" makes %s, not a film'):format(value,
        kind == "image" and "a picture" or "sound") }
    end
    item = { value = source, label = described(source), field = field }
  else
    bad = { field = field, message = "continues: must be a scene's name, not " .. (placeholder.is(value) and tostring(value) or a(value)),
      hint = placeholder.is(value) and "for a file write video = file \"...\"" or nil }
  end
  if not item then return nil, bad end
  item.role, item.from, item.to = field, stretch.from, stretch.to
  return item
end

---Puts a scene's images and video into the model's input. In the model's input, the images from `first_frame` come first, then those from
---`references` and `img_urls`. The video goes into the input's field `video_list`.
---@param given table   the scene's fields that are part of the board language
---@param fields table  the model's fields; `place` changes this table
---@param board { references: table<string, omni.Placeholder|string>, names: table<string, any>, yields: table<string, omni.Modality> }
---@param fail fun(bad: { message: string, field: string, hint?: string })  called for each error
---@return table<string, table> items  by their place in the input
local function place(given, fields, board, fail)
  local items = {}
  local images = list(given.references, "references", board, fail)
  if given.first_frame then
    local first, bad = find(given.first_frame, "image", "first_frame", board)
    if first then
      first.role = "first_frame"
      table.insert(images, 1, first)
    else
      fail(bad)
    end
  end
  if #images > 0 then
    local rest = fields.img_urls or {}
    local count = input.array_length(rest)
    if not count then
      fail { field = "img_urls", message = "img_urls: must be an array of URLs" }
      rest, count = {}, 0
    end
    fields.img_urls = table.move(rest, 1, count, #images + 1, {})
    for index, item in ipairs(images) do
      fields.img_urls[index] = item.value
      items[("img_urls[%d]"):format(index)] = item
    end
  end
  local source, bad = video(given, board)
  if bad then fail(bad) end
  if source then
    fields.video_list = { { url = source.value, start = source.from, ends = source.to } }
    items["video_list[1].url"] = source
  end
  return items
end

---Returns an input's references for the plan and the report: first images, then videos, then placeholders in other fields.
---@param fields table  the model's input
---@param items table<string, table>  from `place`
---@return omni.Reference[]
local function used(fields, items)
  local result, seen = {}, {}
  local function add(value, at, from, to)
    if seen[at] or not (placeholder.is(value) or type(value) == "string") then return end
    seen[at] = true
    local item = items[at]
    local entry = { label = item and item.label or described(value), role = item and (item.role or "reference") or "input", place = at,
      from = from, to = to }
    if placeholder.is(value) then
      entry.kind, entry.path, entry.scene = value.kind, value.path, value.scene
    else
      entry.url = value
    end
    result[#result + 1] = entry
  end
  for _, name in ipairs { "img_urls", "video_list" } do
    local given = fields[name]
    for index, value in ipairs(type(given) == "table" and not placeholder.is(given) and given or {}) do
      local at = ("%s[%d]"):format(name, index)
      if name == "img_urls" then
        add(value, at)
      elseif type(value) == "table" and not placeholder.is(value) then
        add(value.url, at .. ".url", value.start, value.ends)
      end
    end
  end
  for value, at in placeholder.each(fields) do add(value, at) end
  return result
end

return { place = place, used = used }
