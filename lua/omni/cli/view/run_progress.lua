-- SPDX-License-Identifier: MIT
-- Shows a run's progress: as a drawing on a terminal, as plain lines in a pipe or file, or as JSON events.

local json_events = require "omni.cli.view.json_events"
local live = require "omni.cli.view.live_progress"
local text = require "omni.cli.view.text"

local Json_methods = {}
local Json_mt = { __name = "omni.cli.json", __index = Json_methods }

function Json_methods:event(event) json_events.write("run", event.event, event, self.out) end
function Json_methods:wait(_, fields) json_events.write("run", "wait", fields, self.out) end
function Json_methods:wait_over(fields) json_events.write("run", "wait_over", fields, self.out) end
function Json_methods:close() end -- luacheck: ignore self

-- --- plain lines

local Plain_methods = {}
local Plain_mt = { __name = "omni.cli.plain", __index = Plain_methods }

-- The lines to print for events other than a scene's new state. Reused scenes get no line, because the plan and the summary show them. The
-- cut gets a single line, which is printed when the cut starts.
local special = {
  reused = function() return nil end,
  cutting = function(event) return event.fraction == 0 and "film: cutting" or nil end,
  film = function(event) return ("film: %s%s"):format(text.path(event.file), event.made and "" or " (as it was)") end,
  warning = function(event) return ("%s: warning: %s"):format(text.clean(event.scene), text.clean(event.message)) end,
  report = function(event) return "report: " .. text.path(event.file) end,
}

-- Returns the line for a scene's state. If the scene is blocked, or if its submit's outcome is unknown, omits the reason, which the plan
-- has already shown.
local function scene_line(event, sandbox, plan)
  local line = ("%s: %s"):format(text.clean(event.scene), event.event)
  local entry = plan.by_name[event.scene]
  if entry.blocked or entry.action == "unknown" then return line end
  if event.event == "fetched" then
    local cost = event.credits and text.credits(event.credits, sandbox) .. ", " or ""
    return ("%s: %s%s"):format(line, cost, text.path(event.file))
  elseif event.error then
    return ("%s: %s"):format(line, text.problem(event.error))
  elseif event.task_id then
    return ("%s (task %s)"):format(line, text.clean(event.task_id))
  end
  return line
end

function Plain_methods:event(event)
  local line = (special[event.event] or scene_line)(event, self.sandbox, self.plan)
  if not line then return end
  self.out:write(line, "\n")
  self.out:flush()
end

-- Prints what the run has begun to wait for.
function Plain_methods:wait(words)
  self.out:write(words, "\n")
  self.out:flush()
end

function Plain_methods:wait_over() end -- luacheck: ignore self

function Plain_methods:close() end -- luacheck: ignore self

---@class omni.cli.ProgressOptions
---@field plan omni.Plan
---@field out file*
---@field columns fun(): integer|nil      nil: `out` isn't a terminal that can be drawn on
---@field rows fun(): integer|nil
---@field now fun(): number               seconds
---@field json? boolean
---@field sandbox? boolean
---@field colour? boolean
---@field waits? table                    from omni.cli.view.waits
---@field typical? table<string, omni.cli.TypicalTime>  usual duration of a scene, by the scene's name

---Opens the view of a run's progress: JSON events if `json` is set, a drawing on a terminal, or plain lines in a pipe or file. If the
---view's `draws` is true, the caller must call `tick` several times a second.
---@param options omni.cli.ProgressOptions
---@return { event: fun(self, event: table), wait: fun(self, words: string, fields: table), wait_over: fun(self, fields: table),
---  close: fun(self), draws?: boolean, tick?: fun(self) }
local function open(options)
  if options.json then return setmetatable({ out = options.out }, Json_mt) end
  if options.columns() then return live.open(options) end
  return setmetatable({ out = options.out, plan = options.plan, sandbox = options.sandbox }, Plain_mt)
end

return { open = open }
