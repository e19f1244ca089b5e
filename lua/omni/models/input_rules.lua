-- SPDX-License-Identifier: MIT
-- Contains omni's own rules for google/gemini-omni's input (docs/service.md, "The input of google/gemini-omni"). For models other than
-- google/gemini-omni, omni checks input only against the schema that the service publishes (init.lua).

local core = require "omni.core"
local err = require "omni.error"
local messages = require "omni.models.schema.messages"
local options = require "omni.options"
local placeholder = require "omni.client.placeholder"
local schema = require "omni.models.schema"

local default_model <const> = "google/gemini-omni"

local function invalid(field, message, value)
  if value ~= nil then message = message .. ", not " .. messages.shown(value) end
  return nil, err.new { code = "invalid_input", field = field, message = field .. ": " .. message }
end

---Returns an array's length, or nil if the value isn't an array.
---@param value any
---@return integer|nil
local function array_length(value)
  if type(value) ~= "table" or placeholder.is(value) then return nil end
  local count = 0
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return nil end
    count = count + 1
  end
  return count == #value and count or nil
end

---Checks a value that must be a URL or a placeholder. Returns the normalised URL or the placeholder.
---@param value any
---@param field string
---@return string|omni.Placeholder|nil
---@return omni.Error|nil
local function url(value, field)
  if placeholder.is(value) then return value end
  local wrong = placeholder.wrong_url(value)
  if wrong then return invalid(field, wrong, not wrong:find("data:", 1, true) and value or nil) end
  return core.normalize_url(value)
end

-- --- the rules: a schema, and relations between fields

local a_url <const> = { type = "string", format = "uri" }
local seconds <const> = { type = "number", minimum = 0 }

local gemini_omni <const> = {
  type = "object", additionalProperties = false, required = { "prompt" },
  properties = {
    -- this nonstandard format keeps placeholders out of the prompt
    prompt = { type = "string", minLength = 1, maxLength = 20000, format = "text" },
    img_urls = { type = "array", items = a_url },
    video_list = {
      type = "array", maxItems = 1,
      items = {
        type = "object", additionalProperties = false, required = { "url" },
        properties = { url = a_url, start = seconds, ends = seconds },
      },
    },
    duration = { enum = { 4, 6, 8, 10 } },
    aspect_ratio = { enum = { "16:9", "9:16" } },
    resolution = { enum = { "720p", "1080p", "4k" } },
  },
}

local MAX_IMAGES <const>, MAX_IMAGES_WITH_VIDEO <const> = 7, 5
local LONGEST_WINDOW <const> = 10 -- seconds of a video

-- Rules that each concern several fields. Each function takes the input and the `properties` of the service's schema. If the input breaks a
-- rule, the rule's function returns nil and an error. The functions must accept fields of any type.
local relations <const> = {
  function(input)
    for i = 1, array_length(input.img_urls) or 0 do
      local image = input.img_urls[i]
      if placeholder.is(image) and image.kind == "clip" and image.yields ~= "image" then
        return invalid(("img_urls[%d]"):format(i), "must be an image; use last_frame for a clip's last picture", image)
      end
    end
  end,
  function(input, properties)
    local count = array_length(input.img_urls) or 0
    local has_video = (array_length(input.video_list) or 0) > 0
    local published = type(properties.img_urls) == "table" and properties.img_urls.maxItems
    local most = has_video and MAX_IMAGES_WITH_VIDEO or MAX_IMAGES
    -- If the service's published limit on images differs from omni's, the service's limit for inputs with a video may have changed, too.
    if count <= most or next(properties) and published ~= MAX_IMAGES then return nil end
    return invalid("img_urls", ("takes at most %d images%s, not %d"):format(most, has_video and " when a video is given" or "", count))
  end,
  function(input)
    for i = 1, array_length(input.video_list) or 0 do
      local video, place = input.video_list[i], ("video_list[%d]"):format(i)
      if type(video) ~= "table" then return nil end
      local start, ends = video.start or 0, video.ends
      local is_other = placeholder.is(video.url) and (video.url.kind == "frame" or video.url.yields and video.url.yields ~= "video")
      if is_other then return invalid(place .. ".url", "must be a video", video.url) end
      local has_start, has_end = type(start) == "number", type(ends) == "number"
      if has_start and has_end and start >= ends then
        return invalid(place .. ".start", ("must be less than ends (%s)"):format(messages.shown(ends)), start)
      elseif video.start ~= nil and ends == nil then
        return invalid(place .. ".ends", core.format("is required with start: a part of a video ends ('to' in a storyboard) at most"
          .. " %d seconds after its start", LONGEST_WINDOW))
      elseif has_start and has_end and ends - start > LONGEST_WINDOW + 1e-9 then
        local text = ("must be at most %d seconds after start (%s)"):format(LONGEST_WINDOW, messages.shown(start))
        return invalid(place .. ".ends", text, ends)
      end
    end
  end,
}

local models <const> = { [default_model] = { schema = gemini_omni, relations = relations } }

---Returns a copy of the input without empty arrays, since an empty array means the same as a missing field. Returns the input itself if
---omni has no rules for the model.
---@param model string
---@param input table
---@return table
local function without_empty(model, input)
  local known = models[model]
  if not known or type(input) ~= "table" or placeholder.is(input) then return input end
  local copy = {}
  for name, value in pairs(input) do
    local property = known.schema.properties[name]
    local is_list = property and property.type == "array"
    if not (is_list and type(value) == "table" and next(value) == nil) then copy[name] = value end
  end
  return copy
end

---Checks the relations between an input's fields.
---@param model string
---@param input table  checked against a schema
---@param properties? table<string, table>  from the service's schema, if the input was checked against it
---@return omni.Error|nil err
local function check_relations(model, input, properties)
  for _, relation in ipairs(models[model] and models[model].relations or {}) do
    local _, problem = relation(input, properties or {})
    if problem then return problem end
  end
end

---Checks an input against omni's own rules for its model.
---@param model? string  the model's name (default: "google/gemini-omni")
---@param input any      a table of fields, with the names that the service uses
---@param with_placeholders? boolean  whether placeholders may replace URLs; if so, the returned copy isn't ready to send
---@return table|nil     a copy of the input that is ready to send; for a model without rules, the input itself
---@return omni.Error|nil  code "invalid_input"; `field` is the name of the invalid field
local function check(model, input, with_placeholders)
  if model ~= nil then options.argument(model, "string", "omni.check_input") end
  if with_placeholders ~= nil then options.argument(with_placeholders, "boolean", "omni.check_input") end
  model = model or default_model
  local known = models[model]
  if known then
    local copy, problem = schema.check(known.schema, without_empty(model, input), { placeholders = with_placeholders })
    problem = problem or check_relations(model, copy)
    if problem then return nil, problem end
    return copy
  end
  if type(input) ~= "table" or placeholder.is(input) then return invalid("input", "must be a table of fields", input) end
  local found, place = placeholder.each(input)()
  if found and not with_placeholders then return nil, schema.no_url_yet(found, place) end
  return input
end

---Returns the fields that a model accepts, both as a list and as a table indexed by name. Returns nil for a model for which omni has no
---rules.
---@param model string
---@return table<string|integer, { name: string }>|nil
local function fields(model)
  local known = models[model]
  if not known then return nil end
  local found = {}
  for i, name in ipairs(messages.sorted_names(known.schema.properties)) do
    found[i] = { name = name }
    found[name] = found[i]
  end
  return found
end

return {
  array_length = array_length, check = check, default_model = default_model, fields = fields, longest_window = LONGEST_WINDOW,
  check_relations = check_relations, url = url, without_empty = without_empty,
}
