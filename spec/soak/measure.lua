-- SPDX-License-Identifier: MIT
-- Measures this process: resident memory, descriptors and threads. Compares the last tenth of a soak test with the tenth after its warm-up.

local cjson = require "cjson"
local env = require "helper.env"
local lfs = require "lfs"

local NAMES <const> = { "memory", "live", "descriptors", "threads" }

local measure = {}

---@class spec.soak.Sample
---@field memory number       resident memory in KB, after a full garbage collection
---@field live number         KB that Lua uses
---@field descriptors integer
---@field threads integer

---Takes a sample while nothing is in flight, and prints it on stderr.
---@param what string
---@return spec.soak.Sample
function measure.sample(what)
  collectgarbage()
  collectgarbage()
  local status, descriptors = env.read "/proc/self/status", 0
  for _ in lfs.dir "/proc/self/fd" do descriptors = descriptors + 1 end
  local sample = {
    memory = tonumber(status:match "VmRSS:%s*(%d+)"), live = collectgarbage "count", threads = tonumber(status:match "Threads:%s*(%d+)"),
    descriptors = descriptors,
  }
  io.stderr:write(("%s: %d KB, live %.0f KB, %d descriptors, %d threads\n"):format(what, sample.memory, sample.live, sample.descriptors,
    sample.threads))
  return sample
end

local function mean(samples, name, first, last)
  local sum = 0
  for i = first, last do sum = sum + samples[i][name] end
  return sum / (last - first + 1)
end

---Prints, as JSON: each quantity's mean in the tenth after the warm-up, its mean in the last tenth, and its growth in percent.
---@param samples spec.soak.Sample[]  at least 10, at equal distances
---@param warm_up number  the share of the samples that doesn't count
---@param more table      further fields
function measure.report(samples, warm_up, more)
  local tenth, first = #samples // 10, math.ceil(#samples * warm_up) + 1
  for _, name in ipairs(NAMES) do
    local before = mean(samples, name, first, first + tenth - 1)
    local after = mean(samples, name, #samples - tenth + 1, #samples)
    more[name] = { before = before, after = after, growth = 100 * (after / before - 1) }
  end
  print(cjson.encode(more))
end

return measure
