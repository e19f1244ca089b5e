-- SPDX-License-Identifier: MIT
-- Where the API key comes from: CRUN_API_KEY, else ~/.crun/.env (docs/service.md, "Transport").

local core = require "omni.core"
local err = require "omni.error"

local hint <const> = "set the environment variable CRUN_API_KEY, or write CRUN_API_KEY=ak_... into ~/.crun/.env (mode 600)"

-- The value of a line like `export CRUN_API_KEY="ak_..."`, or nil.
local function value_of(line)
  local value = line:match("^%s*export%s+CRUN_API_KEY%s*=%s*(.-)%s*$") or line:match("^%s*CRUN_API_KEY%s*=%s*(.-)%s*$")
  return value and (value:match('^"(.*)"$') or value:match("^'(.*)'$") or value)
end

local function from_file(path)
  local info = core.stat(path)
  if not info then return nil end
  if info.mode & 0x3f ~= 0 then -- any right of the group's or of others
    return nil, err.new {
      code = "no_key", message = ("%s can be read by other users of this machine; the key in it isn't used"):format(path),
      hint = "chmod 600 " .. path,
    }
  end
  local file, problem = io.open(path, "r")
  if not file then return nil, err.new { code = "no_key", message = "the key file can't be read: " .. problem } end
  local text = file:read(65536) or ""
  file:close()
  local key
  for line in text:gmatch("[^\n]+") do key = value_of(line) or key end -- the last one counts, as in a shell
  return key ~= "" and key or nil
end

---Finds the API key.
---@return string|nil key
---@return omni.Error|nil err  code "no_key"
local function find()
  local key = os.getenv("CRUN_API_KEY")
  if key and key ~= "" then return key end
  local home, problem = os.getenv("HOME"), nil
  if home and home ~= "" then
    key, problem = from_file(home .. "/.crun/.env")
    if key then return key end
  end
  return nil, problem or err.new { code = "no_key", message = "there is no API key", hint = hint }
end

---Why a key can't be used, or nil.
---@param key any
---@return omni.Error|nil  code "no_key"; never holds the key
local function trouble(key)
  local why
  if type(key) ~= "string" then
    why = "must be a string"
  elseif #key < 1 or #key > 512 then
    why = "must be of 1 to 512 characters"
  elseif key:find("[^!-~]") then
    why = "must be of printable ASCII characters, without spaces or line breaks"
  end
  return why and err.new { code = "no_key", message = "the API key can't be used: it " .. why, field = "api_key", hint = hint }
end

---Whether a key looks like one of the service's (ak_ and 32 characters); others may work too.
---@param key string
---@return boolean
local function looks_right(key)
  return #key == 35 and key:find("^ak_%w+$") ~= nil
end

-- The key that a sandbox wants when it isn't told another: 35 characters, as real ones have. It opens nothing else.
local play <const> = "ak_sandboxsandboxsandboxsandboxplay"

---Whether a key is a sandbox's.
---@param key string
---@return boolean
local function is_play(key)
  return key == play
end

---What tells keys apart and gives none away: the beginning of a SHA-256.
---@param key string
---@return string  12 hex digits
local function fingerprint(key)
  return core.sha256(key):sub(1, 12)
end

return { fingerprint = fingerprint, find = find, is_play = is_play, play = play, trouble = trouble, looks_right = looks_right }
