-- SPDX-License-Identifier: MIT
-- Runs a board in a process of its own and makes a storyboard out of the bytes that come back. These are hostile: whatever they say, only
-- plain values, and what the words of the language make of them, reach the rest of omni.

local asset = require "omni.client.placeholder"
local core = require "omni.core"
local environment = require "omni.storyboard.language.environment"
local process = require "omni.process"
local problems = require "omni.storyboard.language.errors"
local scenes = require "omni.storyboard.language.scene"
local windows_of = require "omni.storyboard.language.windows"

local MAX_DEPTH <const> = 200
local MAX_FIELDS <const> = 200 -- of a scene
local EXIT_MEMORY <const>, EXIT_TIME <const> = 3, 4 -- csrc/core/board_process.c

-- --- bytes → values

-- What a word noted, before it is made: { word =, fields = }.
local Noted_mt = {}

local stand_ins = { ["function"] = function() end, thread = coroutine.create(function() end) }

-- Raises for bytes that aren't of the form which environment.lua writes.
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
    return stand_ins[name] or stand_ins["function"], at
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
  if name then return setmetatable({ word = name, fields = found }, Noted_mt), at + 1 end
  return found, at + 1
end

-- --- values → what the words make of them

local function text_or_nil(value, most)
  return type(value) == "string" and core.clean(value, most) or nil
end

-- Calls a word that raises a message without a place.
local function word_at(where, word, value)
  local fine, made = pcall(word, value)
  if fine then return made end
  error(problems.problem(where, nil, made), 0)
end

local make -- forward

local makers = {}

function makers.scene(noted, folder)
  local where = text_or_nil(noted.where, 1000)
  local scene = scenes.declare(noted.name, where)(make(noted.fields, folder))
  local count = 0
  for _ in pairs(scene.fields) do count = count + 1 end
  if count > MAX_FIELDS then
    error(problems.problem(where, problems.quoted(noted.name), ("has more than %d fields"):format(MAX_FIELDS)), 0)
  end
  return scene
end

function makers.unfinished(noted) return scenes.declare(noted.name, text_or_nil(noted.where, 1000)) end

function makers.windows(noted, folder)
  local where = text_or_nil(noted.where, 1000)
  local windows = windows_of.declare(make(noted.source, folder), make(noted.seconds, folder), where)
  local fields = make(noted.fields, folder)
  if not fields then return windows end
  local scene = makers.scene({ name = "windows", where = where, fields = fields }, folder) -- for the number of its fields
  return windows_of.with_fields(windows, scene.fields)
end

function makers.file(noted, folder) return word_at(text_or_nil(noted.where, 1000), asset.file_in(folder), make(noted.value, folder)) end

for _, name in ipairs { "url", "last_frame", "clip" } do
  makers[name] = function(noted, folder) return word_at(text_or_nil(noted.where, 1000), asset[name], make(noted.value, folder)) end
end

-- Makes what the words noted, at any depth.
function make(value, folder)
  if type(value) ~= "table" then return value end
  if getmetatable(value) == Noted_mt then
    local maker = makers[value.word]
    if maker then return maker(value.fields, folder) end
    return setmetatable({}, Noted_mt) -- a storyboard within another one: no scene, and so refused
  end
  local made = {}
  for key, item in pairs(value) do made[type(key) == "table" and {} or key] = make(item, folder) end
  return made
end

-- --- the process

-- What the board printed goes to stderr: stdout may be read by a program.
local function tell_printed(printed)
  if type(printed) ~= "string" or printed == "" then return end
  for line in (printed .. "\n"):gmatch "(.-)\n" do io.stderr:write(core.clean(line, 10000), "\n") end
end

local function packed(path, text, set)
  local parts = { ("<s4s4I4"):pack(path, text, environment.MAX_BYTES) }
  for name, value in pairs(set) do parts[#parts + 1] = ("<s4s4"):pack(name, value) end
  return table.concat(parts)
end

-- What stopped the process, for people.
local function stopped(ended, limits)
  if ended.exit == EXIT_TIME then
    return core.format("it takes more than %.14g s of processor time", limits.cpu_seconds), "does it loop without end?"
  elseif ended.exit == EXIT_MEMORY then
    return ("it needs more than %d MiB of memory"):format(limits.max_memory // 1048576)
  end
  return "its process ended before the board was there" .. (ended.signal and (" (signal %d)"):format(ended.signal) or "")
end

---Runs a board. Waits, and must run in a fiber.
---@param board { path: string, text: string, folder: string, set: table<string, string>, cpu_seconds: number, max_memory: integer }
---  folder: absolute, without links
---@return { result: any, failed?: string, raised?: string }|nil  result: not made yet; failed: the error message that it raised; raised:
---  the type of the error value that isn't a message
---@return string|nil message, string|nil hint  why there is none
local function run(board)
  local limits = {
    folder = board.folder:gsub("/$", ""), cpu_seconds = board.cpu_seconds, max_memory = board.max_memory,
    max_output = 2 * environment.MAX_BYTES,
  }
  local started, why = core.board_process(string.dump(environment.inside), packed(board.path, board.text, board.set), limits)
  if not started then return nil, "can't start a process for it: " .. why end
  local ended = process.await(started)
  if ended.stdout == "" then return nil, stopped(ended, limits) end
  local fine, told = pcall(read, ended.stdout, 1, 0)
  if not fine or type(told) ~= "table" then return nil, (stopped(ended, limits)) end
  tell_printed(told.printed)
  if type(told.refused) == "string" then return nil, core.clean(told.refused, 1000) end
  if told.failed == "not enough memory" then return nil, (stopped({ exit = EXIT_MEMORY }, limits)) end
  local hint
  if type(told.missing) == "table" and type(told.missing[1]) == "string" then
    hint = ("os.getenv returns what --set NAME=VALUE gives (in a program: set = { NAME = \"...\" }); '%s' isn't set"):format(
      core.clean(told.missing[1], 100))
  end
  return told, nil, hint
end

---The fields of the storyboard that a result is; nil when it is none, with what it is instead.
---@param result any
---@param folder string  that its files are relative to
---@return table|any fields
---@return any other
local function fields_of(result, folder)
  if getmetatable(result) == Noted_mt and result.word == "storyboard" then return make(result.fields.fields, folder) end
  return nil, make(result, folder)
end

return { fields_of = fields_of, run = run }
