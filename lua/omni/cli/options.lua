-- SPDX-License-Identifier: MIT
-- Defines options that several commands share, and the types of option values.

local options = {}

-- --- types: each takes argparse's option, checks and converts its value, and returns the option

local function number(option, what, fits)
  return option:convert(function(given)
    local value = tonumber(given)
    value = value and (math.tointeger(value) or value)
    if value and value == value and fits(value) then return value end
    return nil, ("%s: expected %s, got '%s'"):format(option._name, what, given)
  end)
end

function options.integer(option)
  return number(option, "a whole number", function(n) return math.type(n) == "integer" end)
end

function options.count(option)
  return number(option, "a whole number, 1 or more", function(n) return math.type(n) == "integer" and n >= 1 end)
end

function options.amount(option)
  return number(option, "a number, 0 or more", function(n) return n >= 0 and n < math.huge end)
end

function options.rate(option)
  return number(option, "a number, more than 0", function(n) return n > 0 and n < math.huge end)
end

function options.port(option)
  return number(option, "a port, 0 to 65535", function(n) return math.type(n) == "integer" and n >= 0 and n <= 65535 end)
end

function options.path(option)
  return option:convert(function(given)
    if given ~= "" then return given end
    return nil, option._name .. ": expected a path, got an empty text"
  end)
end

function options.ledger(option)
  return option:convert(function(given)
    local wrong = given == "" and "expected a path, got an empty text" or require("omni.ledger.address").problem(given)
    if not wrong then return given end
    return nil, option._name .. ": " .. (given == "" and wrong or "the address " .. wrong)
  end)
end

function options.label(option)
  return option:convert(function(given)
    if require("omni.options").is_label(given) then return given end
    return nil, option._name .. ": expected a text of 1 to 256 bytes without control characters"
  end)
end

-- --- options

---Adds `--ledger`.
---@param command table  argparse's
---@param sandbox_ledger? string  where the ledger is when a sandbox key is used
function options.add_ledger(command, sandbox_ledger)
  options.ledger(command:option("--ledger", ("The ledger: a file, or a database as postgresql://HOST/NAME (default: OMNI_LEDGER, else "
    .. "omni/ledger.db in ~/.local/state; %s)."):format(sandbox_ledger or "for a sandbox: ledger.db in the output folder")):argname("PATH"))
end

---Adds `--store`.
---@param command table  argparse's
function options.add_store(command)
  command:option("--store", "Where machines share fetched files: a folder, or s3://BUCKET/PREFIX (default: OMNI_STORE; "
    .. "for a sandbox: none)."):argname("PLACE"):convert(function(given)
      local wrong = require("omni.store.address").problem(given)
      if not wrong then return given end
      return nil, "--store: the address " .. wrong
    end)
end

---Adds `--set`.
---@param command table  argparse's
function options.add_set(command)
  command:option("--set", "What os.getenv \"NAME\" returns in the board. Repeatable."):argname("NAME=VALUE"):count("*")
    :convert(function(given)
      if given:find("^[^=]+=") then return given end
      return nil, ("--set: expected NAME=VALUE, got '%s'"):format(given)
    end)
end

---Returns the values given with `--set`, by name.
---@param given table
---@return table<string, string>
function options.set_values(given)
  local set = {}
  for _, pair in ipairs(given.set) do
    local name, value = pair:match("^([^=]+)=(.*)$")
    set[name] = value
  end
  return set
end

---Adds `--base-url`.
---@param command table  argparse's
function options.add_base_url(command)
  command:option("--base-url", "The service's base URL (default: CRUN_BASE_URL, else the service's public URL)."):argname("URL")
end

---Normalises the URL that is an option's value.
---@param given table
---@param name string  "callback_url"
---@return string|nil misuse  what is wrong with the URL
function options.normalize_url(given, name)
  if not given[name] then return nil end
  local url, problem = require("omni.core").normalize_url(given[name])
  if not url then return ("--%s %s"):format((name:gsub("_", "-")), problem) end
  given[name] = url
end

return options
