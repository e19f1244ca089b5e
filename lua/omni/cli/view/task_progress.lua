-- SPDX-License-Identifier: MIT
-- Waits for tasks and shows their progress: as a single line on a terminal, as a line for each state change in a pipe or file, or as JSON
-- events.

local core = require "omni.core"
local loop = require "omni.loop"
local next_command = require "omni.storyboard.next_command"
local task_view = require "omni.cli.view.task"
local text = require "omni.cli.view.text"
local typical_duration = require "omni.cli.typical_duration"

local default_timeout <const> = 1800 -- seconds

-- Sets `one.typical` to a table that contains the usual duration of tasks of this kind, and the number of tasks on which this duration is
-- based.
local function look_up_typical_duration(client, one)
  local ledger, raw = client:existing_ledger(), one.task.raw
  local input = type(raw) == "table" and type(raw.param) == "table" and raw.param.input
  if one.typical or not ledger or type(input) ~= "table" then return end
  loop.background(function() one.typical = typical_duration.of(ledger, one.task.model, input) end)
end

-- Returns the progress line. For one task, returns a line such as "d696...  running  1:05 of about 1:30 (14 tasks)"; for several tasks,
-- returns a line such as "2 of 5 done, 1 failed, 3 running  1:05".
local function words(watched, columns)
  if #watched == 1 then
    local one = watched[1]
    -- uses the service's creation time, since the task may have been created before this program started
    local since = one.task.created_at and os.time() - one.task.created_at or 0
    local time = text.elapsed(math.max(core.now() - one.began, since))
    local usual = one.typical
    if usual then time = ("%s of about %s (%d tasks)"):format(time, text.elapsed(usual.seconds), usual.tasks) end
    local rest = ("  %s  %s"):format(text.clean(one.task.status or "waiting"), time)
    return text.shorten(one.task.id, math.max(1, columns - 1 - text.columns(rest))) .. rest
  end
  local done, counts, names = 0, {}, {}
  for _, one in ipairs(watched) do
    local status = one.problem and "given up" or text.clean(one.task.status or "waiting", 40)
    if one.ended then done = done + 1 end
    if status ~= "success" then
      if not counts[status] then names[#names + 1] = status end
      counts[status] = (counts[status] or 0) + 1
    end
  end
  local parts = { ("%d of %d done"):format(done, #watched) }
  for _, name in ipairs(names) do parts[#parts + 1] = ("%d %s"):format(counts[name], name) end
  return ("%s  %s"):format(table.concat(parts, ", "), text.elapsed(core.now() - watched[1].began))
end

-- Returns the ids of the tasks that haven't ended.
local function open_ids(tasks)
  local ids = {}
  for _, task in ipairs(tasks) do
    if not task:done() then ids[#ids + 1] = task.id end
  end
  return ids
end

-- Returns the command that resumes waiting for these tasks.
local function resume(called, ids)
  local given = called.given
  return next_command.tasks(given.out and "fetch" or "wait", ids, given)
end

-- Reports the end of a task, or the error that ended the wait.
local function report(called, one)
  local task, problem = one.task, one.problem
  if problem then
    if problem.code == "timeout" then
      problem.hint = "it goes on at the service; to continue: " .. resume(called, { task.id })
    end
    return called:fail(problem)
  end
  called:event("task", task_view.event(task))
  if called.given.out then return called:note(task_view.line(task, called.format)) end -- the names of the task's files are printed next
  called:print_block(task_view.lines(task, called.format))
end

-- Waits for one task, in its own fiber.
local function follow(called, one, timeout)
  local shown
  if not one.task.status then one.task:refresh() end -- the task may have already ended; if this query fails, `await` reports the error
  local _, problem = one.task:await {
    timeout = timeout or default_timeout,
    on_status = function(task)
      if task.status == shown or task:done() then return end -- the task's end is reported below
      shown = task.status
      called:event("task", task_view.event(task))
      if called.line:draws() then
        look_up_typical_duration(called.client, one)
      else
        called:note(("%s  %s"):format(task.id, text.clean(shown)))
      end
    end,
  }
  one.ended, one.problem = true, problem
  report(called, one)
end

---Waits for tasks, and reports each as soon as it has ended.
---@param called omni.cli.Call
---@param tasks omni.Task[]
---@param timeout? number  seconds (1800)
---@return boolean all  whether all have succeeded
local function wait(called, tasks, timeout)
  local watched, fibers = {}, {}
  for i, task in ipairs(tasks) do watched[i] = { task = task, began = core.now() } end
  local live <close> = called.line:live(function(columns) return words(watched, columns) end) -- luacheck: ignore 211
  for i, one in ipairs(watched) do fibers[i] = loop.spawn(follow, called, one, timeout) end
  loop.join(table.unpack(fibers))
  for _, one in ipairs(watched) do
    if one.problem or one.task.error then return false end
  end
  return true
end

---Reports that the wait was interrupted, and which tasks keep running at the service.
---@param called omni.cli.Call
---@param tasks omni.Task[]
---@return integer exit code
local function interrupted(called, tasks)
  local ids = open_ids(tasks)
  for _, id in ipairs(ids) do called:event("interrupted", { task_id = id }) end
  if #ids == 0 then
    called:message("interrupted")
  else
    called:message(("interrupted; %s at the service. To continue with %s:"):format(#ids == 1 and "it goes on" or "they go on",
      #ids == 1 and "it" or "them"), resume(called, ids))
  end
  return 130
end

return { interrupted = interrupted, wait = wait }
