-- SPDX-License-Identifier: MIT
-- Removes storage services' signatures from URLs, since a service creates a new signature each time it returns a file's URL.

-- Describes how storage services sign URLs; all names are in lower case. If a URL's query has a parameter with the name in `mark`, omni
-- removes the parameters whose names are listed in `names` or begin with `prefix`.
local kinds = {
  { mark = "x-amz-signature", prefix = "x-amz-" }, -- Amazon S3 and compatible services
  { mark = "x-goog-signature", prefix = "x-goog-" }, -- Google Cloud Storage
  { mark = "x-oss-signature", prefix = "x-oss-" }, -- Alibaba Cloud OSS
  { mark = "q-signature", prefix = "q-" }, -- Tencent Cloud COS
  -- older S3, Google and OSS signatures; CloudFront signatures
  { mark = "signature", names = "signature expires awsaccesskeyid googleaccessid ossaccesskeyid security-token x-amz-security-token "
    .. "key-pair-id policy" },
  -- Azure Blob Storage
  { mark = "sig", names = "sig sv se st sp sr spr sip ss srt si skoid sktid skt ske sks skv sdd saoid suoid scid ses" },
}
for _, kind in ipairs(kinds) do
  local set = {}
  for name in (kind.names or ""):gmatch("%S+") do set[name] = true end
  kind.names = set
end

local function belongs(name, kind)
  return kind.names[name] or kind.prefix and name:sub(1, #kind.prefix) == kind.prefix
end

---Returns a URL without its signature. If a string isn't a URL with a signature, returns the string unchanged.
---@param text string
---@return string
local function unsigned(text)
  local base, query, fragment = text:match("^([hH][tT][tT][pP][sS]?://[^?#%s]*)%?([^#%s]*)(#?%S*)$")
  if not base then return text end
  local parts, present = {}, {}
  for part in query:gmatch("[^&]+") do
    local name = part:match("^[^=]*"):lower()
    parts[#parts + 1] = { name = name, text = part }
    present[name] = true
  end
  local kept, signed = {}, false
  for _, part in ipairs(parts) do
    local drop = false
    for _, kind in ipairs(kinds) do drop = drop or present[kind.mark] and belongs(part.name, kind) end
    signed = signed or drop
    if not drop then kept[#kept + 1] = part.text end
  end
  if not signed then return text end
  return base .. (#kept > 0 and "?" .. table.concat(kept, "&") or "") .. fragment
end

return unsigned
