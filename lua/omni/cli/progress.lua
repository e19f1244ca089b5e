-- SPDX-License-Identifier: MIT
-- Shows how a run goes: in place on a terminal, as plain lines elsewhere, or as JSON, one event a line.
--
-- JSON. Every line is an object with `event` (string) and `time` (Unix seconds). Fields that say nothing are left out;
-- fields may be added later, those here stay. Events:
--   plan         title, directory, sandbox (boolean), scenes: [{scene, model, credits}], credits (the estimates' sum),
--                complete (boolean: every price is known), balance, budget; once, before anything is submitted
--   submitting   scene, index (from 1), estimate
--   pending, running, fetching    scene, index, task_id, estimate
--   fetched      scene, index, task_id, estimate, credits, file, files: [path]
--   failed       scene, index, error, and task_id, credits when it was submitted
--   refused      scene, index, error: not submitted, and nothing spent
--   unknown      scene, index, error: maybe submitted, maybe charged
--   interrupted  scene, index, task_id: goes on at the service
--   waiting      scene, index: was refused for the moment, and not tried again because of an interruption
--   done         title, sandbox, credits (sum of what was reported), exit (the exit code), error (why nothing was submitted),
--                scenes: [{scene, index, status, task_id, estimate, credits, file, files, error}]; always the last
-- `error` is {code, message, status, task_id, field, hint}; the codes stand in docs/errors.md.

local json = require "omni.sandbox.json"
local live = require "omni.cli.live"
local text = require "omni.cli.text"

-- --- JSON

local problem_shape = json.shape { "code", "message", "status?", "task_id?", "field?", "hint?" }
local scene_shape = json.shape {
  "scene", "index?", "model?", "status?", "task_id?", "estimate?", "credits?", "file?", "files?", "error?",
}
local event_shape = json.shape {
  "event", "time", "title?", "scene?", "index?", "task_id?", "estimate?", "credits?", "file?", "files?", "directory?",
  "sandbox?", "complete?", "balance?", "budget?", "exit?", "error?", "scenes?", "url?", "key?",
}

local function copy(source, shape)
  local copied = {}
  for name, value in pairs(source) do copied[name] = value end
  local bad = copied.error
  if bad then
    copied.error = problem_shape {
      code = bad.code, message = text.clean(bad.message), status = bad.status, task_id = bad.task_id, field = bad.field,
      hint = bad.hint,
    }
  end
  return shape(copied)
end

---Writes one event as one line of JSON.
---@param out file*
---@param event table
local function write_json(out, event)
  local object = copy(event, event_shape)
  object.time = os.time()
  if event.scenes then
    object.scenes = {}
    for index, scene in ipairs(event.scenes) do object.scenes[index] = copy(scene, scene_shape) end
  end
  local line = json.encode(object):gsub("\\/", "/") -- lua-cjson writes each slash as \/
  local _, bad = utf8.len(line)
  while bad do -- a path can be any bytes, JSON can't
    line = line:sub(1, bad - 1) .. "\u{FFFD}" .. line:sub(bad + 1)
    _, bad = utf8.len(line)
  end
  out:write(line, "\n")
  out:flush()
end

local Json_methods = {}
local Json_mt = { __name = "omni.cli.json", __index = Json_methods }

function Json_methods:event(event) write_json(self.out, event) end
function Json_methods:tick() end -- luacheck: ignore self
function Json_methods:finish() end -- luacheck: ignore self

-- --- plain lines

local Plain_methods = {}
local Plain_mt = { __name = "omni.cli.plain", __index = Plain_methods }

function Plain_methods:event(event)
  local line = ("%s: %s"):format(text.clean(event.scene), event.event)
  if event.event == "fetched" then
    local cost = event.credits and text.credits(event.credits, self.sandbox) .. ", " or ""
    line = ("%s: %s%s"):format(line, cost, text.clean(event.file))
  elseif event.error then
    line = ("%s: %s"):format(line, text.problem(event.error))
  elseif event.task_id then
    line = ("%s (task %s)"):format(line, text.clean(event.task_id))
  end
  self.out:write(line, "\n")
  self.out:flush()
end

function Plain_methods:tick() end -- luacheck: ignore self
function Plain_methods:finish() end -- luacheck: ignore self

---@class omni.cli.ProgressOptions
---@field board omni.Storyboard
---@field out file*
---@field columns fun(): integer|nil      nil: `out` isn't a terminal that can be drawn on
---@field rows fun(): integer|nil
---@field now fun(): number               seconds
---@field json? boolean
---@field sandbox? boolean
---@field colour? boolean
---@field prices? table<string, number>   by scene

---Opens what fits: JSON if asked for, a drawing on a terminal, plain lines elsewhere.
---@param options omni.cli.ProgressOptions
---@return { event: fun(self, event: table), tick: fun(self), finish: fun(self) }
local function open(options)
  if options.json then return setmetatable({ out = options.out }, Json_mt) end
  if options.columns() then return live.open(options) end
  return setmetatable({ out = options.out, sandbox = options.sandbox }, Plain_mt)
end

return { open = open, write_json = write_json }
