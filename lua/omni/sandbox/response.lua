-- SPDX-License-Identifier: MIT
-- Contains functions for error responses, successful responses, query parameters and dates, which all of the sandbox's endpoints share.

local response = {}

---Returns an error response. For an invalid request (422), the response contains the reason in `errors`, like the service's responses.
---@param code integer
---@param message string
---@param headers? table<string, string>
---@param data? table
function response.refuse(code, message, headers, data)
  local errors
  if code == 422 then message, errors = "Missing Params or Type Error", { message } end
  return { status = code, code = code, message = message, errors = errors, data = data, headers = headers }
end

function response.success(data)
  return { status = 200, code = 200, message = "success", data = data }
end

---Decodes a percent-encoded text.
---@param text string
---@return string
function response.decoded(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

---Returns a query parameter. If several parameters have this name, returns the first parameter's value.
---@param query_string string|nil
---@param name string
---@return string|nil
function response.parameter(query_string, name)
  for pair in (query_string or ""):gmatch "[^&]+" do
    local key, value = pair:match "^([^=]*)=?(.*)$"
    if key == name then return response.decoded(value) end
  end
  return nil
end

---Returns the value of a query parameter that filters a list, or nil if the parameter is empty or missing.
---@param request { query?: string }
---@param name string
---@return string|nil
function response.filter(request, name)
  local value = response.parameter(request.query, name)
  return value ~= "" and value or nil
end

local days <const> = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local months <const> = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

---Formats a date for an HTTP header. The names of days and months are English in every locale.
---@param seconds integer  Unix seconds
---@return string
function response.http_date(seconds)
  local t = os.date("!*t", seconds)
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(days[t.wday], t.day, months[t.month], t.year, t.hour, t.min, t.sec)
end

return response
