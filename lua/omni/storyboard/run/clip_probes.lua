-- SPDX-License-Identifier: MIT
-- Stores clips' properties in the ledger, indexed by the digest of each clip's bytes. As a result, ffprobe runs once for each clip, not
-- again for each cut.

local core = require "omni.core"
local json = require "omni.json"

-- The ledger stores a clip's properties in the same way as a film's identity, but under a name that can't be a file's path, because it
-- isn't absolute. Increment the number in the name when the fields of probes change.
local function name_of(sha256) return "probe 1 " .. sha256 end

-- Turns the whole numbers in a decoded probe back into integers, since JSON doesn't distinguish integers from floats.
local function restore(value)
  if type(value) ~= "table" then return math.tointeger(value) or value end
  local copy = {}
  for key, part in pairs(value) do copy[key] = type(part) == "string" and part or restore(part) end
  return copy
end

---Stores a clip's properties in the ledger.
---@param run omni.Run
---@param path string
---@param found omni.film.Probe
local function remember(run, path, found)
  local sha256 = run.ledger:digest(path)
  if sha256 then run.ledger:note("remember_film", { path = name_of(sha256), identity = json.canonical(found), sha256 = "" }) end
end

---Returns a clip's properties from the ledger.
---@param run omni.Run
---@param path string
---@return omni.film.Probe|nil
local function known(run, path)
  local sha256 = run.ledger:digest(path)
  local row = sha256 and run.ledger:row("film", { path = name_of(sha256) })
  local found = row and core.decode(row.identity)
  return type(found) == "table" and found.seconds and restore(found) or nil
end

return { known = known, remember = remember }
