-- SPDX-License-Identifier: MIT
-- Lists the sandbox's models, with each model's accepted input and its output.

local inputs = require "omni.models.input_rules"
local options = require "omni.options"
local schema = require "omni.models.schema"

---@class omni.sandbox.Model
---@field model string
---@field modality "video"|"image"
---@field operations string[]
---@field description string
---@field input_schema table
---@field makes omni.sandbox.Makes

---Describes a model's output and prices (price.lua).
---@class omni.sandbox.Makes
---@field image? boolean     makes images instead of a video
---@field seconds? integer   default length of a video
---@field longest? integer   maximum length of a video
---@field by? string         the input field that decides the size of a video
---@field usual? string      that field's default
---@field sizes? table<string, { resolution: string, credits: number }>  by the values of that field; credits per second
---@field window? boolean    the window of a video in video_list decides the length
---@field shape? string      default aspect ratio ("16:9")
---@field credits? number    price of an image
---@field images? string     the input field for reference images
---@field video? string      the input field for a reference video

---@type omni.sandbox.Model[]
local rows = {
  require "omni.sandbox.model.gemini_omni",
  require "omni.sandbox.model.kling",
  require "omni.sandbox.model.vidu",
  require "omni.sandbox.model.seedance",
  require "omni.sandbox.model.nano_banana",
  {
    model = "sandbox/any", modality = "video", operations = { "text-to-video" }, description = "A clip from any input",
    input_schema = { type = "object" },
    makes = { seconds = 5, longest = 10, by = "resolution", usual = "720p", sizes = { ["720p"] = { resolution = "720p", credits = 10 } } },
  },
}

local by_name = {}
for _, row in ipairs(rows) do by_name[row.model] = row end

---@param name string
---@return omni.sandbox.Model|nil
local function find(name)
  return by_name[name]
end

---Returns a hint for an unknown model name: the most similar name, or all known names.
---@param name string
---@return string
local function unknown(name)
  return options.unknown(name, by_name)
end

local function does(row, operation)
  for _, name in ipairs(row.operations) do
    if name == operation then return true end
  end
  return false
end

---Returns the models with the given modality and operation; nil matches any value.
---@param modality? string
---@param operation? string
---@return omni.sandbox.Model[]
local function list(modality, operation)
  local found = {}
  for _, row in ipairs(rows) do
    if (not modality or row.modality == modality) and (not operation or does(row, operation)) then found[#found + 1] = row end
  end
  return found
end

---Checks an input against the model's schema.
---@param row omni.sandbox.Model
---@param input table  as json.decode returns it, so that its empty tables are marked
---@return table|nil copy
---@return string|nil message  begins with the field's name
local function check(row, input)
  local copy, problem, unfollowed = schema.check(row.input_schema, input)
  assert(not unfollowed, unfollowed)
  if copy then problem = inputs.check_relations(row.model, copy, row.input_schema.properties) end
  if not problem then return copy end
  return nil, (problem.message:find "^input:" and "" or "input.") .. problem.message
end

return { find = find, unknown = unknown, list = list, check = check }
