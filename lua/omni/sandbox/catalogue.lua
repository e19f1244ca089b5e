-- SPDX-License-Identifier: MIT
-- The sandbox's models: which there are, what each accepts, what it makes. A row a model.

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

---What a model makes and what that costs (price.lua).
---@class omni.sandbox.Makes
---@field image? boolean     images; of a video the rest:
---@field seconds? integer   its length when the input doesn't say
---@field longest? integer
---@field by? string         the field that decides its size
---@field usual? string      what that field is when it isn't given
---@field sizes? table<string, { resolution: string, credits: number }>  by that field; credits a second
---@field window? boolean    the window of a video in video_list decides the length
---@field shape? string      the aspect ratio when the input doesn't say ("16:9")
---@field credits? number    of an image
---@field images? string     the field of its reference images, or image
---@field video? string      the field of a reference video

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

---What to say of a name that isn't there.
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

---The models of a kind; nil asks for all.
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

---Checks an input as the model's service does.
---@param row omni.sandbox.Model
---@param input table  as json.decode returns it, so that its empty tables are marked
---@return table|nil copy
---@return string|nil message  it begins with the field
local function check(row, input)
  local copy, problem, unfollowed = schema.check(row.input_schema, input)
  assert(not unfollowed, unfollowed)
  if copy then problem = inputs.unrelated(row.model, copy, row.input_schema.properties) end
  if not problem then return copy end
  return nil, (problem.message:find "^input:" and "" or "input.") .. problem.message
end

return { find = find, unknown = unknown, list = list, check = check }
