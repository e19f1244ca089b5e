-- SPDX-License-Identifier: MIT
-- What a model accepts, checked before anything is sent. The rules of google/gemini-omni stand in docs/service.md,
-- "The input of google/gemini-omni"; any other model's input is taken as it is, unless the service tells its schema (init.lua).

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local err = require "omni.error"
local schema = require "omni.models.schema"
local words = require "omni.models.schema.messages"

local default_model <const> = "google/gemini-omni"

local function invalid(field, message, value)
  if value ~= nil then message = message .. ", not " .. words.shown(value) end
  return nil, err.new { code = "invalid_input", field = field, message = field .. ": " .. message }
end

---The length of an array, or nil when the value isn't one.
---@param value any
---@return integer|nil
local function array_length(value)
  if type(value) ~= "table" or asset.is(value) then return nil end
  local count = 0
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return nil end
    count = count + 1
  end
  return count == #value and count or nil
end

---Checks a URL, or an asset that stands for one. Returns the URL in its normal form.
---@param value any
---@param field string
---@return string|omni.Asset|nil
---@return omni.Error|nil
local function url(value, field)
  if asset.is(value) then return value end
  local wrong = asset.wrong_url(value)
  if wrong then return invalid(field, wrong, not wrong:find("data:", 1, true) and value or nil) end
  return core.normalize_url(value)
end

-- --- the models whose rules we know: a schema, and what no schema says

local a_url <const> = { type = "string", format = "uri" }
local seconds <const> = { type = "number", minimum = 0 }

local gemini_omni <const> = {
  type = "object", additionalProperties = false, required = { "prompt" },
  properties = {
    prompt = { type = "string", minLength = 1, maxLength = 20000, format = "text" }, -- a format of our own: no asset
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

local most_images <const>, most_beside_video <const> = 7, 5
local longest_window <const> = 10 -- seconds of a video

-- Each: (input, what the service's schema says of each field) → nil, err when it doesn't hold. Nothing is known of the fields' types.
local relations <const> = {
  function(input)
    for i = 1, array_length(input.img_urls) or 0 do
      local image = input.img_urls[i]
      if asset.is(image) and image.kind == "clip" then
        return invalid(("img_urls[%d]"):format(i), "must be an image; write last_frame for a clip's last picture", image)
      end
    end
  end,
  function(input, told)
    local count = array_length(input.img_urls) or 0
    local beside = (array_length(input.video_list) or 0) > 0
    local said = type(told.img_urls) == "table" and told.img_urls.maxItems
    local most = beside and most_beside_video or most_images
    -- Another limit than the one that is known: then the one beside a video has changed, too.
    if count <= most or next(told) and said ~= most_images then return nil end
    return invalid("img_urls", ("takes at most %d images%s, not %d"):format(most, beside and " when a video is given" or "", count))
  end,
  function(input)
    for i = 1, array_length(input.video_list) or 0 do
      local video, place = input.video_list[i], ("video_list[%d]"):format(i)
      if type(video) ~= "table" then return nil end
      local start, ends = video.start or 0, video.ends
      if asset.is(video.url) and video.url.kind == "frame" then return invalid(place .. ".url", "must be a video", video.url) end
      if type(start) == "number" and type(ends) == "number" and start >= ends then
        return invalid(place .. ".start", ("must be less than ends (%s)"):format(words.shown(ends)), start)
      elseif video.start ~= nil and ends == nil then
        return invalid(place .. ".ends", ("must be given beside start: a part of a video has an end ('to' in a storyboard), at most %d"
          .. " seconds after its start"):format(longest_window))
      elseif type(start) == "number" and type(ends) == "number" and ends - start > longest_window + 1e-9 then
        return invalid(place .. ".ends", ("must be at most %d seconds after start (%s)"):format(longest_window, words.shown(start)), ends)
      end
    end
  end,
}

local models <const> = { [default_model] = { schema = gemini_omni, relations = relations } }

---Without the arrays that are empty, of a model that is known here: they say no more than none.
---@param model string
---@param input table
---@return table
local function without_empty(model, input)
  local known = models[model]
  if not known or type(input) ~= "table" or asset.is(input) then return input end
  local copy = {}
  for name, value in pairs(input) do
    local property = known.schema.properties[name]
    local is_list = property and property.type == "array"
    if not (is_list and type(value) == "table" and next(value) == nil) then copy[name] = value end
  end
  return copy
end

---Checks what is known of the model beyond a schema: which fields go together.
---@param model string
---@param input table  checked
---@param told? table<string, table>  the properties of the service's own schema, where it is that one which was checked
---@return omni.Error|nil err
local function unrelated(model, input, told)
  for _, relation in ipairs(models[model] and models[model].relations or {}) do
    local _, problem = relation(input, told or {})
    if problem then return problem end
  end
end

---Checks an input against what is known here of the model.
---@param model string   the model's name, "google/gemini-omni" when nil
---@param input table    fields as the service names them
---@param with_assets? boolean  assets may stand where URLs are due; the copy isn't ready to be sent then
---@return table|nil     a copy, ready to be sent; of an unknown model the input itself
---@return omni.Error|nil  code "invalid_input", with `field`
local function check(model, input, with_assets)
  model = model or default_model
  local known = models[model]
  if known then
    local copy, problem = schema.check(known.schema, without_empty(model, input), { assets = with_assets })
    problem = problem or unrelated(model, copy)
    if problem then return nil, problem end
    return copy
  end
  if type(input) ~= "table" or asset.is(input) then return invalid("input", "must be a table of fields", input) end
  local found, place = asset.each(input)()
  if found and not with_assets then return nil, schema.no_url_yet(found, place) end
  return input
end

---The fields that a model is known to accept, in order and by name; nil for a model that isn't known here.
---@param model string
---@return table<string|integer, { name: string }>|nil
local function fields(model)
  local known = models[model]
  if not known then return nil end
  local found = {}
  for i, name in ipairs(words.sorted_names(known.schema.properties)) do
    found[i] = { name = name }
    found[name] = found[i]
  end
  return found
end

return {
  array_length = array_length, check = check, default_model = default_model, fields = fields, longest_window = longest_window,
  unrelated = unrelated, url = url, without_empty = without_empty,
}
