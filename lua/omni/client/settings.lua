-- SPDX-License-Identifier: MIT
-- Checks the options for `omni.client`, and chooses the API keys, the base URL, the ledger and default values.

local client_events = require "omni.client.events"
local core = require "omni.core"
local credentials = require "omni.client.credentials"
local err = require "omni.error"
local ledgers = require "omni.ledger"
local options = require "omni.options"
local service_address = require "omni.client.service_address"
local stores = require "omni.store"

local client_options = {
  api_key = "string", keys = "table", base_url = "string", user_agent = "string", proxy = "string", ca_file = "string",
  connect_timeout = "timeout", timeout = "timeout", max_connections = "count", max_bytes = "count", max_download_bytes = "count",
  http_version = "string", retry_for = "seconds", retry_min = "seconds", retry_max = "seconds", pause_for = "seconds", rate = "number",
  poll_min = "seconds", poll_max = "seconds", media_wait = "seconds", on_event = "function", ledger = "any", store = "any",
  schemas = "boolean",  allow_private_networks = "boolean",
}
local key_options = { key = "string", in_flight = "count", rate = "number" }

-- The options that apply both to the keys' C clients and to the C client for media files.
local transport_options = {
  "user_agent", "proxy", "ca_file", "connect_timeout", "timeout", "max_connections", "max_bytes", "max_download_bytes", "http_version",
  "allow_private_networks",
}

local level <const> = 4 -- the `level` argument to `error` in functions that `choose` calls

-- Raises an error at the line that called `omni.client` if the options would be invalid in any environment.
local function check(opts)
  opts = options.check(opts, client_options, "omni.client", level)
  if opts.ledger then
    options.path(opts.ledger, "omni.client: option 'ledger'", level)
    local wrong = ledgers.address_problem(opts.ledger)
    if wrong then error("omni.client: option 'ledger' " .. wrong, level) end
  end
  if opts.store then
    options.path(opts.store, "omni.client: option 'store'", level)
    local wrong = stores.address_problem(opts.store)
    if wrong then error("omni.client: option 'store' " .. wrong, level) end
  end
  for _, name in ipairs { "poll", "retry" } do
    local least, most = opts[name .. "_min"], opts[name .. "_max"]
    if least and most and least > most then
      error(core.format("omni.client: option '%s_min' is %g, more than '%s_max', %g", name, least, name, most), level)
    end
  end
  local function check_rate(rate, where)
    if not rate or rate > 0 and rate < math.huge then return end
    error(("omni.client: option '%s' must be more than 0"):format(where), level + 1)
  end
  check_rate(opts.rate, "rate")
  if not opts.keys then return opts end
  if opts.api_key ~= nil then error("omni.client: options 'keys' and 'api_key' can't be combined", level) end
  if #opts.keys == 0 then error("omni.client: option 'keys' must list at least one table { key =, in_flight =, rate = }", level) end
  for i, one in ipairs(opts.keys) do
    local where = ("omni.client: option 'keys', number %d"):format(i)
    if type(one) == "string" then error(where .. ": expected a table { key = \"ak_...\" }, got a string", level) end
    options.check(one, key_options, where, level)
    if not one.key then error(where .. ": it has no 'key'", level) end
    check_rate(one.rate, ("keys[%d].rate"):format(i))
  end
  return opts
end

-- Returns the checked API keys: the keys in the options or, if there are none, the keys in the environment or the key files.
local function keys_of(opts)
  if opts.keys then return credentials.check_all(opts.keys) end
  if opts.api_key ~= nil then return credentials.check_all { { key = opts.api_key } } end
  local found, problem = credentials.find_all()
  if not found then return nil, problem end
  return credentials.check_all(found)
end

local function base_url_of(opts)
  local from_environment = os.getenv "CRUN_BASE_URL"
  -- An empty environment variable counts as unset. An empty option `base_url` is an error, since an empty option must not silently lead to
  -- the real service.
  if from_environment == "" then from_environment = nil end
  local base_url, wrong = service_address.base_url(opts.base_url or from_environment or service_address.default_base_url)
  if base_url then return base_url end
  return nil, err.new { code = "invalid_input", field = "base_url", message = "omni.client: option 'base_url' can't be used: it " .. wrong }
end

-- Returns a range's two limits. If only one limit is given, adjusts the other limit's default value if necessary.
local function range(least, most, usual_least, usual_most)
  return least or math.min(usual_least, most or usual_least), most or math.max(usual_most, least or usual_most)
end

local function warnings_of(keys, base_url)
  local warnings = {}
  for _, one in ipairs(keys) do
    if not credentials.looks_right(one.key) then
      warnings[1] = "the API key doesn't look like one of the service's (ak_ and 32 characters); omni uses it anyway"
    end
  end
  if base_url:find "^http://" and not core.is_loopback(base_url) then
    warnings[#warnings + 1] = "the base URL is plain http: the API key crosses the network unencrypted"
  end
  return warnings
end

---Checks the options for `omni.client`. Raises an error at the line that called `omni.client` if the options would be invalid in any
---environment.
---@param opts? omni.ClientOptions
---@return { fields: table, keys: omni.KeyOptions[], warnings: string[] }|nil  fields: the client's fields
---@return omni.Error|nil  code "no_key" or "invalid_input"
local function choose(opts)
  opts = check(opts)
  local keys, problem = keys_of(opts)
  if not keys then return nil, problem end
  local base_url, wrong = base_url_of(opts)
  if not base_url then return nil, wrong end
  local is_sandbox = credentials.is_sandbox_key(keys[1].key)
  local fields = {
    base_url = base_url, service = service_address.name(base_url), is_sandbox = is_sandbox,
    timeout = opts.timeout or 60, connections = opts.max_connections or 64,
    events = opts.on_event and client_events.new(opts.on_event),
    retry_for = opts.retry_for or 120, pause_for = opts.pause_for or opts.retry_for or 1800,
    media_wait = opts.media_wait or is_sandbox and 5 or 300, schemas = opts.schemas, transport_options = {},
  }
  fields.retry_min, fields.retry_max = range(opts.retry_min, opts.retry_max, 1, 60)
  fields.poll_min, fields.poll_max = range(opts.poll_min, opts.poll_max, is_sandbox and 0.05 or 2, is_sandbox and 0.5 or 30)
  for _, name in ipairs(transport_options) do fields.transport_options[name] = opts[name] end
  if opts.ledger then
    fields.ledger_path = opts.ledger
  elseif opts.ledger == nil and not is_sandbox then
    fields.ledger_path, fields.ledger_problem = ledgers.default_path()
  end
  fields.store_address = opts.store or opts.store == nil and not is_sandbox and stores.default_address() or nil
  for i, one in ipairs(keys) do
    keys[i] = { key = one.key, in_flight = one.in_flight, rate = one.rate or opts.rate }
  end
  return { fields = fields, keys = keys, warnings = warnings_of(keys, base_url) }
end

---Opens the C client for one API key.
---@param client omni.Client
---@param key string
---@return userdata|nil
---@return omni.Error|nil  code "invalid_input"
local function transport(client, key)
  local given = { base_url = client.base_url, api_key = key }
  for name, value in pairs(client.transport_options) do given[name] = value end
  local fine, http = pcall(core.client, given)
  if fine then return http end
  return nil, err.new { code = "invalid_input", field = http:match "option '([%w_]+)'", message = "omni.client: " .. http }
end

return { choose = choose, transport = transport }
