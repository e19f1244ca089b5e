-- SPDX-License-Identifier: MIT
-- The service's addresses: which base URL is used by default, and which base URLs lead to the same service.

local core = require "omni.core"

local default_base_url <const> = "https://api.crun.ai" -- docs/service.md, "Transport"

-- Base URLs that reach the same accounts and tasks as another one.
local same_as <const> = { ["https://api.crunai.com"] = default_base_url }

---Returns a base URL in its normal form: `core.normalize_url`, without slashes at its end.
---@param text any
---@return string|nil base_url
---@return string|nil why  what it must be: "must be an http or https URL"
local function base_url(text)
  return core.normalize_base_url(text)
end

---Returns the name of the service behind a base URL: equal names, equal accounts. It is the base URL in its normal form, and for the
---service's second host that of its first one. What isn't a base URL is its own name.
---@param text string
---@return string
local function name(text)
  local normal = core.normalize_base_url(text) or text
  return same_as[normal] or normal
end

return { base_url = base_url, default_base_url = default_base_url, name = name }
