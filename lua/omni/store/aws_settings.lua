-- SPDX-License-Identifier: MIT
-- Finds an S3 store's credentials, region and endpoint in the same places as the AWS tools: environment variables, ~/.aws/credentials and
-- ~/.aws/config.

local core = require "omni.core"
local err = require "omni.error"
local text = require "omni.text_encoding"

local hint <const> = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`; for SSO, a role or a credential process: "
  .. 'eval "$(aws configure export-credentials --format env)"'

local function fail(message, what_to_do)
  return nil, err.new { code = "store_failed", message = message, hint = what_to_do }
end

local function variable(...)
  for _, name in ipairs { ... } do
    local value = text.value(os.getenv(name) or "")
    if value ~= "" then return value, name end
  end
end

-- An AWS configuration file: its path, whether other users can read it, and its sections.
---@class omni.AwsFile
---@field path? string
---@field shared? boolean
---@field sections table<string, table<string, string>>

-- Reads a file. Returns no sections if the file doesn't exist or isn't a regular file, since some users set the path to /dev/null to mean
-- "no file".
local function read(path)
  local found = { path = path, sections = {} }
  local info = path and core.stat(path)
  if not info or info.kind ~= "file" then return found end
  local file <close>, why = core.open(path)
  if not file then return fail("can't read the settings of the store: " .. core.clean(why, 400)) end
  found.shared = info.mode & 0x3f ~= 0
  local section
  for line in text.lines(file:read(1 << 20) or "") do
    local title = line:match "^%s*%[%s*(.-)%s*%]%s*$"
    if title then
      found.sections[title] = found.sections[title] or {}
      section = found.sections[title]
    elseif section and not line:find "^%s*[#;]" then
      local name, value = line:match "^([%w_]+)%s*=%s*(.-)%s*$" -- skips lines that begin with a space, which belong to nested settings
      if name then section[name:lower()] = value end
    end
  end
  return found
end

local function files()
  local home = variable "HOME"
  local credentials, problem = read(variable "AWS_SHARED_CREDENTIALS_FILE" or home and home .. "/.aws/credentials")
  if not credentials then return nil, problem end
  local config
  config, problem = read(variable "AWS_CONFIG_FILE" or home and home .. "/.aws/config")
  if not config then return nil, problem end
  return { credentials = credentials, config = config }
end

-- Returns the access key from the environment, or nil.
local function from_environment()
  local access_key, secret_key = variable "AWS_ACCESS_KEY_ID", variable "AWS_SECRET_ACCESS_KEY"
  if access_key and secret_key then
    return { access_key = access_key, secret_key = secret_key, token = variable "AWS_SESSION_TOKEN", from = "AWS_ACCESS_KEY_ID" }
  end
end

-- Returns a profile's access key, or nil.
local function from_file(file, section)
  local found = file.sections[section]
  if not found or not found.aws_access_key_id or not found.aws_secret_access_key then return nil end
  if file.shared then
    return fail(("other users of this machine can read %s, so omni doesn't use its access key"):format(file.path),
      ("run chmod 600 %s, and replace the access key, since others may know it"):format(file.path))
  end
  return { access_key = found.aws_access_key_id, secret_key = found.aws_secret_access_key, token = found.aws_session_token,
    from = file.path }
end

---@class omni.AwsSettings
---@field access_key string
---@field secret_key string
---@field token? string    the session token
---@field from string      the name of the variable or of the file that has the access key
---@field region string
---@field endpoint string  a URL without a slash at its end

---Returns the settings for an S3 store. Errors never contain secrets.
---@return omni.AwsSettings|nil
---@return omni.Error|nil  code "store_failed"
local function find()
  local found, problem = files()
  if not found then return nil, problem end
  local profile, named = variable "AWS_PROFILE" or "default", variable "AWS_PROFILE" ~= nil
  local in_config = profile == "default" and found.config.sections.default and "default" or "profile " .. profile
  if named and not found.credentials.sections[profile] and not found.config.sections[in_config] then
    return fail(("the store can't be used: there is no profile %s (AWS_PROFILE)"):format(core.clean(profile, 60)), hint)
  end
  local settings = from_environment()
  if not settings then
    settings, problem = from_file(found.credentials, profile)
    if not settings and not problem then settings, problem = from_file(found.config, in_config) end
    if problem then return nil, problem end
  end
  if not settings then return fail("the store can't be used: there is no access key for it", hint) end
  for _, name in ipairs { "access_key", "secret_key", "token" } do
    if settings[name] and settings[name]:find "[^!-~]" then
      return fail(("the %s of the store, from %s, has characters that aren't printable ASCII"):format(name:gsub("_", " "), settings.from))
    end
  end
  local first, second = found.credentials.sections[profile] or {}, found.config.sections[in_config] or {}
  settings.region = variable("AWS_REGION", "AWS_DEFAULT_REGION") or first.region or second.region or "us-east-1"
  if settings.region:find "[^%w-]" then return fail("the store's region (AWS_REGION) must consist of letters, digits and hyphens") end
  local given, from = variable("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
  given, from = given or first.endpoint_url or second.endpoint_url, from or "endpoint_url"
  local china = settings.region:find "^cn%-" and ".cn" or ""
  local endpoint, why = core.normalize_url(given or ("https://s3.%s.amazonaws.com%s"):format(settings.region, china))
  if not endpoint or endpoint:find "[?#]" then
    return fail(("the store's endpoint (%s) can't be used: it %s"):format(from, why or "must not have a query"))
  end
  settings.endpoint = endpoint:gsub("/+$", "")
  return settings
end

return { find = find }
