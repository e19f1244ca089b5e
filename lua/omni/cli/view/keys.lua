-- SPDX-License-Identifier: MIT
-- The keys that omni would use, as they may be told of: by fingerprint and place.
--
-- Besides what omni offers to everybody it takes the credentials by name: no client is opened.

local credentials = require "omni.client.credentials"

---@class omni.cli.Key
---@field secret string       never to be shown
---@field fingerprint string  12 hex digits
---@field from string         where it stands
---@field looks_right boolean like one of the service's
---@field play boolean        a sandbox's

---The keys that there are.
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
      play = credentials.is_sandbox_key(one.key),
    }
  end
  return keys
end

---What is said of a key: "key 1a2b3c4d5e6f, from CRUN_API_KEY".
---@param key omni.cli.Key
---@return string
local function describe(key)
  return ("key %s, from %s%s"):format(key.fingerprint, key.from, key.play and " (a sandbox's: it opens nothing else)" or "")
end

return { describe = describe, find = find }
