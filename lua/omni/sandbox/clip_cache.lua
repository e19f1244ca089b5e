-- SPDX-License-Identifier: MIT
-- Caches the sandbox's clips: draws each clip only once, draws two clips at a time, and keeps the files in one directory.

local core = require "omni.core"
local json = require "omni.json"
local pool = require "omni.loop.pool"
local random = require "omni.sandbox.random"

local at_once <const> = 2

-- Returns a clip's file name, which is a digest of everything that affects the clip's picture.
local function name_of(spec, seed)
  local parts = { seed, spec.builtin or false, spec.prompt, spec.seconds or false, spec.aspect_ratio, spec.resolution }
  if spec.image then parts[#parts + 1] = ("%s %d"):format(spec.image, spec.index or 1) end
  for _, url in ipairs(spec.images or {}) do parts[#parts + 1] = tostring(url) end
  local video = type(spec.video) == "string" and { url = spec.video } or spec.video
  if type(video) == "table" then
    for _, key in ipairs { "url", "start", "ends" } do parts[#parts + 1] = key .. "=" .. tostring(video[key]) end
  end
  local text = json.text(parts)
  return ("%016x%016x.%s"):format(random.hash(text, 1), random.hash(text, 2), spec.image or "mp4")
end

---@class omni.sandbox.ClipCache
local Cache_methods = {}
local Cache_mt = { __name = "omni.sandbox.clip_cache", __index = Cache_methods }

local function draw(cache, spec, path)
  local fine, drawn, failure = pcall(cache.draw, spec, path)
  if not fine then drawn, failure = nil, drawn end
  local waiting = cache.waiting[path]
  cache.waiting[path] = nil
  for _, done in ipairs(waiting) do done(drawn, failure) end
end

---Draws a clip unless the clip is already in the cache. Calls `done(path)` or `done(nil, failure)` once, possibly before `get` returns.
---@param spec omni.sandbox.ClipSpec
---@param done fun(path: string|nil, failure: any)
function Cache_methods:get(spec, done)
  local path = self.directory .. "/" .. name_of(spec, self.seed)
  local waiting = self.waiting[path]
  if waiting then
    waiting[#waiting + 1] = done
    return
  end
  self.paths[path] = true
  if core.stat(path) then return done(path) end
  self.waiting[path] = { done }
  self.pool:add(draw, self, spec, path)
end

---Stops drawing.
---@param remove boolean  whether to remove the files as well, and the directory if it is empty afterwards
function Cache_methods:close(remove)
  self.pool:close()
  if not remove then return end
  for path in pairs(self.paths) do core.remove(path) end
  core.remove(self.directory)
end

---@param settings { directory: string, seed: integer, draw: fun(spec: table, path: string): string|nil, any }
local function open(settings)
  return setmetatable({
    directory = settings.directory, seed = settings.seed, draw = settings.draw, pool = pool.new(at_once, true), waiting = {}, paths = {},
  }, Cache_mt)
end

return { open = open }
