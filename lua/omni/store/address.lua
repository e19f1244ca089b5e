-- SPDX-License-Identifier: MIT
-- Checks the address of a store: the path of a folder, or "s3://BUCKET/PREFIX".

local address = {}

-- Returns the bucket and the prefix of an S3 address, or nil. The prefix ends with a slash, unless it is empty. The prefix consists of
-- characters that no URL needs to escape, because libcurl signs other characters differently from some servers.
local function split(name)
  local bucket, rest = name:match "^s3://([%l%d][%l%d.-]+[%l%d])/*(.*)$"
  if not bucket or #bucket > 63 then return nil end
  local parts = {}
  for part in rest:gmatch "[^/]+" do
    if part:find "[^%w._~-]" or part:find "^%.%.?$" then return nil end
    parts[#parts + 1] = part .. "/"
  end
  return bucket, table.concat(parts)
end

---Returns whether a store is in S3 rather than in a folder.
---@param name string
---@return boolean
function address.is_s3(name)
  return name:find "^s3://" ~= nil
end

address.split = split

---Checks a store's address.
---@param name string
---@return string|nil problem  such as "must be ..."
function address.problem(name)
  if name == "" then return "must not be empty" end
  if address.is_s3(name) then
    if split(name) then return nil end
    return "must be of the form s3://BUCKET or s3://BUCKET/PREFIX; a prefix has letters, digits and -._~/ only"
  end
  if name:find "^%a[%w+.-]*://" then return "must be the path of a folder, or s3://BUCKET/PREFIX" end
end

return address
