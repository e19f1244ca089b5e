-- SPDX-License-Identifier: MIT
-- Waits for tasks, and shows how that goes: one line on a terminal, a line a change of state elsewhere, or events.
--
-- Besides what omni offers to everybody it asks the client's ledger how long such tasks took.

local advice = require "omni.cli.view.next_command"
local core = require "omni.core"
local loop = require "omni.loop"
local shown = require "omni.cli.view.task"
local text = require "omni.cli.view.text"

local default_timeout <const> = 1800 -- seconds

local function simple(value)
  return (type(value) == "number" or type(value) == "string") and value or nil
end

-- Finds out how long such tasks took, in seconds: the median of at least three that the ledger knows.
local function learn(client, one)
  local there = client:existing_ledger()
  local records = there and client:ledger()
  local raw = one.task.raw
  local input = type(raw) == "table" and type(raw.param) == "table" and raw.param.input
  if one.typical or not records or type(input) ~= "table" then return end
  local kind = { model = one.task.model, duration = simple(input.duration), resolution = simple(input.resolution) }
  loop.background(function()
    local rows = records:ask("durations", kind) or {}
    one.typical = #rows >= 3 and rows[(#rows + 1) // 2].took or nil
  end)
end

-- "d696...  running  1:05 of about 1:30", or of several "2 of 5 done, 1 failed, 3 running  1:05".
local function words(watched, columns)
  if #watched == 1 then
    local one = watched[1]
    local since = one.task.created_at and os.time() - one.task.created_at or 0 -- of one that was there before us
    local time = text.elapsed(math.max(core.now() - one.began, since))
    if one.typical then time = ("%s of about %s"):format(time, text.elapsed(one.typical)) end
    local rest = ("  %s  %s"):format(text.clean(one.task.status or "waiting"), time)
    return text.cut(one.task.id, math.max(1, columns - 1 - text.columns(rest))) .. rest
  end
  local done, counts, names = 0, {}, {}
  for _, one in ipairs(watched) do
    local status = one.problem and "given up" or text.clean(one.task.status or "waiting", 40)
    if one.over then done = done + 1 end
    if status ~= "success" then
      if not counts[status] then names[#names + 1] = status end
      counts[status] = (counts[status] or 0) + 1
    end
  end
  local parts = { ("%d of %d done"):format(done, #watched) }
  for _, name in ipairs(names) do parts[#parts + 1] = ("%d %s"):format(counts[name], name) end
  return ("%s  %s"):format(table.concat(parts, ", "), text.elapsed(core.now() - watched[1].began))
end

-- The tasks of those that aren't over.
local function open_ids(tasks)
  local ids = {}
  for _, task in ipairs(tasks) do
    if not task:done() then ids[#ids + 1] = task.id end
  end
  return ids
end

-- What a person types to take tasks up again.
local function resume(called, ids)
  local given = called.given
  return advice.tasks(given.out and "fetch" or "wait", ids, { out = given.out, ledger = given.ledger, base_url = given.base_url })
end

-- What has become of one.
local function tell(called, one)
  local task, problem = one.task, one.problem
  if problem then
    if problem.code == "timeout" then
      problem.hint = "it goes on at the service; take it up again with: " .. resume(called, { task.id })
    end
    return called:fail(problem)
  end
  called:event("task", shown.event(task))
  if called.given.out then return called:note(shown.line(task, called.manner)) end -- its files follow, or why there are none
  called:print_block(shown.lines(task, called.manner))
end

-- One task, in a fiber of its own.
local function follow(called, one, timeout)
  local told
  if not one.task.status then one.task:refresh() end -- it may be over already; why that fails the waiting will say
  local _, problem = one.task:await {
    timeout = timeout or default_timeout,
    on_status = function(task)
      if task.status == told or task:done() then return end -- what it has become is told at the end
      told = task.status
      called:event("task", shown.event(task))
      if called.line:draws() then
        learn(called.client, one)
      else
        called:note(("%s  %s"):format(task.id, text.clean(told)))
      end
    end,
  }
  one.over, one.problem = true, problem
  tell(called, one)
end

---Waits for tasks; tells of each as soon as it is over.
---@param called omni.cli.Call
---@param tasks omni.Task[]
---@param timeout? number  seconds (1800)
---@return boolean all  all of them have succeeded
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

---Tells that the waiting was interrupted, and what goes on.
---@param called omni.cli.Call
---@param tasks omni.Task[]
---@return integer exit code
local function tell_interrupted(called, tasks)
  local ids = open_ids(tasks)
  for _, id in ipairs(ids) do called:event("interrupted", { task_id = id }) end
  if #ids == 0 then
    called:say("interrupted")
  else
    called:say(("interrupted; %s at the service. Take %s up again with:"):format(#ids == 1 and "it goes on" or "they go on",
      #ids == 1 and "it" or "them"), resume(called, ids))
  end
  return 130
end

return { tell_interrupted = tell_interrupted, wait = wait }
