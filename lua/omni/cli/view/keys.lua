-- SPDX-License-Identifier: MIT
-- Describes the API keys that omni would use. Shows each key's fingerprint and source, but not the key itself.

local credentials = require "omni.client.credentials"

---@class omni.cli.Key
---@field secret string       never shown
---@field fingerprint string  12 hex digits
---@field from string         the variable or file that it comes from
---@field looks_right boolean whether it has the form of the service's keys
---@field sandbox boolean     whether it belongs to a sandbox

---Returns the keys.
---@return omni.cli.Key[]|nil
---@return omni.Error|nil  code "no_key"
local function find()
  local found, problem = credentials.find_all()
  if not found then return nil, problem end
  found, problem = credentials.check_all(found)
  if not found then return nil, problem end
  local keys = {}
  for i, one in ipairs(found) do
    keys[i] = {
      secret = one.key, fingerprint = credentials.fingerprint(one.key), from = one.from, looks_right = credentials.looks_right(one.key),
      sandbox = credentials.is_sandbox_key(one.key),
    }
  end
  return keys
end

---Describes a key, for example as "key 1a2b3c4d5e6f, from CRUN_API_KEY".
---@param key omni.cli.Key
---@return string
local function describe(key)
  return ("key %s, from %s%s"):format(key.fingerprint, key.from, key.sandbox and " (a sandbox key: no other service accepts it)" or "")
end

return { describe = describe, find = find }
