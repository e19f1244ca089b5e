-- SPDX-License-Identifier: MIT
-- The sandbox's clips: drawn once a spec, two at a time, in the order in which they were asked for; kept in one directory.

local core = require "omni.core"
local json = require "omni.json"
local loop = require "omni.loop"
local random = require "omni.sandbox.random"

local at_once = 2

-- What a clip depends on, as text; and the name that it has for it.
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

local Clips_methods = {}
local Clips_mt = { __name = "omni.sandbox.clips", __index = Clips_methods }

-- Draws one clip; the file is there only once it is whole (media.clip sees to it).
local function draw(self, job)
  local fine, path, failure = pcall(self.clip, job.spec, job.path)
  if not fine then return nil, path end
  return path, failure
end

local function finish(self, job, path, failure)
  self.jobs[job.path] = nil
  for _, done in ipairs(job.waiting) do done(path, failure) end
end

local function work(self)
  while true do
    local job = table.remove(self.queue, 1)
    if not job then break end
    finish(self, job, draw(self, job))
  end
  self.workers[loop.current()] = nil
  self.working = self.working - 1
end

---Has a clip drawn, or finds it. `done(path)` or `done(nil, failure)` is called once, perhaps before this returns.
---@param spec table
---@param done fun(path: string|nil, failure: any)
function Clips_methods:want(spec, done)
  local path = self.directory .. "/" .. name_of(spec, self.seed)
  local job = self.jobs[path]
  if job then
    job.waiting[#job.waiting + 1] = done
    return
  end
  self.files[path] = true
  if core.stat(path) then return done(path) end
  job = { spec = spec, path = path, waiting = { done } }
  self.jobs[path] = job
  self.queue[#self.queue + 1] = job
  if self.working < at_once then
    self.working = self.working + 1
    local fiber = loop.background(work, self)
    self.workers[fiber] = true
  end
end

---Stops what is being drawn. With `remove`, the files go too, and the directory when nothing else lies in it.
---@param remove boolean
function Clips_methods:close(remove)
  self.queue = {}
  for fiber in pairs(self.workers) do fiber:cancel() end
  self.workers = {}
  if not remove then return end
  for path in pairs(self.files) do core.remove(path) end
  core.remove(self.directory)
end

---@param settings { directory: string, seed: integer, clip: fun(spec: table, path: string): string|nil, any }
local function open(settings)
  return setmetatable({
    directory = settings.directory, seed = settings.seed, clip = settings.clip,
    jobs = {}, queue = {}, files = {}, workers = {}, working = 0,
  }, Clips_mt)
end

return { open = open }
