-- SPDX-License-Identifier: MIT
-- Describes the progress of an upload or download: bytes, percentage, rate and remaining time.

local text = require "omni.cli.view.text"

local window <const> = 5 -- number of seconds over which the rate is averaged
local shortest <const> = 0.5 -- number of seconds that must pass before a rate is shown

---@class omni.cli.Meter
---@field name string       cleaned
---@field now fun(): number seconds
---@field bytes integer
---@field total? integer
local Meter_methods = {}
local Meter_mt = { __name = "omni.cli.meter", __index = Meter_methods }

---Records the progress. If the number of bytes has decreased, the transfer has restarted, so the rate is measured again from the start.
---@param bytes integer
---@param total? integer
function Meter_methods:progress(bytes, total)
  if bytes < self.bytes then self.samples = {} end
  self.samples[#self.samples + 1] = { at = self.now(), bytes = bytes }
  self.bytes, self.total, self.begun = bytes, total, true
end

---@return number|nil rate  recent bytes per second; nil while it is unknown
function Meter_methods:rate()
  local samples, now = self.samples, self.now()
  while #samples > 1 and now - samples[2].at >= window do table.remove(samples, 1) end
  local first = samples[1]
  if now - first.at < shortest then return nil end
  return (self.bytes - first.bytes) / (now - first.at)
end

---Describes the progress in at most `columns` columns. If the description is too long, shortens the file's name first.
---@param columns integer
---@return string  "keeper.png   45%  1.22 of 2.71 MB  840 kB/s  0:02 left"
function Meter_methods:words(columns)
  if not self.begun then return text.shorten(self.name, columns) end
  local parts, total, rate = {}, self.total, self:rate()
  if total and total > 0 then
    parts[1] = ("%3d%%"):format(math.min(100, self.bytes * 100 // total))
    parts[2] = ("%s of %s"):format(text.bytes(self.bytes), text.bytes(total))
  else
    parts[1] = text.bytes(self.bytes)
  end
  if rate and self.bytes > 0 then parts[#parts + 1] = text.bytes(math.floor(rate)) .. "/s" end
  if rate and rate > 0 and total and total > self.bytes then
    parts[#parts + 1] = text.elapsed(math.ceil((total - self.bytes) / rate)) .. " left"
  end
  local rest = table.concat(parts, "  ")
  local room = columns - #rest - 3
  if room < 4 then return text.cut(rest, columns) end
  return text.shorten(self.name, room) .. "  " .. rest
end

---@param name string
---@param now fun(): number  seconds
---@return omni.cli.Meter
local function meter(name, now)
  return setmetatable({ name = text.clean(name), now = now, bytes = 0, samples = { { at = now(), bytes = 0 } } }, Meter_mt)
end

return { meter = meter }
