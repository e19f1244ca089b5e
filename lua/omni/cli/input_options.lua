-- SPDX-License-Identifier: MIT
-- Reads a model's input from the command line: from options, from a JSON file, or both. Files in the input become placeholders
-- (lua/omni/client/placeholder.lua).
--
-- In a JSON file, {"$file": "keeper.png"} stands for the URL that the file gets when omni uploads it. Paths in a JSON file are relative to
-- the JSON file's folder.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local input_options = {}

local most_bytes <const> = 1024 * 1024 -- maximum size of the JSON file in bytes

---Adds the options that describe the input.
---@param parser table  argparse's
function input_options.define(parser)
  parser:option("--model", "The model (default: google/gemini-omni). See: omni models"):argname("NAME")
  parser:option("--prompt", "What the video shows."):argname("TEXT")
  options.amount(parser:option("--duration", "The clip's length, in seconds."):argname("N"))
  parser:option("--aspect-ratio", "16:9 or 9:16, for example."):argname("RATIO")
  parser:option("--resolution", "720p, 1080p or 4k, for example."):argname("NAME")
  parser:option("--image", "A reference image: a file, which is uploaded, or a URL. Repeatable (img_urls)."):argname("FILE|URL"):count("*")
  parser:option("--video", "A reference video: a file, which is uploaded, or a URL (video_list)."):argname("FILE|URL")
  options.amount(parser:option("--start", "The start of the part of the video to use, in seconds."):argname("S"))
  options.amount(parser:option("--ends", "The end of that part."):argname("S"))
  parser:option("--set", "Set any other field. VALUE is JSON or else text; a dot in NAME leads into an object. Repeatable.")
    :argname("NAME=VALUE"):count("*")
  parser:option("--input", "The whole input as a JSON object, in a file; - for stdin. The other options override its fields.")
    :argname("FILE")
end

-- The metatable of the errors that incorrect options raise; `read` prints these errors' messages.
local Misuse_mt = {}
local function misuse(text, ...)
  error(setmetatable({ message = text:format(...) }, Misuse_mt), 0)
end

local function quoted(value)
  return "'" .. require("omni.core").clean(value, 80) .. "'"
end

-- --- files

-- Returns a placeholder for an existing file. omni checks the file's content when it uploads the file.
local function file(path, folder, place)
  if path == "" or path:find("\0", 1, true) then misuse("%s: expected the path of a file", place) end
  local placeholder = require("omni.client.placeholder").file_in(folder)(path)
  local info, why = require("omni.core").stat(placeholder.path)
  local name = quoted(placeholder.path)
  if not info then misuse("%s: can't read the file %s: %s", place, name, why:match "[^:]*$":gsub("^%s+", "")) end
  if info.kind ~= "file" then misuse("%s: %s is %s", place, name, info.kind == "directory" and "a folder" or "not a regular file") end
  return placeholder
end

-- Returns the URL or placeholder for the value of --image or --video.
local function file_or_url(text, place)
  if not text:find("^%a[%w+.-]*:") or require("omni.core").stat(text) then return file(text, nil, place) end
  local why = require("omni.client.placeholder").wrong_url(text)
  if why then misuse("%s: %s %s; the path of a file works, too", place, quoted(text), why) end
  return text
end

-- Replaces each {"$file": PATH} with a placeholder. The decoder returns JSON numbers as floats, which represent whole numbers below 2^53
-- exactly.
local function with_files(tree, folder, place)
  if type(tree) == "number" and math.abs(tree) >= 2 ^ 53 then
    misuse("%s: a JSON number must be less than 2^53 to be read exactly; use a text if the model accepts one", place)
  end
  if type(tree) ~= "table" then return tree end
  local path = tree["$file"]
  if path ~= nil then
    if type(path) ~= "string" or next(tree, next(tree)) ~= nil then misuse('%s: expected {"$file": PATH} with no other field', place) end
    return file(path, folder, place)
  end
  local place_of = require("omni.client.placeholder").place_of
  for key, value in pairs(tree) do tree[key] = with_files(value, folder, place_of(place, key)) end
  return tree
end

-- --- JSON

local function read_text(name)
  local from, why = io.stdin, nil
  if name ~= "-" then from, why = require("omni.core").open(name) end
  if not from then misuse("--input: %s; --input - reads from a pipe", require("omni.core").clean(why)) end
  local text
  text, why = from:read(most_bytes + 1)
  if name ~= "-" then from:close() end
  if why then misuse("--input: can't read %s: %s", quoted(name), why) end
  text = require("omni.text_encoding").unmarked(text or "")
  if #text > most_bytes then misuse("--input: %s has more than %d bytes", quoted(name), most_bytes) end
  return text
end

local function from_json(name)
  local text = read_text(name)
  local what = name == "-" and "stdin" or quoted(name)
  if not text:find "%S" then misuse("--input: %s is empty; expected a JSON object", what) end
  local tree, why = require("omni.json").decode(text)
  if tree == nil then misuse("--input: %s isn't JSON: %s", what, require("omni.core").clean(why, 200)) end
  if not text:find "^%s*{" then misuse("--input: %s doesn't contain a JSON object", what) end
  local folder = name ~= "-" and name:match "^(.*)/[^/]*$" or nil
  for field, value in pairs(tree) do tree[field] = with_files(value, folder, field) end
  return tree
end

-- --- options

-- Sets a field of the input from the option value NAME=VALUE. A dot in NAME separates the names of nested fields.
local function set(tree, word)
  local name, text = word:match "^([^=]+)=(.*)$"
  if not name then misuse("--set: expected NAME=VALUE, got %s", quoted(word)) end
  if ("." .. name .. "."):find("..", 1, true) then misuse("--set: a name is missing in %s", quoted(name)) end
  local json = require "omni.json"
  local value = json.decode(text)
  if value == nil then value = text end
  local steps = {}
  for step in name:gmatch "[^.]+" do steps[#steps + 1] = step end
  local last = table.remove(steps)
  for _, step in ipairs(steps) do
    if tree[step] == nil then tree[step] = json.object() end
    tree = tree[step]
    if type(tree) ~= "table" or require("omni.client.placeholder").is(tree) or json.kind_of(tree) == "array" then
      misuse("--set: %s leads into a value that isn't an object", quoted(name))
    end
  end
  tree[last] = with_files(value, nil, name)
end

local plain <const> = { "prompt", "duration", "aspect_ratio", "resolution" }

local function read(given)
  local tree = given.input and from_json(given.input) or {}
  for _, word in ipairs(given.set) do set(tree, word) end
  for _, name in ipairs(plain) do
    if given[name] then tree[name] = given[name] end
  end
  if #given.image > 0 then
    tree.img_urls = {}
    for i, text in ipairs(given.image) do tree.img_urls[i] = file_or_url(text, "--image") end
  end
  if given.video then
    tree.video_list = { { url = file_or_url(given.video, "--video"), start = given.start, ends = given.ends } }
  elseif given.start or given.ends then
    misuse("--%s selects a part of a video; add --video", given.start and "start" or "ends")
  end
  return tree
end

---Returns the input that the options describe, or prints what is wrong with the options.
---@param given table  the options, from argparse
---@return table|nil input
---@return string|nil model
function input_options.read(given)
  local fine, result = pcall(read, given)
  if fine then return result, given.model or require("omni.models.input_rules").default_model end
  if getmetatable(result) ~= Misuse_mt then error(result, 0) end
  message.print(result.message)
end

return input_options
