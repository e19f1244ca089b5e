-- SPDX-License-Identifier: MIT
-- Runs a board in a separate process and builds a storyboard from the bytes that the process returns. Since bytes from a board's process
-- may be hostile, omni accepts only plain values and recorded calls to the board language's functions.

local placeholder = require "omni.client.placeholder"
local core = require "omni.core"
local environment = require "omni.storyboard.language.environment"
local errors = require "omni.storyboard.language.errors"
local process = require "omni.process"
local scenes = require "omni.storyboard.language.scene"
local windows_word = require "omni.storyboard.language.windows"

local MAX_DEPTH <const> = 200
local MAX_FIELDS <const> = 200 -- per scene
local EXIT_MEMORY <const>, EXIT_TIME <const> = 3, 4 -- csrc/core/board_process.c

-- --- bytes → values

-- A recorded call to a function of the board language. The call's field `word` is the function's name, and its field `fields` contains the
-- arguments.
local Call_mt = {}

local substitutes = { ["function"] = function() end, thread = coroutine.create(function() end) }

-- Raises an error for bytes that don't have the format that environment.lua writes.
local function read(bytes, at, depth)
  local tag = bytes:sub(at, at)
  at = at + 1
  if tag == "s" then return ("<s4"):unpack(bytes, at) end
  if tag == "i" then return ("<i8"):unpack(bytes, at) end
  if tag == "d" then return ("<d"):unpack(bytes, at) end
  if tag == "t" or tag == "f" then return tag == "t", at end
  if tag == "n" then return nil, at end
  local name
  if tag == "x" then
    name, at = ("<s4"):unpack(bytes, at)
    return substitutes[name] or substitutes["function"], at
  end
  if tag == "w" then name, at = ("<s4"):unpack(bytes, at) elseif tag ~= "{" then error("unknown tag", 0) end
  if depth > MAX_DEPTH then error("nested too deeply", 0) end
  local found = {}
  while bytes:byte(at) ~= 125 do -- "}"
    local key, value
    key, at = read(bytes, at, depth + 1)
    value, at = read(bytes, at, depth + 1)
    if key == nil or key ~= key then error("no key", 0) end
    found[key] = value
  end
  if name then return setmetatable({ word = name, fields = found }, Call_mt), at + 1 end
  return found, at + 1
end

-- --- values → scenes and placeholders

local function text_or_nil(value, most)
  return type(value) == "string" and core.clean(value, most) or nil
end

local make -- forward

local makers = {}

function makers.scene(call, found)
  local where = text_or_nil(call.where, 1000)
  return errors.try(found, false, where, function()
    local scene, count = scenes.declare(call.name, where, found)(make(call.fields, found)), 0
    for _ in pairs(scene and scene.fields or {}) do count = count + 1 end
    if count > MAX_FIELDS then
      error(errors.problem(where, errors.quoted(call.name), ("has more than %d fields"):format(MAX_FIELDS)), 0)
    end
    return scene
  end)
end

function makers.unfinished(call, found) return scenes.declare(call.name, text_or_nil(call.where, 1000), found) end

function makers.windows(call, found)
  local where, source, seconds = text_or_nil(call.where, 1000), make(call.source, found), make(call.seconds, found)
  local fields = make(call.fields, found)
  local made = errors.try(found, false, where, function()
    if source == errors.stand_in then return false end
    local windows = windows_word.declare(source, seconds, where)
    if not fields then return windows end
    windows = windows_word.with_fields(windows, fields)
    local count = 0
    for _ in pairs(fields) do count = count + 1 end
    if count > MAX_FIELDS then error(errors.problem(where, "windows", ("have more than %d fields"):format(MAX_FIELDS)), 0) end
    windows_word.scenes(windows) -- checks the name
    return windows
  end)
  found.incomplete = found.incomplete or not made
  return made
end

function makers.file(call, found)
  return errors.try(found, errors.stand_in, text_or_nil(call.where, 1000), function()
    return placeholder.file_in(found.folder, found.on_file)(make(call.value, found))
  end)
end

for _, name in ipairs { "url", "last_frame", "clip" } do
  makers[name] = function(call, found)
    return errors.try(found, errors.stand_in, text_or_nil(call.where, 1000), function()
      return placeholder[name](make(call.value, found))
    end)
  end
end

-- Converts a value from the board to omni's own objects, by carrying out all recorded calls that the value contains.
function make(value, found)
  if type(value) ~= "table" then return value end
  if getmetatable(value) == Call_mt then
    local maker = makers[value.word]
    if maker then return maker(value.fields, found) end
    return setmetatable({}, Call_mt) -- a storyboard within a storyboard is refused later, because it isn't a scene
  end
  local made = {}
  for key, item in pairs(value) do made[type(key) == "table" and {} or key] = make(item, found) end
  return made
end

-- --- the process

-- Prints the board's own output to stderr, since another program may be reading omni's stdout.
local function print_output(printed)
  if type(printed) ~= "string" or printed == "" then return end
  for line in (printed .. "\n"):gmatch "(.-)\n" do io.stderr:write(core.clean(line, 10000), "\n") end
end

local function packed(path, text, set)
  local parts = { ("<s4s4I4"):pack(path, text, environment.MAX_BYTES) }
  for name, value in pairs(set) do parts[#parts + 1] = ("<s4s4"):pack(name, value) end
  return table.concat(parts)
end

-- Describes why the board's process was stopped.
local function describe_end(ended, limits)
  if ended.exit == EXIT_TIME then
    return core.format("it takes more than %.14g s of processor time", limits.cpu_seconds), "look for an endless loop"
  elseif ended.exit == EXIT_MEMORY then
    return ("it needs more than %d MiB of memory"):format(limits.max_memory // 1048576)
  end
  return "its process ended before it returned the board" .. (ended.signal and (" (signal %d)"):format(ended.signal) or "")
end

---Runs a board in a separate process, and waits until the process ends. `run` must be called in a fiber.
---@param board { path: string, text: string, folder: string, set: table<string, string>, cpu_seconds: number, max_memory: integer }
---@return { result: any, failed?: string, raised?: string, opened?: any }|nil  result: for `fields_of`; opened: file names
---@return string|nil message, string|nil hint  why there is no result
local function run(board)
  local limits = {
    folder = board.folder:gsub("/$", ""), cpu_seconds = board.cpu_seconds, max_memory = board.max_memory,
    max_output = 2 * environment.MAX_BYTES,
  }
  local started, why = core.board_process(string.dump(environment.inside), packed(board.path, board.text, board.set), limits)
  if not started then return nil, "can't start a process for the board: " .. why end
  local ended = process.await(started)
  if ended.stdout == "" then return nil, describe_end(ended, limits) end
  local fine, answer = pcall(read, ended.stdout, 1, 0)
  if not fine or type(answer) ~= "table" then return nil, (describe_end(ended, limits)) end
  print_output(answer.printed)
  if type(answer.refused) == "string" then return nil, core.clean(answer.refused, 1000) end
  if answer.failed == "not enough memory" then return nil, (describe_end({ exit = EXIT_MEMORY }, limits)) end
  local hint
  if type(answer.missing) == "table" and type(answer.missing[1]) == "string" then
    hint = ("os.getenv returns what --set NAME=VALUE gives (in a program: set = { NAME = \"...\" }); '%s' isn't set"):format(
      core.clean(answer.missing[1], 100))
  end
  return answer, nil, hint
end

---Returns the fields of the board's storyboard. If the board didn't return a storyboard, returns nil and the value that it returned. Adds
---the errors in the recorded calls to `found.problems`. Sets `found.incomplete` to true if a scene's name is missing because of an error in
---a recorded call.
---@param result any
---@param found { folder: string, problems: omni.Error[], incomplete?: boolean, on_file?: fun(name: string) }
---@return table|any fields
---@return any other
local function fields_of(result, found)
  if getmetatable(result) == Call_mt and result.word == "storyboard" then return make(result.fields.fields, found) end
  return nil, make(result, found)
end

return { fields_of = fields_of, run = run }
