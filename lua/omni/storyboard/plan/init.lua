-- SPDX-License-Identifier: MIT
-- Plans a run by choosing an action for each scene and requesting its price. Planning submits nothing and changes no ledger rows.

local arguments = require "omni.storyboard.arguments"
local checks = require "omni.storyboard.plan.checks"
local core = require "omni.core"
local err = require "omni.error"
local identity = require "omni.storyboard.plan.identity"
local loop = require "omni.loop"
local paths = require "omni.file.path"
local media_probe = require "omni.storyboard.plan.media_probe"
local prices = require "omni.storyboard.plan.price"
local unknown_submit = require "omni.storyboard.plan.unknown_submit"
local spent = require "omni.storyboard.plan.spent"
local selection = require "omni.storyboard.plan.selection"
local upload = require "omni.client.upload"

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

---@class omni.PlanScene
---@field scene string
---@field index integer
---@field model string
---@field yields omni.Modality  what the model makes
---@field action omni.Action
---@field why? string          the reason for the action
---@field waits_for? string[]  scenes
---@field duplicate_of? string  an identical scene, whose clip it uses
---@field blocked? boolean     a scene that it waits for is unknown, expired, invalid or blocked
---@field pays? boolean        this run would pay for it
---@field selected boolean     this run includes it
---@field take? integer
---@field redo? boolean        another take was requested
---@field package identity? string
---@field package base? string
---@field package form? string
---@field package row? table           the ledger row of its submit
---@field package before? table        the row of an earlier submit that failed or was lost
---@field package retire? integer      the row of a submit whose sandbox is closed
---@field package instead_of? integer  the row of a submit with an unknown outcome, which this submit replaces
---@field task_id? string
---@field files? string[]      paths, for the action "reuse"
---@field media_until? number  about when its media expires (Unix seconds), for the action "fetch"
---@field credits? number      the service's estimate
---@field price_error? omni.Error
---@field error? omni.Error
---@field package problems? omni.Error[]  all errors in its files, if it is invalid

---@class omni.Plan
---@field board omni.Storyboard
---@field directory string         the output folder; absolute
---@field package board_key string          the board's key in the ledger: its path, or the name of its job
---@field package ledger omni.Records       the ledger with the board's submits
---@field package by_identity table<string, omni.PlanScene>
---@field package service string            the client's service
---@field package digests table<string, string>  SHA-256 of the local files, by path
---@field package audio_sha256? string      SHA-256 of the cut's audio track
---@field package choice { only?: string[], redo?: string[], resubmit?: string[] }  the options with which the plan was made
---@field scenes omni.PlanScene[]
---@field by_name table<string, omni.PlanScene>
---@field sandbox boolean           it is a rehearsal, whose credits aren't money
---@field credits number            sum of the known prices
---@field complete boolean          whether every price is known
---@field balance? number           the account's balance, queried only if the plan costs something
---@field spent omni.Spent          what the board has cost so far
---@field notices omni.Notice[]     what you should know before you pay, although it isn't an error
---@field package problems omni.Error[]  errors in the film, because of which omni would refuse a run
---@field error? omni.Error         why the first unknown price is unknown
---@field unavailable? omni.Error   why the service can't be used now
---@field submits integer           number of scenes that this run would submit; more than 0 needs consent
---@field counts table<omni.Action, integer>  the number of scenes with each action
local Plan_mt = { __name = "omni.plan" }

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

local Planner_methods = {}
local Planner_mt = { __index = Planner_methods }

local function ask(self, verb, params)
  local rows, problem = self.ledger:ask(verb, params)
  if not rows then error(problem, 0) end -- caught by `make`
  return rows
end

-- The ledger verbs that a plan needs for each scene, with each verb's parameters. A verb's first parameter differs between scenes; its
-- other parameters don't.
local scene_verbs <const> = {
  latest_take = { "base", "service" }, by_identity = { "identity", "service" }, files = { "submit" },
  last_of_scene = { "scene", "board", "service" },
}

local function parameters(self, verb, value)
  local names = scene_verbs[verb]
  local params = { [names[1]] = value }
  for i = 2, #names do params[names[i]] = names[i] == "board" and self.board_key or self.client.service end
  return params
end

-- Runs one of the scene verbs for several values in a single ledger query. Afterwards, `rows` returns the results without querying the
-- ledger.
function Planner_methods:prepare(verb, values)
  local list, known = {}, self.known[verb] or {}
  for i, value in ipairs(values) do list[i] = parameters(self, verb, value) end
  local found, problem = self.ledger:ask_each(verb, list)
  if not found then error(problem, 0) end
  self.known[verb] = known
  for i, value in ipairs(values) do known[value] = found[i] end
end

function Planner_methods:rows(verb, value)
  local known = self.known[verb]
  return known and known[value] or ask(self, verb, parameters(self, verb, value))
end

-- Returns the reason why a run submits a scene.
function Planner_methods:reason(planned, old)
  if old and old.state == "failed" then return "failed before: " .. core.clean(old.message or old.error or "?", 120) end
  if old and (old.state == "gone" or old.sandbox == 1 and not self.client:serves(old)) then return "its sandbox is closed" end
  local last = self:rows("last_of_scene", planned.scene)[1]
  if not last then return "new" end
  if last.base == planned.base then
    return last.take ~= planned.take and ("take %d"):format(planned.take) or "forgotten before"
  end
  local said = last.form and changes(last.form, planned.form, self.board.scenes[planned.index]) or ""
  return said ~= "" and said or "changed"
end

-- Looks for an earlier task's file at its two possible paths, and returns the paths at which a file exists.
function Planner_methods:places_of(file)
  local places = {}
  for _, path in ipairs { file.path, self.media .. "/" .. paths.name(file.path) } do
    if core.stat(path) then places[#places + 1] = path end
  end
  return places
end

-- Returns the path of an earlier task's file if the file is unchanged, or else nil and the reason.
function Planner_methods:find_file(file)
  local why = file.sha256:find "^void:" and "can't be decoded" or "is missing"
  for _, path in ipairs(self:places_of(file)) do
    local sha256 = self.ledger:digest(path)
    if sha256 == file.sha256 then return path end
    if why == "is missing" then why = "was changed" end
  end
  return nil, ("%s %s"):format(paths.name(file.path), why)
end

-- Returns whether the store has all files of a submit.
function Planner_methods:is_in_store(row, files)
  local store = self.client.store
  if not store or #files < math.max(row.media or 1, 1) then return false end
  for _, file in ipairs(files) do
    local there, problem = store:has(file.sha256, file.size)
    if not there then return false, problem end
  end
  return true
end

-- Chooses the action for a task that succeeded: reuse its files, fetch them, or neither.
function Planner_methods:decide_success(planned, row)
  local files = self:rows("files", row.id)
  local why = #files < math.max(row.media or 1, 1) and "it was never fetched" or nil
  local found = {}
  for index, file in ipairs(files) do
    found[index], why = self:find_file(file)
    if why then break end
  end
  local is_lost = row.state == "gone" or self.client.is_sandbox and not self.client:serves(row)
  local is_stored, trouble
  if why and is_lost then is_stored, trouble = self:is_in_store(row, files) end
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

-- Returns the ledger row of a scene's submit. If an earlier submit failed or was lost, stores that submit's row in `planned.before`.
function Planner_methods:look_up(planned)
  local row, dead = nil, { gone = self.client.is_sandbox, failed = true, refused = true, forgotten = true }
  for _, candidate in ipairs(self:rows("by_identity", planned.identity)) do
    local foreign = self.client.is_sandbox and not self.client:serves(candidate) and candidate.state ~= "success"
    if not foreign and not dead[candidate.state] then -- a closed sandbox's tasks no longer exist
      row = candidate
      break
    end
    if not row and candidate.state ~= "refused" and candidate.state ~= "forgotten" then planned.before = planned.before or candidate end
  end
  return row
end

-- Reads from the ledger, in a few queries, what `decide` needs to know about all scenes that have an identity. `decide` needs the rows of
-- the scenes' submits, the successful submits' files with their digests, and the last submits of the scenes without a row.
function Planner_methods:prepare_decisions(identities)
  local all, missing, succeeded, clips = {}, {}, {}, {}
  for _, found in ipairs(identities) do all[#all + 1] = found.identity end
  self:prepare("by_identity", all)
  for index, found in ipairs(identities) do
    local row = found.identity and self:look_up { identity = found.identity }
    if row and (row.state == "success" or row.state == "gone") then
      succeeded[#succeeded + 1] = row.id
    elseif found.identity and not row then
      missing[#missing + 1] = self.board.scenes[index].name
    end
  end
  self:prepare("files", succeeded)
  self:prepare("last_of_scene", missing)
  for _, id in ipairs(succeeded) do
    for _, file in ipairs(self:rows("files", id)) do clips[#clips + 1] = self:places_of(file)[1] end
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

function Planner_methods:decide(planned)
  local row = self:look_up(planned)
  planned.row, planned.task_id = row, row and row.task_id
  local sandbox = self.client.is_sandbox
  if row and row.state == "unknown" then unknown_submit.count_others(self.ledger, row) end
  if not row then
    planned.action, planned.why = "submit", self:reason(planned, planned.before)
  elseif row.state == "success" or row.state == "gone" then
    self:decide_success(planned, row)
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
function Planner_methods:may_settle(planned)
  return self.client.receiver ~= nil and planned.row.token ~= nil
end

-- Returns whether a person must decide something before a scene can get its files.
local function is_stuck(self, planned)
  return planned.blocked or planned.action == "invalid" or planned.action == "expired"
    or planned.action == "unknown" and not self:may_settle(planned)
end

-- Looks for an identical scene earlier on the board, whose clip this scene can share.
local function find_duplicate(self, plan, planned)
  local original = plan.by_identity[planned.identity]
  plan.by_identity[planned.identity] = original or planned
  if not original or planned.action == "reuse" then return end
  planned.duplicate_of, planned.action, planned.waits_for = original.scene, "wait", { original.scene }
  planned.blocked = is_stuck(self, original)
  planned.why = ('equal to scene "%s"; take = 2 makes a different clip'):format(original.scene)
end

-- Collects the scenes that a scene builds on and that don't have their files yet.
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

local known = {
  client = "any", directory = "path", only = "table", redo = "table", resubmit = "table", prices = "boolean",
}

-- Returns the SHA-256 digest of a file that can be uploaded, and stores it for the run.
function Planner_methods:digest(path)
  local fine, unusable = upload.check(path)
  if not fine then return nil, unusable end
  local sha256, problem = self.ledger:digest(path)
  self.digests[path] = sha256
  return sha256, problem
end

-- Returns the take for a scene that doesn't set one: the latest take or, with `redo`, the next take.
function Planner_methods:take(base, redo)
  local latest = self:rows("latest_take", base)[1].take
  if not redo or not latest then return latest or 1 end
  -- Continues the take that an earlier run with the same `redo` began before it was interrupted.
  local begun = ask(self, "take_since_redo", { board = self.board_key, base = base, service = self.client.service })[1].take
  if begun then return begun end
  -- If the latest take is in flight, it counts as the requested take, so that repeating a command doesn't pay again.
  local row = self:look_up { identity = identity.with_take(base, latest) }
  return row and row.state ~= "success" and row.state ~= "gone" and latest or latest + 1
end

local function build(self, board, given)
  local selected = selection.resolve(board, given)
  self.resubmit = selected.resubmit
  local mixed = ask(self, "other_kind", { sandbox = self.client.is_sandbox })[1]
  if mixed then
    error(err.new { code = "ledger_failed", hint = "choose another ledger",
      message = ("the ledger %s is %s; a ledger never mixes sandbox and real submits")
        :format(self.ledger.path, self.client.is_sandbox and "for real submits" or "a sandbox's") }, 0)
  end

  local identities = identity.resolve(board, {
    digest = function(path) return self:digest(path) end,
    prepare = function(bases) self:prepare("latest_take", bases) end,
    take = function(scene, base) return self:take(base, selected.redo[scene.name]) end,
  })

  self:prepare_decisions(identities)

  local plan = setmetatable({
    board = board, board_key = self.board_key, ledger = self.ledger, digests = self.digests, scenes = {}, by_name = {}, by_identity = {},
    counts = {}, credits = 0, complete = true, submits = 0, directory = self.directory, service = self.client.service,
    sandbox = self.client.is_sandbox or false,
    notices = table.move(board.notices, 1, #board.notices, 1, {}), problems = {},
    choice = { only = given.only, redo = given.redo, resubmit = given.resubmit },
  }, Plan_mt)
  local audio = board.cut and board.cut.audio
  plan.audio_sha256 = audio and self.ledger:digest(audio.path)
  for _, index in ipairs(board.order) do
    local scene, found = board.scenes[index], identities[index]
    local planned = {
      scene = scene.name, index = index, model = scene.model, yields = scene.yields,
      take = found.take, identity = found.identity, base = found.base,
      form = found.form, error = found.error, redo = selected.redo[scene.name],
    }
    plan.scenes[index], plan.by_name[scene.name] = planned, planned
    if planned.error then
      planned.action, planned.why = "invalid", planned.error.message
    else
      self:decide(planned)
    end
  end
  local files = media_probe.new()
  checks.check_scenes(plan, files, self.client.is_sandbox)
  for _, index in ipairs(board.order) do
    local planned = plan.scenes[index]
    if planned.action ~= "invalid" then
      wait_for(self, plan, planned)
      find_duplicate(self, plan, planned)
    end
  end
  selection.mark(plan, selected)
  for _, planned in ipairs(plan.scenes) do
    local costs = planned.action == "submit" or planned.action == "wait"
    planned.pays = planned.selected and costs and not planned.blocked and not planned.duplicate_of
    if planned.pays then plan.submits = plan.submits + 1 end
    plan.counts[planned.action] = (plan.counts[planned.action] or 0) + 1
  end
  checks.check_film(plan, files, self.client.is_sandbox)
  local problem
  plan.spent, problem = spent.of_board(self.ledger, self.board_key, self.client)
  if problem then error(problem, 0) end
  return plan
end

-- Makes a plan. Runs in a fiber.
local function plan_board(board, given)
  local problem
  board, problem = arguments.load(board, given.client)
  if not board then return nil, problem end
  local ledger
  ledger, problem = given.client:board_ledger(given.directory)
  if not ledger then return nil, problem end
  local directory = paths.absolute(given.directory)
  local self = setmetatable({
    board = board, client = given.client, ledger = ledger, directory = directory, media = directory .. "/media",
    board_key = board.key or board.path or directory, digests = {}, known = {},
  }, Planner_mt)
  local fine, plan = pcall(build, self, board, given)
  if not fine then
    if err.is(plan) then return nil, plan end
    error(plan, 0)
  end
  if given.prices ~= false then
    prices.price(plan, given.client)
  else
    plan.complete = plan.submits == 0
  end
  return plan
end

---Plans a run based on the ledger and the files, and requests prices from the service. Submits nothing. You can pass the plan to
---`omni.run_storyboard`, which then executes exactly this plan.
---@param board omni.Storyboard|string  a board, or the path of its file, which omni loads as `omni.load_storyboard` does
---@param given omni.PlanOptions
---@return omni.Plan|nil plan
---@return omni.Error|nil err  codes: ledger_failed, invalid_input, invalid_board
local function make(board, given)
  given = arguments.check(board, given, known, "omni.plan_storyboard")
  loop.in_fiber "omni.plan_storyboard"
  return loop.drive(plan_board, board, given)
end

return { is_plan = function(value) return getmetatable(value) == Plan_mt end, make = make, plan = plan_board }
