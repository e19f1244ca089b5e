-- SPDX-License-Identifier: MIT
-- What a model accepts, checked before anything is sent. The rules of google/gemini-omni stand in docs/service.md,
-- "The input of google/gemini-omni"; the input of any other model is taken as it is.

local asset = require "omni.asset"
local core = require "omni.core"
local err = require "omni.error"
local options = require "omni.options"

local default_model <const> = "google/gemini-omni"

local said = { file = "a file", frame = "another scene's frame", clip = "another scene's clip" } -- of assets

local function shown(value)
  if asset.is(value) then return said[value.kind] end
  if type(value) == "string" then
    local text = core.clean(value, 60)
    return ("'%s'"):format(text)
  elseif type(value) == "number" or type(value) == "boolean" then
    return tostring(value)
  end
  return "a " .. type(value)
end

local function invalid(field, message, value)
  if value ~= nil then message = message .. ", not " .. shown(value) end
  return nil, err.new { code = "invalid_input", field = field, message = field .. ": " .. message }
end

-- The length of an array, or nil when the value isn't one.
local function array_length(value)
  if type(value) ~= "table" or asset.is(value) then return nil end
  local count = 0
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return nil end
    count = count + 1
  end
  return count == #value and count or nil
end

-- --- one function a kind of field: (value, field, rule) → checked value | nil, err

local function text(value, field, rule)
  if type(value) ~= "string" then return invalid(field, "must be a string", value) end
  local length = utf8.len(value)
  if not length then return invalid(field, "must be valid UTF-8; it has a wrong byte at position " .. select(2, utf8.len(value))) end
  if length < rule.least or length > rule.most then
    return invalid(field, ("must be of %d to %d characters, not %d"):format(rule.least, rule.most, length))
  end
  return value
end

local function choice(value, field, rule)
  for _, allowed in ipairs(rule.choices) do
    if value == allowed then return allowed end -- 8.0 becomes 8
  end
  local names = {}
  for i, allowed in ipairs(rule.choices) do names[i] = tostring(allowed) end
  local last = table.remove(names)
  return invalid(field, "must be " .. table.concat(names, ", ") .. " or " .. last, value)
end

-- `unfit` is the kind of asset that can't be one here.
local function url(value, field, unfit)
  if asset.is(value) then
    if value.kind == unfit then
      return invalid(field, unfit == "clip" and "must be an image; write last_frame for a clip's last picture" or "must be a video", value)
    end
    return value
  end
  local wrong = asset.wrong_url(value)
  if wrong then return invalid(field, wrong, not wrong:find("data:", 1, true) and value or nil) end
  return value
end

local function urls(value, field)
  local count = array_length(value)
  if not count then return invalid(field, "must be an array of URLs", value) end
  local copy = {}
  for i = 1, count do
    local checked, problem = url(value[i], ("%s[%d]"):format(field, i), "clip")
    if not checked then return nil, problem end
    copy[i] = checked
  end
  return copy
end

local function seconds(value, field)
  if type(value) ~= "number" or value ~= value or value < 0 or value > 86400 then
    return invalid(field, "must be a number of seconds, 0 or more", value)
  end
  return value
end

local function video_url(value, field) return url(value, field, "frame") end

local video_fields = { url = video_url, start = seconds, ends = seconds }

local function videos(value, field, rule)
  local count = array_length(value)
  if not count then return invalid(field, "must be an array of { url, start, ends }", value) end
  if count > rule.most then
    return invalid(field, ("takes at most %d video, not %d"):format(rule.most, count))
  end
  local copy = {}
  for i = 1, count do
    local place, video = ("%s[%d]"):format(field, i), {}
    if type(value[i]) ~= "table" or asset.is(value[i]) then return invalid(place, "must be a table { url, start, ends }", value[i]) end
    for name, given in pairs(value[i]) do
      local check = video_fields[name]
      if not check then
        return invalid(place .. "." .. core.clean(tostring(name), 60), "unknown field; " .. options.unknown(name, video_fields))
      end
      local checked, problem = check(given, place .. "." .. name)
      if not checked then return nil, problem end
      video[name] = checked
    end
    if not video.url then return invalid(place .. ".url", "is required") end
    if video.ends and (video.start or 0) >= video.ends then
      return invalid(place .. ".start", ("must be less than ends (%s)"):format(video.ends), video.start or 0)
    end
    copy[i] = video
  end
  return copy
end

-- --- the models whose rules we know

local function by_name(rules)
  for _, rule in ipairs(rules) do rules[rule.name] = rule end
  return rules
end

local gemini_omni = by_name {
  { name = "prompt", check = text, required = true, least = 1, most = 20000 },
  { name = "img_urls", check = urls, most = 7, most_with_video = 5 },
  { name = "video_list", check = videos, most = 1 },
  { name = "duration", check = choice, choices = { 4, 6, 8, 10 } },
  { name = "aspect_ratio", check = choice, choices = { "16:9", "9:16" } },
  { name = "resolution", check = choice, choices = { "720p", "1080p", "4k" } },
}

local models = { [default_model] = gemini_omni }

local function check_known(rules, input)
  local copy = {}
  for name in pairs(input) do
    if not rules[name] then
      return invalid(core.clean(tostring(name), 60), "unknown field; " .. options.unknown(name, rules))
    end
  end
  for _, rule in ipairs(rules) do -- in order: of several wrong fields always the same one is named
    local name, value = rule.name, input[rule.name]
    if value == nil then
      if rule.required then return invalid(name, "is required") end
    else
      local checked, problem = rule.check(value, name, rule)
      if not checked then return nil, problem end
      -- An empty array says no more than none, and lua-cjson would make an object of it.
      if type(checked) ~= "table" or #checked > 0 then copy[name] = checked end
    end
  end
  local images = rules.img_urls
  if images and copy.img_urls then
    local limit = copy.video_list and images.most_with_video or images.most
    if #copy.img_urls > limit then
      return invalid("img_urls", ("takes at most %d images%s, not %d"):format(
        limit, copy.video_list and " when a video is given" or "", #copy.img_urls))
    end
  end
  return copy
end

---Checks an input against what the model accepts.
---@param model string   the model's name, "google/gemini-omni" when nil
---@param input table    fields as the service names them
---@param with_assets? boolean  assets may stand where URLs are due; the copy isn't ready to be sent then
---@return table|nil     a copy, ready to be sent
---@return omni.Error|nil  code "invalid_input", with `field`
local function check(model, input, with_assets)
  if type(input) ~= "table" or asset.is(input) then return invalid("input", "must be a table", input) end
  if not with_assets then
    local found, place = asset.each(input)()
    if found then
      local _, problem = invalid(place, ("has no URL yet (%s)"):format(tostring(found)))
      if found.kind == "file" then problem.hint = "client:upload(path) gives it one" end
      return nil, problem
    end
  end
  local rules = models[model or default_model]
  if rules then return check_known(rules, input) end
  return input
end

---The fields that a model is known to accept: name → rule; nil for a model that isn't known here.
---@param model string
---@return table<string, table>|nil
local function fields(model)
  return models[model]
end

return { array_length = array_length, check = check, fields = fields, url = url, default_model = default_model }
