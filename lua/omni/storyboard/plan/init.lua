-- SPDX-License-Identifier: MIT
-- What a run would do now, scene by scene, and what it would cost. Submits nothing, and changes no row of the ledger.

local core = require "omni.core"
local err = require "omni.error"
local identity = require "omni.storyboard.plan.identity"
local loop = require "omni.loop"
local options = require "omni.options"
local paths = require "omni.file.path"
local prices = require "omni.storyboard.plan.price"
local upload = require "omni.client.upload"
local words = require "omni.storyboard.language"

local media_days <const> = 14 -- after about as many days media URLs expire (docs/service.md)

---@alias omni.Action
---| "reuse"    its files are there, and their bytes right
---| "fetch"    it is paid for, and its files aren't here: fetched from the service; costs nothing more
---| "expired"  it is paid for, and neither here nor at the service any more: a person decides
---| "resume"   its task is in flight: waited for, fetched; costs nothing more
---| "submit"   is submitted, and paid for
---| "wait"     is submitted once what it builds on is there
---| "unknown"  a submit of it has an unknown outcome: a person decides
---| "invalid"  can't be submitted as it is

---@class omni.PlanScene
---@field scene string
---@field index integer
---@field model string
---@field action omni.Action
---@field why? string          why it is submitted; what is unknown, or invalid
---@field waits_for? string[]  scenes
---@field twin? string         an equal scene, whose clip it takes
---@field blocked? boolean     what it waits for is unknown, expired, invalid or blocked itself
---@field pays? boolean        this run would pay for it
---@field selected boolean     this run touches it
---@field take? integer
---@field redo? boolean        it was asked for another take
---@field package identity? string
---@field package base? string
---@field package form? string
---@field package row? table           of the ledger: the submit that made it, or that is under way
---@field task_id? string
---@field files? string[]      of a scene that is reused
---@field media_until? number  of a scene to be fetched: about when its media expires, Unix seconds
---@field credits? number      the service's estimate
---@field price_error? omni.Error
---@field error? omni.Error

---@class omni.Plan
---@field board omni.Storyboard
---@field package board_key string          what the ledger calls the board: its path
---@field package ledger omni.Records       where the board's submits stand
---@field package digests table<string, string>  SHA-256 of the local files in it, by path
---@field scenes omni.PlanScene[]
---@field by_name table<string, omni.PlanScene>
---@field credits number            the sum of what is known
---@field complete boolean          every price is known
---@field balance? number           what the account has; asked only when something is to be paid
---@field spent number              credits that the board has cost so far, or may have cost; what was given up included
---@field error? omni.Error         why the first unknown price isn't known
---@field unavailable? omni.Error   the service can't be used now at all
---@field submits integer           scenes that this run would submit, at whatever price: whether consent is needed follows from it
---@field counts table<omni.Action, integer>

-- What changed since, in a few words.
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

local Maker_methods = {}
local Maker_mt = { __index = Maker_methods }

local function ask(self, verb, params)
  local rows, problem = self.records:ask(verb, params)
  if not rows then error(problem, 0) end -- caught by `make`
  return rows
end

-- Why it is submitted, by what was there before.
function Maker_methods:reason(entry, old)
  if old and old.state == "failed" then return "failed before: " .. core.clean(old.message or old.error or "?", 120) end
  if old and old.state == "gone" then return "its sandbox is gone" end
  local last = ask(self, "last_of_scene", { board = self.board_key, scene = entry.scene, service = self.client.service })[1]
  if not last then return "new" end
  if last.base == entry.base then
    return last.take ~= entry.take and ("take %d"):format(entry.take) or "forgotten before"
  end
  local said = last.form and changes(last.form, entry.form, self.board.scenes[entry.index]) or ""
  return said ~= "" and said or "changed"
end

-- Where a file of an earlier task is now, with its bytes right; or nil and what is wrong.
function Maker_methods:find_file(file)
  local why = file.sha256:find "^void:" and "can't be decoded" or "is missing"
  for _, path in ipairs { file.path, self.media .. "/" .. paths.name(file.path) } do
    if core.stat(path) then
      local sha256 = self.records:digest(path)
      if sha256 == file.sha256 then return path end
      if why == "is missing" then why = "was changed" end
    end
  end
  return nil, ("%s %s"):format(paths.name(file.path), why)
end

-- Of a task that succeeded: whether all of its files are there.
function Maker_methods:take_stock(entry, row)
  local files = ask(self, "files", { submit = row.id })
  local why = #files < math.max(row.media or 1, 1) and "it was never fetched" or nil
  local found = {}
  for index, file in ipairs(files) do
    found[index], why = self:find_file(file)
    if why then break end
  end
  if not why then
    entry.action, entry.files = "reuse", found
  elseif self.client.is_sandbox and not self.client:serves(row) then
    entry.action, entry.why, entry.retire = "submit", why .. ", and its sandbox is gone", row.id
  elseif row.state == "gone" then
    entry.action, entry.why = "expired", why .. ", and its media has expired at the service"
  else
    entry.media_until = (row.completed_at or row.ended_at or row.intended_at) + media_days * 86400
    entry.action, entry.why = "fetch", ("%s; the service keeps it until about %s"):format(why,
      os.date("%Y-%m-%d", math.floor(entry.media_until)))
  end
end

-- What stands in the ledger for this very scene.
function Maker_methods:look_up(entry)
  local row, dead = nil, { gone = self.client.is_sandbox, failed = true, refused = true, forgotten = true }
  for _, candidate in ipairs(ask(self, "by_identity", { identity = entry.identity, service = self.client.service })) do
    local foreign = self.client.is_sandbox and not self.client:serves(candidate) and candidate.state ~= "success"
    if not foreign and not dead[candidate.state] then -- what an earlier sandbox had under way ended with it
      row = candidate
      break
    end
    if not row and candidate.state ~= "refused" and candidate.state ~= "forgotten" then entry.before = entry.before or candidate end
  end
  return row
end

local function said_unknown(row)
  local parts = { os.date("submitted %Y-%m-%d %H:%M:%S", math.floor(row.intended_at)) }
  parts[#parts + 1] = row.message and core.clean(row.message, 200) or "omni ended before the answer came"
  if row.estimate then parts[#parts + 1] = core.format("it may have cost %.14g credits", row.estimate) end
  if row.balance_before then
    parts[#parts + 1] = core.format("balance %.14g before%s", row.balance_before,
      row.balance_after and core.format(", %.14g after", row.balance_after) or "")
  end
  return table.concat(parts, "; ")
end

function Maker_methods:decide(entry)
  local row = self:look_up(entry)
  entry.row, entry.task_id = row, row and row.task_id
  if not row then
    entry.action, entry.why = "submit", self:reason(entry, entry.before)
  elseif row.state == "success" or row.state == "gone" then
    self:take_stock(entry, row)
  elseif row.state == "unknown" and self.resubmit[entry.scene] then
    entry.action, entry.why, entry.instead_of = "submit", "once more, as you said: " .. said_unknown(row), row.id
  elseif row.state == "unknown" then
    entry.action, entry.why = "unknown", said_unknown(row)
  else
    entry.action = "resume"
    entry.why = row.state == "intended" and "another run is submitting it" or "its task is in flight"
  end
end

-- Whether a callback may yet name the task of a submit whose outcome is unknown.
function Maker_methods:may_settle(entry)
  return self.client.receiver ~= nil and entry.row.token ~= nil
end

-- Whether nothing but a person's word can bring a scene's files.
local function is_stuck(self, entry)
  return entry.blocked or entry.action == "invalid" or entry.action == "expired" or entry.action == "unknown" and not self:may_settle(entry)
end

-- An equal scene that comes earlier: one clip does for both.
local function find_twin(self, plan, entry)
  local twin = plan.by_identity[entry.identity]
  plan.by_identity[entry.identity] = twin or entry
  if not twin or entry.action == "reuse" then return end
  entry.twin, entry.action, entry.waits_for = twin.scene, "wait", { twin.scene }
  entry.blocked = is_stuck(self, twin)
  entry.why = ('equal to scene "%s"; take = 2 would make it another'):format(twin.scene)
end

-- What it builds on and isn't there yet.
local function wait_for(self, plan, entry)
  local scene = plan.board.scenes[entry.index]
  if entry.action ~= "submit" then return end
  for _, name in ipairs(scene.builds_on) do
    local other = plan.by_name[name]
    if other.action ~= "reuse" then
      entry.waits_for = entry.waits_for or {}
      table.insert(entry.waits_for, name)
      entry.blocked = entry.blocked or is_stuck(self, other)
    end
  end
  if entry.waits_for then entry.action = "wait" end
end

-- Marks a scene, and what it needs that isn't there.
local function select(plan, entry)
  if entry.selected then return end
  entry.selected = true
  for _, name in ipairs(entry.waits_for or {}) do select(plan, plan.by_name[name]) end
end

local known = {
  client = "any", directory = "path", only = "table", redo = "table", resubmit = "table", on_retry = "function", prices = "boolean",
}

-- A set out of the names of scenes that are there.
local function names_of(board, list, option)
  local set, there = {}, {}
  for _, scene in ipairs(board.scenes) do there[scene.name] = true end
  for _, name in ipairs(list or {}) do
    if not there[name] then
      error(err.new { code = "invalid_input", field = option,
        message = ('%s: the board has no scene "%s"; %s')
          :format(option, core.clean(tostring(name), 100), options.unknown(name, there)) }, 0)
    end
    set[name] = true
  end
  return next(set) and set
end

local function pinned(scene)
  error(err.new { code = "invalid_input", field = "redo",
    message = ('redo: scene "%s" says take = %d itself'):format(scene.name, scene.take),
    hint = ("write take = %d on the board"):format(scene.take + 1) }, 0)
end

local function build(self, board, given)
  local redo = names_of(board, given.redo, "redo") or {}
  local only = names_of(board, given.only, "only")
  self.resubmit = names_of(board, given.resubmit, "resubmit") or {}
  local mixed = ask(self, "other_kind", { sandbox = self.client.is_sandbox })[1]
  if mixed then
    error(err.new { code = "ledger_failed", hint = "choose another ledger",
      message = ("the ledger %s is %s; rehearsals and real submits are never mixed")
        :format(self.records.path, self.client.is_sandbox and "for real submits" or "a rehearsal's") }, 0)
  end

  for _, scene in ipairs(board.scenes) do
    if redo[scene.name] and scene.take then pinned(scene) end
  end
  local digests = {}
  local same = identity.resolve(board, {
    digest = function(path)
      local fine, unusable = upload.check(path)
      if not fine then return nil, unusable end
      local sha256, problem = self.records:digest(path)
      digests[path] = sha256
      return sha256, problem
    end,
    take = function(scene, base)
      local latest = ask(self, "latest_take", { base = base, service = self.client.service })[1].take
      if not redo[scene.name] or not latest then return latest or 1 end
      -- A run that was told the same and never came to its end has made it already.
      local begun = ask(self, "take_since_redo", { board = self.board_key, base = base, service = self.client.service })[1].take
      if begun then return begun end
      -- One that is still under way is the one that was asked for: the same command goes on, and pays once.
      local row = self:look_up { identity = identity.with_take(base, latest) }
      return row and row.state ~= "success" and row.state ~= "gone" and latest or latest + 1
    end,
  })

  local plan = {
    board = board, board_key = self.board_key, ledger = self.records, digests = digests, scenes = {}, by_name = {}, by_identity = {},
    counts = {}, credits = 0, complete = true, spent = 0, submits = 0,
  }
  for _, index in ipairs(board.order) do
    local scene, found = board.scenes[index], same[index]
    local entry = {
      scene = scene.name, index = index, model = scene.model, take = found.take, identity = found.identity, base = found.base,
      form = found.form, error = found.error, redo = redo[scene.name],
    }
    plan.scenes[index], plan.by_name[scene.name] = entry, entry
    if entry.error then
      entry.action, entry.why = "invalid", entry.error.message
    else
      self:decide(entry)
      wait_for(self, plan, entry)
      find_twin(self, plan, entry)
    end
  end
  for _, entry in ipairs(plan.scenes) do
    if not only or only[entry.scene] then select(plan, entry) end
  end
  for _, entry in ipairs(plan.scenes) do
    entry.selected = entry.selected or false
    entry.pays = entry.selected and (entry.action == "submit" or entry.action == "wait") and not entry.blocked and not entry.twin
    if entry.pays then plan.submits = plan.submits + 1 end
    plan.counts[entry.action] = (plan.counts[entry.action] or 0) + 1
  end
  for _, row in ipairs(ask(self, "spent", { board = self.board_key })) do plan.spent = plan.spent + row.credits + row.promised end
  return plan
end

---Plans a run. Asks the ledger and the files, and the service for prices.
---@param board omni.Storyboard
---@param given omni.PlanOptions
---@return omni.Plan|nil plan
---@return omni.Error|nil err  codes: ledger_failed, invalid_input
local function make(board, given)
  if not words.is_board(board) then error("omni.plan_storyboard: a storyboard is due, not a " .. type(board), 2) end
  options.check(given, known, "omni.plan_storyboard")
  if not given.client then error("omni.plan_storyboard: option 'client' is missing", 2) end
  if not given.directory or given.directory == "" then error("omni.plan_storyboard: option 'directory' is missing", 2) end
  loop.in_fiber "omni.plan_storyboard"
  return loop.drive(function()
    local records, problem = given.client:board_ledger(given.directory)
    if not records then return nil, problem end
    local self = setmetatable({
      board = board, client = given.client, records = records, media = paths.absolute(given.directory) .. "/media",
      board_key = board.path or paths.absolute(given.directory),
    }, Maker_mt)
    local fine, plan = pcall(build, self, board, given)
    if not fine then
      if err.is(plan) then return nil, plan end
      error(plan, 0)
    end
    if given.prices ~= false then prices.price(plan, given.client, given.on_retry) end
    return plan
  end)
end

return { make = make }
