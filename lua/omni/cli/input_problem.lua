-- SPDX-License-Identifier: MIT
-- Explains why a model refuses an input from the command line, in terms of the command's options rather than the input's fields. If a
-- model's field for images isn't `img_urls`, or its field for videos isn't `video_list`, finds the field in the model's schema.

local quote = require("omni.storyboard.next_command").quote

local options <const> = {
  prompt = "prompt", duration = "duration", aspect_ratio = "aspect-ratio", resolution = "resolution", img_urls = "image",
  video_list = "video",
}

-- The options that set a field whose name differs between models.
local media <const> = {
  { field = "img_urls", option = "image", word = "image", noun = "image" },
  { field = "video_list", option = "video", word = "video", noun = "video" },
}

-- Returns the first value of --image or --video, or nil.
local function value_of(given, option)
  local value = given[option]
  if type(value) == "table" then return value[1] end
  return value
end

-- Returns whether a schema property accepts URLs, and whether the property is a list.
local function takes_url(property)
  local item = property.type == "array" and property.items or property
  local is_string = type(item) == "table" and (item.type == "string" or item.format == "uri" or item.anyOf ~= nil or item.nullable == true)
  return is_string, property.type == "array"
end

-- Returns the model's fields that accept URLs and whose names contain `word` (such as "image"), the shortest name first.
local function fields_for(properties, word)
  local names = {}
  for name, property in pairs(properties) do
    if name:find(word, 1, true) and type(property) == "table" and takes_url(property) then names[#names + 1] = name end
  end
  table.sort(names, function(a, b)
    if #a ~= #b then return #a < #b end
    return a < b
  end)
  return names
end

-- Returns a --set option that sets a field to this file or URL.
local function set_option(name, property, value)
  local is_url = value:find "^%a[%w+.-]*://" ~= nil
  local json = require("omni.json").text(value)
  local text = is_url and json or ('{"$file":%s}'):format(json)
  local _, is_list = takes_url(property)
  return "--set " .. quote(("%s=%s"):format(name, is_list and "[" .. text .. "]" or text))
end

-- If the model doesn't have the field that --image or --video sets, rewrites the error so that it names the model's own field. Returns
-- whether the error was rewritten.
local function explain_media(called, model, problem)
  local schema
  for _, kind in ipairs(media) do
    local value = value_of(called.given, kind.option)
    schema = value and (schema or (called.client:model(model) or {}).input_schema) or schema
    local properties = type(schema) == "table" and schema.properties
    if value and type(properties) == "table" and not properties[kind.field] then
      local names = fields_for(properties, kind.word)
      problem.field = nil
      if names[1] then
        problem.message = ("--%s: the model %s has another name for %ss: %s"):format(kind.option, model, kind.noun,
          table.concat(names, " or "))
        problem.hint = ("instead of --%s, give %s"):format(kind.option, set_option(names[1], properties[names[1]], value))
      else
        problem.message = ("--%s: the model %s accepts no %s"):format(kind.option, model, kind.noun)
        problem.hint = "omni models lists what each model makes, and from what"
      end
      return true
    end
  end
  return false
end

---Rewrites an error about an input in terms of the command's options and the model.
---@param called omni.cli.Call
---@param model string
---@param problem omni.Error  code "invalid_input"
return function(called, model, problem)
  local field = problem.field and problem.field:match "^[%w_]+"
  if not field or problem.message:sub(1, #problem.field) ~= problem.field then return end
  if explain_media(called, model, problem) then return end
  local given, rest = called.given, problem.message:sub(#problem.field + 1)
  local option = options[field]
  local part = problem.field:match "^video_list%[%d+%]%.(%a+)$"
  if option and (value_of(given, field) ~= nil or value_of(given, option) ~= nil or rest == ": is required" and not given.input) then
    problem.message = "--" .. ((part == "start" or part == "ends") and part or option) .. rest
  else
    for _, word in ipairs(given.set) do
      if word:match "^[%w_]+" == field then problem.message = "--set: " .. problem.message break end
    end
  end
  problem.hint = problem.hint or ("omni models %s lists what the model accepts"):format(model)
end
