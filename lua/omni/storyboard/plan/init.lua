-- SPDX-License-Identifier: MIT
-- Plans a run by choosing an action for each scene and requesting its price. Planning submits nothing and changes no ledger rows.

local action = require "omni.storyboard.plan.action"
local arguments = require "omni.storyboard.arguments"
local checks = require "omni.storyboard.plan.checks"
local err = require "omni.error"
local identity = require "omni.storyboard.plan.identity"
local ledger_rows = require "omni.storyboard.plan.ledger_rows"
local loop = require "omni.loop"
local paths = require "omni.file.path"
local media_probe = require "omni.storyboard.plan.media_probe"
local prices = require "omni.storyboard.plan.price"
local spent = require "omni.storyboard.plan.spent"
local selection = require "omni.storyboard.plan.selection"
local upload = require "omni.client.upload"

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
---@field notices omni.Notice[]     notices, which aren't errors, but which you should read before you pay
---@field package problems omni.Error[]  errors in the film, because of which omni would refuse a run
---@field error? omni.Error         why the first unknown price is unknown
---@field unavailable? omni.Error   why the service can't be used now
---@field submits integer           number of scenes that this run would submit; more than 0 needs consent
---@field counts table<omni.Action, integer>  the number of scenes with each action
local Plan_mt = { __name = "omni.plan" }

---@class omni.Planner
---@field board omni.Storyboard
---@field client omni.Client
---@field ledger omni.Records
---@field rows omni.PlanRows
---@field media string                    the folder with the run's clips
---@field resubmit table<string, boolean>  the scenes that a person wants to submit again although an outcome is unknown
local Planner_methods = {}
local Planner_mt = { __index = Planner_methods }

local known = {
  client = "any", directory = "path", only = "table", redo = "table", resubmit = "table", prices = "boolean",
}

-- Returns the SHA-256 digest of a file that can be uploaded, and stores the digest for the run.
function Planner_methods:digest(path)
  local fine, unusable = upload.check(path)
  if not fine then return nil, unusable end
  local sha256, problem = self.ledger:digest(path)
  self.digests[path] = sha256
  return sha256, problem
end

-- Returns the take for a scene that doesn't set one: the latest take or, with `redo`, the next take.
function Planner_methods:take(base, redo)
  local latest = self.rows:get("latest_take", base)[1].take
  if not redo or not latest then return latest or 1 end
  -- Continues the take that an earlier run with the same `redo` began before it was interrupted.
  local begun = self.rows:ask("take_since_redo", { board = self.board_key, base = base, service = self.client.service })[1].take
  if begun then return begun end
  -- If the latest take is in flight, it counts as the requested take, so that repeating a command doesn't cost credits again.
  local row = self.rows:of_submit { identity = identity.with_take(base, latest) }
  return row and row.state ~= "success" and row.state ~= "gone" and latest or latest + 1
end

local function build(self, board, given)
  local selected = selection.resolve(board, given)
  self.resubmit = selected.resubmit
  local mixed = self.rows:ask("other_kind", { sandbox = self.client.is_sandbox })[1]
  if mixed then
    error(err.new { code = "ledger_failed", hint = "choose another ledger",
      message = ("the ledger %s is %s; a ledger never mixes sandbox and real submits")
        :format(self.ledger.path, self.client.is_sandbox and "for real submits" or "a sandbox's") }, 0)
  end

  local identities = identity.resolve(board, {
    digest = function(path) return self:digest(path) end,
    prepare = function(bases) self.rows:prepare("latest_take", bases) end,
    take = function(scene, base) return self:take(base, selected.redo[scene.name]) end,
  })

  action.prepare(self, identities)

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
      action.choose(self, planned)
    end
  end
  local files = media_probe.new()
  checks.check_scenes(plan, files, self.client.is_sandbox)
  for _, index in ipairs(board.order) do
    local planned = plan.scenes[index]
    if planned.action ~= "invalid" then
      action.wait_for(self, plan, planned)
      action.find_duplicate(self, plan, planned)
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
  local board_key = board.key or board.path or directory
  local self = setmetatable({
    board = board, client = given.client, ledger = ledger, directory = directory, media = directory .. "/media", board_key = board_key,
    digests = {}, rows = ledger_rows.new(ledger, given.client, board_key),
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
---@param board omni.Storyboard|string  a board, or the path of its file, which omni loads in the same way as `omni.load_storyboard`
---@param given omni.PlanOptions
---@return omni.Plan|nil plan
---@return omni.Error|nil err  codes: ledger_failed, invalid_input, invalid_board
local function make(board, given)
  given = arguments.check(board, given, known, "omni.plan_storyboard")
  loop.in_fiber "omni.plan_storyboard"
  return loop.drive(plan_board, board, given)
end

return { is_plan = function(value) return getmetatable(value) == Plan_mt end, make = make, plan = plan_board }
