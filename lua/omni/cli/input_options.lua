-- SPDX-License-Identifier: MIT
-- A model's input from the command line: out of options, out of a JSON file, or both. Files in it are assets
-- (lua/omni/client/placeholder.lua).
--
--   {"$file": "keeper.png"}   in JSON stands for the URL of that file, once it is uploaded; relative to the JSON's own folder

local common = require "omni.cli.common"

local input = {}

local most_bytes <const> = 1024 * 1024 -- of JSON; a prompt has at most 20,000 characters

---Adds the options that say what is submitted.
---@param parser table  argparse's
function input.define(parser)
  parser:option("--model", "The model (default: google/gemini-omni). See: omni models"):argname("NAME")
  parser:option("--prompt", "What is to be seen."):argname("TEXT")
  common.amount(parser:option("--duration", "Seconds."):argname("N"))
  parser:option("--aspect-ratio", "16:9 or 9:16, for example."):argname("RATIO")
  parser:option("--resolution", "720p, 1080p or 4k, for example."):argname("NAME")
  parser:option("--image", "A reference image: a file, which is uploaded, or a URL. May be given several times (img_urls).")
    :argname("FILE|URL"):count("*")
  parser:option("--video", "A reference video: a file, which is uploaded, or a URL (video_list)."):argname("FILE|URL")
  common.amount(parser:option("--start", "Where the video's part begins, in seconds."):argname("S"))
  common.amount(parser:option("--ends", "Where it ends."):argname("S"))
  parser:option("--set", "Any other field. VALUE is JSON, or else text; a dot in NAME leads into an object. May be given several times.")
    :argname("NAME=VALUE"):count("*")
  parser:option("--input", "The whole input as a JSON object, in a file; - for stdin. The other options override its fields.")
    :argname("FILE")
end

-- What is wrong is raised as a text, and told by `read`.
local Wrong_mt = {}
local function wrong(message, ...)
  error(setmetatable({ message = message:format(...) }, Wrong_mt), 0)
end

local function shown(value)
  return "'" .. require("omni.core").clean(value, 80) .. "'"
end

-- --- files

-- A file that will be uploaded. Its bytes are looked at then; here, that there is one.
local function file(path, folder, place)
  if path == "" or path:find("\0", 1, true) then wrong("%s: a file's path is due", place) end
  local asset = require("omni.client.placeholder").file_in(folder)(path)
  local info, why = require("omni.core").stat(asset.path)
  if not info then wrong("%s: the file %s can't be read: %s", place, shown(asset.path), why:match "[^:]*$":gsub("^%s+", "")) end
  if info.kind ~= "file" then wrong("%s: %s is %s", place, shown(asset.path), info.kind == "directory" and "a folder" or "no file") end
  return asset
end

-- What --image and --video name.
local function file_or_url(text, place)
  if not text:find("^%a[%w+.-]*:") or require("omni.core").stat(text) then return file(text, nil, place) end
  local why = require("omni.client.placeholder").wrong_url(text)
  if why then wrong("%s: %s %s; a file's path is fine, too", place, shown(text), why) end
  return text
end

-- The tree with what stands for files turned into assets. Numbers are read as floats, which hold whole ones exactly below 2^53.
local function with_files(tree, folder, place)
  if type(tree) == "number" and math.abs(tree) >= 2 ^ 53 then
    wrong("%s: a number of that size isn't read exactly from JSON; it must be less than 2^53, or a text where the model takes one", place)
  end
  if type(tree) ~= "table" then return tree end
  local path = tree["$file"]
  if path ~= nil then
    if type(path) ~= "string" or next(tree, next(tree)) ~= nil then wrong('%s: {"$file": PATH} is due, and nothing beside it', place) end
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
  if not from then wrong("--input: %s; what comes from a pipe is read with --input -", require("omni.core").clean(why)) end
  local text
  text, why = from:read(most_bytes + 1)
  if name ~= "-" then from:close() end
  if why then wrong("--input: %s can't be read: %s", shown(name), why) end
  text = require("omni.text").unmarked(text or "")
  if #text > most_bytes then wrong("--input: %s holds more than %d bytes", shown(name), most_bytes) end
  return text
end

local function from_json(name)
  local text = read_text(name)
  local what = name == "-" and "stdin" or shown(name)
  if not text:find "%S" then wrong("--input: %s is empty; a JSON object is due", what) end
  local tree, why = require("omni.json").decode(text)
  if tree == nil then wrong("--input: %s isn't JSON: %s", what, require("omni.core").clean(why, 200)) end
  if not text:find "^%s*{" then wrong("--input: %s holds no JSON object", what) end
  local folder = name ~= "-" and name:match "^(.*)/[^/]*$" or nil
  for field, value in pairs(tree) do tree[field] = with_files(value, folder, field) end
  return tree
end

-- --- options

-- `NAME=VALUE`, with dots in the name, put into the tree.
local function set(tree, word)
  local name, text = word:match "^([^=]+)=(.*)$"
  if not name then wrong("--set: NAME=VALUE is due, not %s", shown(word)) end
  if ("." .. name .. "."):find("..", 1, true) then wrong("--set: a name is missing in %s", shown(name)) end
  local value = require("omni.json").decode(text)
  if value == nil then value = text end
  local steps = {}
  for step in name:gmatch "[^.]+" do steps[#steps + 1] = step end
  local last = table.remove(steps)
  local json = require "omni.json"
  for _, step in ipairs(steps) do
    if tree[step] == nil then tree[step] = json.object() end
    tree = tree[step]
    if type(tree) ~= "table" or require("omni.client.placeholder").is(tree) or json.kind_of(tree) == "array" then
      wrong("--set: %s leads into what isn't an object", shown(name))
    end
  end
  tree[last] = with_files(value, nil, name)
end

local plain = { "prompt", "duration", "aspect_ratio", "resolution" }

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
    wrong("--%s says which part of a video is meant; add --video", given.start and "start" or "ends")
  end
  return tree
end

---The input that the options describe.
---@param given table  what argparse found
---@return table|nil input    what can't be used is told
---@return string|nil model
function input.read(given)
  local fine, result = pcall(read, given)
  if fine then return result, given.model or require("omni.models.input_rules").default_model end
  if getmetatable(result) ~= Wrong_mt then error(result, 0) end
  common.say(result.message)
end

return input
