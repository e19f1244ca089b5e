-- SPDX-License-Identifier: MIT
-- Defines the service's addresses: the default base URL, and other base URLs of the same service.

local core = require "omni.core"

local default_base_url <const> = "https://api.crun.ai" -- docs/service.md, "Transport"

-- Maps a base URL to another base URL that reaches the same accounts and tasks.
local same_as <const> = { ["https://api.crunai.com"] = default_base_url }

---Returns the normalised form of a base URL (`core.normalize_url`), without trailing slashes.
---@param text any
---@return string|nil base_url
---@return string|nil why  for example "must be an http or https URL"
local function base_url(text)
  return core.normalize_base_url(text)
end

---Returns the name of the service behind a base URL; base URLs with the same name reach the same accounts. The name is the normalised base
---URL, except that the second host in `same_as` has the first host's name. For a string that isn't a base URL, returns the string itself.
---@param text string
---@return string
local function name(text)
  local normal = core.normalize_base_url(text) or text
  return same_as[normal] or normal
end

return { base_url = base_url, default_base_url = default_base_url, name = name }
