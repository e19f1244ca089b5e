-- SPDX-License-Identifier: MIT
-- The parsers that lua_fuzz.c fuzzes, each with the invariants of its results. Returns a table of functions by name. A function takes the
-- bytes that libFuzzer made up, and raises an error if an invariant doesn't hold or if the parser fails inside Lua.

-- No parser may read the fuzzing user's files and keys, nor write into the user's cache.
local variables = {}
os.getenv = function(name) return variables[name] end -- luacheck: ignore

local core = require "omni.core"
local address = require "omni.ledger.address"
local credentials = require "omni.client.credentials"
local err = require "omni.error"
local faults = require "omni.sandbox.faults"
local film_tool = require "omni.film.ffmpeg"
local input_options = require "omni.cli.input_options"
local input_rules = require "omni.models.input_rules"
local json = require "omni.json"
local media_type = require "omni.file.media_type"
local message = require "omni.cli.view.message"
local mp4_boxes = require "omni.file.mp4_boxes"
local probe = require "omni.film.probe"
local schema = require "omni.models.schema"
local scene = require("omni.storyboard.language.scene").scene
local storyboard = require("omni.storyboard.language").storyboard
local text_encoding = require "omni.text_encoding"
local token = require "omni.callbacks.token"

local function two(bytes)
  local first, second = bytes:match "^([^\n]*)\n(.*)$"
  return first or bytes, second or ""
end

-- Calls a parser that may raise an error for bad input. The error must be one for the caller: an omni.Error, or a message that names no
-- failure of Lua itself.
local function may_raise(parse, ...)
  local results = table.pack(pcall(parse, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  local failure = results[2]
  if err.is(failure) then return nil, failure end
  local said = tostring(failure)
  if said:find "attempt to " or said:find "bad argument" or said:find "stack overflow" then error(said, 0) end
  return nil, failure
end

local function assert_error(failure)
  assert(err.is(failure) and type(failure.code) == "string" and type(failure.message) == "string", "expected an omni.Error")
end

local parsers = {}

-- omni.json reads what lua-cjson reads, if it is UTF-8. The canonical form is a fixed point.
function parsers.json(bytes)
  local plain, value = core.decode(bytes), json.decode(bytes)
  assert(value == nil or plain ~= nil, "only omni.json reads this")
  if value == nil then
    assert(plain == nil or not utf8.len(bytes), "only lua-cjson reads this")
    return
  end
  local canonical = may_raise(json.canonical, value)
  if not canonical then return end -- such as a string that isn't UTF-8
  assert(json.canonical(json.decode(canonical)) == canonical, "the canonical form isn't a fixed point")
  assert(json.canonical(json.decode(json.text(value))) == canonical, "another form has other values")
  if type(value) == "table" and json.kind_of(value) == "object" then
    for name, text in pairs(json.members(bytes)) do
      local member = json.decode("[" .. text .. "]")
      assert(member and json.canonical(member[1]) == json.canonical(value[name]), "a member has another value")
    end
  end
end

function parsers.schema(bytes)
  local rules, input = two(bytes)
  rules, input = json.decode(rules), json.decode(input)
  if rules == nil or type(input) ~= "table" then return end
  local copy, problem, why = may_raise(schema.check, rules, input, { placeholders = #bytes % 2 == 0 })
  if copy then return assert(may_raise(json.canonical, copy) or may_raise(json.canonical, input) == nil) end
  if not why then assert_error(problem) end
end

function parsers.input_rules(bytes)
  local model, input = two(bytes)
  input = json.decode(input)
  if type(input) ~= "table" then return end
  local checked, problem = may_raise(input_rules.check, model, input, false)
  if not checked then assert_error(problem) end
end

function parsers.urls(bytes)
  local first, second = two(bytes)
  local url = core.normalize_url(first)
  if url then
    assert(core.normalize_url(url) == url, "a normal URL changes")
    assert(not url:find "[%c ]", "a URL contains a control character")
    local resolved = core.resolve_url(url, second)
    if resolved then assert(core.normalize_url(resolved), "a resolved URL isn't a URL") end
  end
  local base = core.normalize_base_url(first)
  if base then assert(core.normalize_base_url(base) == base, "a normal base URL changes") end
end

function parsers.media_type(bytes)
  local kind = media_type.of(bytes, "x.mp4")
  assert(not kind or kind.type:find "^%l+/", "a type isn't a media type")
  media_type.download_trouble(bytes, "gzip")
  media_type.ending(bytes)
end

-- Complete boxes in front of a file don't change whether it is complete.
function parsers.mp4_boxes(bytes)
  local function shortage(all)
    local last = 0
    return mp4_boxes.shortage(function(at, count)
      assert(at >= last and at <= #all and count <= 16, "it doesn't read forwards in the file")
      last = at
      return all:sub(at + 1, at + count)
    end, #all)
  end
  local what = shortage(bytes)
  assert(what == nil or what:find "^it [%w ']+$", "a reason isn't a sentence")
  if what == nil and bytes:find("moov", 1, true) == nil and #bytes < 80000 then error("there is no moov box", 0) end
  assert(shortage(("\0\0\0\8free"):rep(1 + #bytes % 9) .. bytes) == what, "other boxes in front change the result")
end

function parsers.text_encoding(bytes)
  local text = text_encoding.unmarked(bytes)
  if text then assert(text_encoding.unmarked(text) or true) end
  may_raise(text_encoding.value, bytes)
  local lines = may_raise(text_encoding.lines, bytes)
  if type(lines) == "table" then
    for _, line in ipairs(lines) do assert(not line:find "[\r\n]", "a line contains a line end") end
  end
end

function parsers.api_keys(bytes)
  variables.CRUN_API_KEYS = bytes
  local keys, problem = may_raise(credentials.find_all)
  variables.CRUN_API_KEYS = nil
  if not keys then
    local text = problem and tostring(problem.message or problem) or ""
    for key in bytes:gmatch "ak_%w%w%w%w%w%w%w%w%w+" do assert(not text:find(key, 1, true), "a message contains a key") end
  end
end

function parsers.ledger_address(bytes)
  for _, name in ipairs { bytes, "postgresql://" .. bytes } do
    local problem = address.problem(name)
    local password = name:match "^postgresql://[^:@/?]*:([^@/?][^@/?][^@/?][^@/?]+)@"
    assert(not password or problem, "a password is accepted")
    assert(not problem or not password or not problem:find(password, 1, true), "a message contains a password")
  end
end

function parsers.callback_path(bytes)
  local hash = token.new({}):hash(bytes)
  assert(hash == nil or #hash == 64 and hash:find "^%x+$", "a token's digest isn't a digest")
end

function parsers.command_line(bytes)
  local words = {}
  for word in bytes:gmatch "[^\n]+" do words[#words + 1] = word end
  local print = message.print
  message.print = function() end
  local input, model = may_raise(input_options.read, { set = words, image = {}, model = "google/gemini-omni" })
  message.print = print
  if input then assert(type(input) == "table" and model) end
end

function parsers.fault(bytes)
  local opened, problem = may_raise(faults.open, { bytes })
  if not opened then assert(problem) end
end

-- A board of plain values: { "scenes": [["name", { fields }], ...], ... }
function parsers.board(bytes)
  local fields = core.decode(bytes)
  if type(fields) ~= "table" then return end
  local board = {}
  for name, value in pairs(fields) do
    if name ~= "scenes" then board[name] = value end
  end
  for index, item in ipairs(type(fields.scenes) == "table" and fields.scenes or {}) do
    board[index] = may_raise(function() return scene(item[1])(item[2]) end)
  end
  local made, problem = may_raise(storyboard, board)
  assert(made or problem)
end

-- What ffprobe could print: its report, and the packets in later lines.
function parsers.ffprobe(bytes)
  local report, packets = two(bytes)
  local run, first = film_tool.run, true
  film_tool.run = function(_, _, options)
    if first then
      first = false
      return { exit_code = 0, stdout = report, stderr = "" }
    end
    for at = 1, #packets, 7 do options.on_output(packets:sub(at, at + 6)) end
    return { exit_code = 0, stdout = "", stderr = "" }
  end
  local fine, found, problem = pcall(probe, "spec/fuzz/parsers.lua")
  film_tool.run = run
  if not fine then error(found, 0) end
  if found then
    assert(found.seconds > 0 and found.seconds < 1e7 and (found.video or found.audio), "an absurd probe")
  else
    assert_error(problem)
  end
end

return parsers
