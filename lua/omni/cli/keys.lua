-- SPDX-License-Identifier: MIT
-- The keys that omni would use, as they may be told of: by fingerprint and place.
--
-- Besides what omni offers to everybody it takes the credentials by name: no client is opened.

local credentials = require "omni.credentials"

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
  local secret, problem = credentials.find()
  if not secret then return nil, problem end
  problem = credentials.trouble(secret)
  if problem then return nil, problem end
  local given = os.getenv "CRUN_API_KEY"
  return { {
    secret = secret, fingerprint = credentials.fingerprint(secret), from = given and given ~= "" and "CRUN_API_KEY" or "~/.crun/.env",
    looks_right = credentials.looks_right(secret), play = credentials.is_play(secret),
  } }
end

---What is said of a key: "key 1a2b3c4d5e6f, from CRUN_API_KEY".
---@param key omni.cli.Key
---@return string
local function describe(key)
  return ("key %s, from %s%s"):format(key.fingerprint, key.from, key.play and " (a sandbox's: it opens nothing else)" or "")
end

return { describe = describe, find = find }
