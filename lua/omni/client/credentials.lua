-- SPDX-License-Identifier: MIT
-- Finds and checks the API keys in the environment variables CRUN_API_KEYS and CRUN_API_KEY, or in the files ~/.config/omni/keys and
-- ~/.crun/.env (docs/service.md, "Transport").

local core = require "omni.core"
local err = require "omni.error"
local text = require "omni.text_encoding"

local hint <const> = "set the environment variable CRUN_API_KEY, or write CRUN_API_KEY=ak_... into ~/.crun/.env, or one key a line into"
  .. " ~/.config/omni/keys (mode 600); get a key at " .. core.pages.keys

-- Returns the value of a line like `export CRUN_API_KEY="ak_..." # mine`, or nil. A "#" starts a comment only after white space.
local function value_of(line)
  local value = line:match "^%s*export%s+CRUN_API_KEY%s*=%s*(.*)$" or line:match "^%s*CRUN_API_KEY%s*=%s*(.*)$"
  if not value then return nil end
  local quoted, rest = value:match '^"([^"]*)"(.*)$'
  if not quoted then quoted, rest = value:match "^'([^']*)'(.*)$" end
  if quoted and (rest:find "^%s*$" or rest:find "^%s+#") then return text.value(quoted) end
  return text.value(((" " .. value):gsub("%s#.*", "")))
end

-- Reads a file, and returns its text, or nil if the file doesn't exist. Returns an error if other users have access to the file.
local function private_file(path)
  local info = core.stat(path)
  if not info then return nil end
  if info.mode & 0x3f ~= 0 then -- other users have some permission for the file
    return nil, err.new {
      code = "no_key", message = ("%s can be read by other users of this machine, so its key isn't used"):format(path),
      hint = ("run chmod 600 %s, and reset the key at %s, since others may know it"):format(path, core.pages.keys),
    }
  end
  local file <close>, problem = core.open(path)
  if not file then return nil, err.new { code = "no_key", message = "the key file can't be read: " .. problem } end
  return file:read(65536) or ""
end

local function from_env_file(path)
  local content, problem = private_file(path)
  if not content then return nil, problem end
  local key
  for line in text.lines(content) do key = value_of(line) or key end -- as in a shell, the last assignment wins
  return key and key ~= "" and { { key = key, from = path } } or nil
end

-- Parses "KEY", "KEY=2" (at most two tasks in flight), "KEY@5" (at most five requests a second) and "KEY=2@5". Leaves an invalid number as
-- a string, so that check_all reports the error.
local function parse(word)
  local key, in_flight, rate = word:match "^([^=@]*)=?([^=@]*)@?([^=@]*)$"
  if not key then return { key = word, in_flight = word } end
  local function number(digits, mark)
    if digits == "" then return word:find(mark, 1, true) and digits or nil end
    local value = tonumber(digits)
    return value and (math.tointeger(value) or value) or digits
  end
  return { key = key, in_flight = number(in_flight, "="), rate = number(rate, "@") }
end

-- Returns the keys in a string, or nil if the string contains none. `pattern` is a Lua pattern that matches one key.
local function parse_all(words, pattern, from)
  local found = {}
  for word in words:gmatch(pattern) do
    local one = parse(word)
    one.from = from
    found[#found + 1] = one
  end
  return found[1] and found or nil
end

local function from_keys_file(path)
  local content, problem = private_file(path)
  if not content then return nil, problem end
  local kept = {}
  for line in text.lines(content) do kept[#kept + 1] = line:gsub("#.*", "") end
  return parse_all(table.concat(kept, "\n"), "%S+", path)
end

local function variable(name)
  local value = text.value(os.getenv(name) or "")
  return value ~= "" and value or nil
end

---Returns the paths of the key files: omni/keys in XDG_CONFIG_HOME (default: ~/.config), and the .env file that the service's own client
---uses.
---@return string[]
local function files()
  local config, home = variable "XDG_CONFIG_HOME", variable "HOME"
  if not (config and config:find "^/") then config = home and home .. "/.config" end
  local list = { config and config .. "/omni/keys" }
  if home then list[#list + 1] = home .. "/.crun/.env" end
  return list
end

---Finds the API keys in the first of these places that contains any: CRUN_API_KEYS, CRUN_API_KEY, the keys file, ~/.crun/.env.
---@return { key: string, in_flight?: integer, rate?: number, from: string }[]|nil  from: the name of the variable or the file
---@return omni.Error|nil err  code "no_key"
local function find_all()
  local several, one = variable "CRUN_API_KEYS", variable "CRUN_API_KEY"
  local found = several and parse_all(several, "[^,%s]+", "CRUN_API_KEYS")
  if found then return found end
  if one then return { { key = one, from = "CRUN_API_KEY" } } end
  local problem
  for _, path in ipairs(files()) do
    local read = path:find "/%.env$" and from_env_file or from_keys_file
    found, problem = read(path)
    if found or problem then return found, problem end
  end
  return nil, err.new { code = "no_key", message = "there is no API key", hint = hint }
end

---Returns an error if a key is invalid, or nil if it is valid.
---@param key any
---@return omni.Error|nil  code "no_key"; never contains the key
local function trouble(key)
  local why
  if type(key) ~= "string" then
    why = "must be a string"
  elseif #key < 1 or #key > 512 then
    why = "must have 1 to 512 characters"
  elseif key:find("[^!-~]") then
    why = "must consist of printable ASCII characters, without spaces or line breaks"
  end
  return why and err.new { code = "no_key", message = "the API key can't be used: it " .. why, field = "api_key", hint = hint }
end

---Returns whether a key has the usual form of the service's keys (ak_ and 32 characters). The service might also accept a key in another
---form.
---@param key string
---@return boolean
local function looks_right(key)
  return #key == 35 and key:find("^ak_%w+$") ~= nil
end

-- A sandbox's default keys have 35 characters, the same number as real keys. Only the sandbox accepts a sandbox key.
local sandbox_stem <const> = "ak_sandboxsandbox"

---Returns the Nth key of the sandbox with this seed and port. The sandbox refuses keys for another seed or port.
---@param n integer      from 1
---@param seed? integer  (default 0)
---@param port? integer  (default 0)
---@return string
local function sandbox_key(n, seed, port)
  return sandbox_stem .. core.sha256(("omni sandbox %d %d %d"):format(seed or 0, port or 0, n)):sub(1, 18)
end

---Returns whether a key is a sandbox key.
---@param key string
---@return boolean
local function is_sandbox_key(key)
  return #key == 35 and key:sub(1, #sandbox_stem) == sandbox_stem and not key:find("[^%x]", #sandbox_stem + 1)
end

---Returns a key's fingerprint, which is the beginning of its SHA-256 hash. The fingerprint doesn't reveal the key.
---@param key string
---@return string  12 hex digits
local function fingerprint(key)
  return core.sha256(key):sub(1, 12)
end

local function number_trouble(name, value, least, whole)
  if value == nil then return nil end
  if type(value) == "number" and value >= least and value < math.huge and (not whole or math.tointeger(value)) then return nil end
  local shown = type(value) == "number" and core.format(", not %.14g", value) or "" -- shows only a number, since a string might be a key
  return ("%s must be %s%s"):format(name, whole and "a whole number, 1 or more" or "a number above 0", shown)
end

---Checks API keys and their options. Removes white space around each key, since a key that was read from a file often ends with a line
---break.
---@param given { key: string, in_flight?: integer, rate?: number }[]
---@return { key: string, in_flight?: integer, rate?: number }[]|nil
---@return omni.Error|nil  code "no_key"; never contains a key
local function check_all(given)
  local checked, seen, sandbox_keys = {}, {}, 0
  local function refuse(i, why)
    local which = #given > 1 and ("API key %d of %d"):format(i, #given) or "the API key"
    return nil, err.new { code = "no_key", field = "keys", message = ("%s can't be used: %s"):format(which, why), hint = hint }
  end
  for i, item in ipairs(given) do
    local one = {}
    for name, value in pairs(item) do one[name] = value end
    if type(one.key) == "string" then one.key = text.value(one.key) end
    checked[i] = one
    local problem = trouble(one.key)
    if problem then
      if #given == 1 then return nil, problem end
      return refuse(i, problem.message:match "it .*$")
    end
    local why = number_trouble("in_flight (KEY=N)", one.in_flight, 1, true) or number_trouble("rate (KEY@R)", one.rate, 1e-3)
    if seen[one.key] then why = "it is a duplicate" end
    if why then return refuse(i, why) end
    seen[one.key] = true
    if is_sandbox_key(one.key) then sandbox_keys = sandbox_keys + 1 end
  end
  if sandbox_keys > 0 and sandbox_keys < #given then
    return nil, err.new { code = "no_key", field = "keys", message = "sandbox keys and real keys can't be used together" }
  end
  return checked
end

return {
  check_all = check_all, files = files, find_all = find_all, fingerprint = fingerprint, is_sandbox_key = is_sandbox_key,
  looks_right = looks_right, sandbox_key = sandbox_key, trouble = trouble,
}
