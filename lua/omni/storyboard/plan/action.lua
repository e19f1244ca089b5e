-- SPDX-License-Identifier: MIT
-- Chooses what a run would do with each scene: reuse the scene's files, fetch them, wait for a task in flight, or submit.

local core = require "omni.core"
local identity = require "omni.storyboard.plan.identity"
local paths = require "omni.file.path"
local unknown_submit = require "omni.storyboard.plan.unknown_submit"

local media_days <const> = 14 -- approximate number of days until media URLs expire (docs/service.md)

---What a run does with a scene:
---@alias omni.Action
---| "reuse"    use its files, which exist and are unchanged
---| "fetch"    fetch its files; it is paid for
---| "expired"  do nothing: it is paid for, but its files have expired at the service; a person decides
---| "resume"   wait for its task, which is in flight, and fetch its files; it is paid for
---| "submit"   submit it and pay for it
---| "wait"     submit it once the scenes that it builds on have their files
---| "unknown"  do nothing: it has a submit with an unknown outcome; a person decides
---| "invalid"  do nothing: it can't be submitted

-- Returns a short description of how a scene has changed.
local function changes(before, after, scene)
  local parts = {}
  for index, change in ipairs(identity.difference(before, after, scene)) do parts[index] = change.text end
  if #parts > 4 then
    local more = #parts - 3
    parts = table.move(parts, 1, 3, 1, {})
    parts[4] = ("%d more changes"):format(more)
  end
  return table.concat(parts, ", ")
end

-- Returns the reason why a run submits a scene.
local function reason(self, planned, old)
  if old and old.state == "failed" then return "failed before: " .. core.clean(old.message or old.error or "?", 120) end
  if old and (old.state == "gone" or old.sandbox == 1 and not self.client:serves(old)) then return "its sandbox is closed" end
  local last = self.rows:get("last_of_scene", planned.scene)[1]
  if not last then return "new" end
  if last.base == planned.base then
    return last.take ~= planned.take and ("take %d"):format(planned.take) or "forgotten before"
  end
  local said = last.form and changes(last.form, planned.form, self.board.scenes[planned.index]) or ""
  return said ~= "" and said or "changed"
end

-- Looks for an earlier task's file at its two possible paths, and returns the paths at which a file exists.
local function places_of(self, file)
  local places = {}
  for _, path in ipairs { file.path, self.media .. "/" .. paths.name(file.path) } do
    if core.stat(path) then places[#places + 1] = path end
  end
  return places
end

-- Returns the path of an earlier task's file if the file is unchanged, or else nil and the reason.
local function find_file(self, file)
  local why = file.sha256:find "^void:" and "can't be decoded" or "is missing"
  for _, path in ipairs(places_of(self, file)) do
    local sha256 = self.ledger:digest(path)
    if sha256 == file.sha256 then return path end
    if why == "is missing" then why = "was changed" end
  end
  return nil, ("%s %s"):format(paths.name(file.path), why)
end

-- Returns whether the store has all files of a submit.
local function is_in_store(self, row, files)
  local store = self.client.store
  if not store or #files < math.max(row.media or 1, 1) then return false end
  for _, file in ipairs(files) do
    local there, problem = store:has(file.sha256, file.size)
    if not there then return false, problem end
  end
  return true
end

-- Chooses the action for a task that succeeded: reuse its files, fetch them, or neither.
local function decide_success(self, planned, row)
  local files = self.rows:get("files", row.id)
  local why = #files < math.max(row.media or 1, 1) and "it was never fetched" or nil
  local found = {}
  for index, file in ipairs(files) do
    found[index], why = find_file(self, file)
    if why then break end
  end
  local is_lost = row.state == "gone" or self.client.is_sandbox and not self.client:serves(row)
  local is_stored, trouble
  if why and is_lost then is_stored, trouble = is_in_store(self, row, files) end
  if trouble then why = why .. "; " .. trouble.message end
  if not why then
    planned.action, planned.files = "reuse", found
  elseif is_stored then
    planned.action, planned.why = "fetch", why .. "; the store has it"
  elseif self.client.is_sandbox and not self.client:serves(row) then
    planned.action, planned.why, planned.retire = "submit", why .. ", and its sandbox is closed", row.id
  elseif row.state == "gone" then
    planned.action, planned.why = "expired", why .. ", and its media has expired at the service"
  else
    planned.media_until = (row.completed_at or row.ended_at or row.intended_at) + media_days * 86400
    planned.action, planned.why = "fetch", ("%s; the service keeps it until about %s"):format(why,
      os.date("%Y-%m-%d", math.floor(planned.media_until)))
  end
end

---Reads from the ledger, in a few queries, what `choose` needs to know about all scenes that have an identity. For a scene that has been
---submitted with this identity, `prepare` reads the submit's row and, if the submit succeeded, its files and their digests. For a scene
---that hasn't been submitted with this identity, `prepare` reads the last submit under the scene's name.
---@param self omni.Planner
---@param identities table[]  the results of identity.resolve
local function prepare(self, identities)
  local all, missing, succeeded, clips = {}, {}, {}, {}
  for _, found in ipairs(identities) do all[#all + 1] = found.identity end
  self.rows:prepare("by_identity", all)
  for index, found in ipairs(identities) do
    local row = found.identity and self.rows:of_submit { identity = found.identity }
    if row and (row.state == "success" or row.state == "gone") then
      succeeded[#succeeded + 1] = row.id
    elseif found.identity and not row then
      missing[#missing + 1] = self.board.scenes[index].name
    end
  end
  self.rows:prepare("files", succeeded)
  self.rows:prepare("last_of_scene", missing)
  for _, id in ipairs(succeeded) do
    for _, file in ipairs(self.rows:get("files", id)) do clips[#clips + 1] = places_of(self, file)[1] end
  end
  local fine, problem = self.ledger:load_digests(clips)
  if not fine then error(problem, 0) end
end

-- Describes a submit with an unknown outcome.
local function describe_unknown(row, sandbox)
  local parts = { os.date("submitted %Y-%m-%d %H:%M:%S", math.floor(row.intended_at)) }
  parts[#parts + 1] = row.message and core.clean(row.message, 200) or "omni ended before the response arrived"
  local costs = unknown_submit.costs(row, sandbox)
  return table.concat(table.move(costs, 1, #costs, #parts + 1, parts), "; ")
end

---Chooses a scene's action. Sets the scene's fields `row`, `task_id`, `action` and `why` and, depending on the action, `files`, `before`,
---`retire`, `instead_of` and `media_until`.
---@param self omni.Planner
---@param planned omni.PlanScene
local function choose(self, planned)
  local row = self.rows:of_submit(planned)
  planned.row, planned.task_id = row, row and row.task_id
  local sandbox = self.client.is_sandbox
  if row and row.state == "unknown" then unknown_submit.count_others(self.ledger, row) end
  if not row then
    planned.action, planned.why = "submit", reason(self, planned, planned.before)
  elseif row.state == "success" or row.state == "gone" then
    decide_success(self, planned, row)
  elseif row.state == "unknown" and self.resubmit[planned.scene] then
    planned.action, planned.why, planned.instead_of = "submit", "submitted again on request: " .. describe_unknown(row, sandbox), row.id
  elseif row.state == "unknown" then
    planned.action, planned.why = "unknown", describe_unknown(row, sandbox)
  else
    planned.action = "resume"
    planned.why = row.state == "intended" and "another run is submitting it" or "its task is in flight"
  end
end

-- Returns whether a callback may still reveal the task of a submit with an unknown outcome.
local function may_settle(self, planned)
  return self.client.receiver ~= nil and planned.row.token ~= nil
end

-- Returns whether a person must decide something before a scene can get its files.
local function is_stuck(self, planned)
  return planned.blocked or planned.action == "invalid" or planned.action == "expired"
    or planned.action == "unknown" and not may_settle(self, planned)
end

---Looks for an identical scene earlier on the board, whose clip this scene can share.
---@param self omni.Planner
---@param plan omni.Plan
---@param planned omni.PlanScene
local function find_duplicate(self, plan, planned)
  local original = plan.by_identity[planned.identity]
  plan.by_identity[planned.identity] = original or planned
  if not original or planned.action == "reuse" then return end
  planned.duplicate_of, planned.action, planned.waits_for = original.scene, "wait", { original.scene }
  planned.blocked = is_stuck(self, original)
  planned.why = ('equal to scene "%s"; take = 2 makes a different clip'):format(original.scene)
end

---Collects the scenes that a scene builds on and that don't have their files yet.
---@param self omni.Planner
---@param plan omni.Plan
---@param planned omni.PlanScene
local function wait_for(self, plan, planned)
  local scene = plan.board.scenes[planned.index]
  if planned.action ~= "submit" then return end
  for _, name in ipairs(scene.builds_on) do
    local other = plan.by_name[name]
    if other.action ~= "reuse" then
      planned.waits_for = planned.waits_for or {}
      table.insert(planned.waits_for, name)
      planned.blocked = planned.blocked or is_stuck(self, other)
    end
  end
  if planned.waits_for then planned.action = "wait" end
end

return { choose = choose, find_duplicate = find_duplicate, prepare = prepare, wait_for = wait_for }
