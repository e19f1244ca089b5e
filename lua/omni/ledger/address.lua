-- SPDX-License-Identifier: MIT
-- Determines whether a ledger's name is the path of a file or the address of a PostgreSQL database, and checks addresses.

local core = require "omni.core"

local PASSWORD <const> = "must not contain a password, which other users could see in the list of processes: put it into ~/.pgpass, or "
  .. "into the file that PGPASSFILE names"
local FORM <const> = "isn't an address of the form postgresql://[USER@]HOST[:PORT]/DATABASE[?NAME=VALUE&...]"

local address = {}

---@param name string
---@return boolean
function address.is_address(name)
  return name:find "^postgres://" ~= nil or name:find "^postgresql://" ~= nil
end

-- Returns text without percent-encoding.
local function decoded(encoded)
  return (encoded:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

---Checks a ledger's name. Accepts every path.
---@param name string
---@return string|nil problem  such as "must not contain a password"; never contains a part of the address
function address.problem(name)
  if not address.is_address(name) then return nil end
  local rest = name:match "^%w+://(.*)$"
  local user, password = rest:match "^([^:@/]*):?([^@/]*)@"
  if user and password ~= "" then return PASSWORD end
  if user then rest = rest:match "^[^@/]*@(.*)$" end
  local hosts, query = rest:match "^([^/?]*)[^?]*%??(.*)$"
  for pair in query:gmatch "[^&]+" do
    local key = decoded(pair:match "^[^=]*")
    if key == "password" or key == "sslpassword" then return PASSWORD end
  end
  -- If a password contains "/", libpq mistakes part of the password for a port, and would print that part in an error message.
  for host in (hosts .. ","):gmatch "([^,]*)," do
    local port = host:gsub("^%[[^%]]*%]", ""):match ":(.*)$"
    if port and not port:find "^%d*$" or host:find "@" then return FORM end
  end
  if rest:gsub("%?.*$", ""):find "@" then return FORM end
  return nil
end

---Returns whether a ledger might exist: true for an existing file, and for every address, since only a connection can test an address.
---@param name string
---@return boolean
function address.exists(name)
  return address.is_address(name) or core.stat(name) ~= nil
end

return address
