-- SPDX-License-Identifier: MIT
-- What the calls of the sandbox share: their answers, and what stands in a query.

---A refusal. Of a request that isn't valid (422) the reason stands in `errors`, as with the service.
---@param code integer
---@param message string
---@param headers? table<string, string>
---@param data? table
local function refuse(code, message, headers, data)
  local errors
  if code == 422 then message, errors = "Missing Params or Type Error", { message } end
  return { status = code, code = code, message = message, errors = errors, data = data, headers = headers }
end

local function success(data)
  return { status = 200, code = 200, message = "success", data = data }
end

---A percent-encoded text.
---@param text string
---@return string
local function decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---A parameter of a query; of several with one name the first.
---@param query_string string|nil
---@param name string
---@return string|nil
local function parameter(query_string, name)
  for pair in (query_string or ""):gmatch "[^&]+" do
    local key, value = pair:match "^([^=]*)=?(.*)$"
    if key == name then return decoded(value) end
  end
  return nil
end

return { refuse = refuse, success = success, decoded = decoded, parameter = parameter }
