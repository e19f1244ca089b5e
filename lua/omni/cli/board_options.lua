-- SPDX-License-Identifier: MIT
-- What `omni plan` and `omni run` share: their options, and what they stand for: the board, the account, where the output goes.
--
-- Besides what omni offers to everybody it takes the client's key and ledger by name: a sandbox may be asked often, and a plan makes no
-- ledger.

local common = require "omni.cli.common"

local board = {}

---Adds the options that say what is planned.
---@param parser table  argparse's
function board.define(parser)
  parser:argument("board", "A Lua file that returns a storyboard (docs/storyboards.md)."):argname("BOARD")
  parser:flag("--sandbox", "Against a sandbox of its own: no key, no network, no cost.")
  common.path(parser:option("--out", "Where the output goes (default: BOARD.omni beside the board; its folder sandbox with --sandbox).")
    :argname("DIR"))
  common.add_ledger_option(parser)
  local function scenes(name, text) parser:option(name, text .. " May be given several times."):argname("SCENE"):count("*") end
  scenes("--only", "Only this scene, and what it builds on.")
  scenes("--redo", "Shoot this scene again: its next take.")
  scenes("--resubmit", "Submit this scene again, whose outcome is unknown.")
  common.amount(parser:option("--budget", "Spend at most N credits; a plan that costs less isn't asked about."):argname("N"))
  parser:flag("--trust", "Let the board do what any Lua program may: run programs, read and write files (docs/storyboards.md).")
  parser:option("--set", "What os.getenv \"NAME\" returns in the board. May be given several times."):argname("NAME=VALUE"):count("*")
    :convert(function(given)
      if given:find("^[^=]+=") then return given end
      return nil, ("--set: '%s' should be NAME=VALUE"):format(given)
    end)
  parser:option("--base-url", "The service's base URL (default: CRUN_BASE_URL, else the service's own)."):argname("URL")
  common.add_sandbox_options(parser)
end

-- "films/lighthouse.lua" → "films/lighthouse.omni"
local function default_directory(given)
  local directory = given.board:gsub("%.lua$", "") .. ".omni"
  return given.sandbox and directory .. "/sandbox" or directory -- so that a rehearsal never touches what was paid for
end

-- A ledger that is gone again in the end: there is none yet, and a plan leaves nothing behind.
local function scratch_ledger()
  local core = require "omni.core"
  local directory, why = core.make_temporary_directory("omni-plan-")
  if not directory then return nil, why end
  local path = directory .. "/ledger.db"
  return path, nil, function()
    for _, suffix in ipairs { "", "-alive", "-wal", "-shm", "-journal" } do core.remove(path .. suffix) end
    core.remove(directory)
  end
end

---@class omni.cli.Opened
---@field board omni.Storyboard
---@field client omni.Client
---@field directory string
---@field given table         what argparse found
---@field sandbox? omni.Sandbox
---@field warnings string[]   the client's, to be printed when nothing is drawn
---@field line omni.cli.Line    on stderr
---@field forget_ledger? fun()
local Opened_methods = {}
local Opened_mt = { __index = Opened_methods }

---Shows on a terminal that prices are being asked for, until `clear`.
function Opened_methods:announce_prices()
  self.line:draw("asking what it costs ...")
end

---Removes what `announce_prices` has drawn.
function Opened_methods:clear()
  self.line:clear()
end

---Returns the options of `omni.plan_storyboard` and `omni.run_storyboard` that the command line has set.
---@param more? table  further ones
---@return table
function Opened_methods:plan_options(more)
  local shown, given, options = {}, self.given, more or {}
  options.client, options.directory = self.client, self.directory
  options.only, options.redo, options.resubmit = #given.only > 0 and given.only or nil, given.redo, given.resubmit
  function options.on_retry(failure)
    if shown[failure.message] then return end
    shown[failure.message] = true
    self:clear()
    common.say(require("omni.cli.view.text").problem(failure) .. "; trying again")
  end
  return options
end

---Prints the client's warnings, each once.
function Opened_methods:print_warnings()
  for _, warning in ipairs(self.warnings) do common.say(require("omni.cli.view.text").clean(warning)) end
  self.warnings = {}
end

local function close(opened)
  if opened.client then opened.client:close() end
  if opened.sandbox then opened.sandbox:close() end
  if opened.forget_ledger then opened.forget_ledger() end
end

Opened_mt.__close = close

---Tells why there is no plan, or nothing may be done with it.
---@param problem omni.Error
---@return integer exit code  2 for an option's value that doesn't fit the board, else 3
function board.refuse(problem)
  if problem.code ~= "invalid_input" then return common.tell(problem) or 3 end
  problem.message = problem.message:gsub("^%l+: ", "--%0") -- the option, as it is called here
  return common.tell(problem) or 2
end

-- Loads the board; Ctrl-C ends it. Returns nothing when it was interrupted.
local function load_board(given, client)
  local set = {}
  for _, pair in ipairs(given.set) do
    local name, value = pair:match("^([^=]+)=(.*)$")
    set[name] = value
  end
  local loaded, problem
  local code, failure = common.in_loop(function()
    loaded, problem = require("omni").load_storyboard(given.board, {
      client = client, trusted = given.trust or false, set = set, interrupted = require("omni.cli.signals").interrupted,
    })
    return 0
  end)
  if failure then error(failure, 0) end
  if code and not (problem and problem.code == "cancelled") then return loaded, problem end
end

---Opens what the options name. Reports what can't be opened.
---@param given table
---@param changes_nothing boolean  makes no ledger where there is none
---@return omni.cli.Opened|nil  to be closed
---@return integer|nil exit code  without it
function board.open(given, changes_nothing)
  local misuse = common.sandbox_misuse(given)
  if misuse then return nil, common.say(misuse) or 2 end
  local omni = require "omni"
  local opened = { given = given, warnings = {}, directory = given.out or default_directory(given) }
  opened.line = require("omni.cli.view.status_line").open(io.stderr, function() return common.drawing_columns(2) end)
  local problem
  opened.sandbox, problem = common.rehearsal(given)
  if problem then return nil, common.tell(problem) or 2 end
  local sandbox = opened.sandbox
  opened.client, problem = omni.client {
    base_url = sandbox and sandbox.url or given.base_url, api_key = sandbox and sandbox.key, ledger = given.ledger,
    on_warning = function(warning) table.insert(opened.warnings, warning) end,
  }
  local no_client = problem -- told of once the board is fine
  if given.trust then require("omni.cli.module_path").allow(given.board) end
  opened.board, problem = load_board(given, opened.client)
  if not (opened.board or problem) then
    close(opened)
    return nil, common.say("interrupted: nothing was submitted") or 130
  end
  problem = problem or no_client
  if problem then
    close(opened)
    return nil, common.tell(problem) or 2
  end
  local client = opened.client
  local ledger = client.ledger_path or not client.ledger_problem and opened.directory .. "/ledger.db" or nil
  client.ledger_path = ledger
  if changes_nothing and ledger and not require("omni.core").stat(ledger) then
    local scratch, why, forget = scratch_ledger()
    if not scratch then common.say("there is no place for a temporary ledger: " .. why) end
    client.ledger_path, opened.forget_ledger = scratch or ledger, forget
  end
  return setmetatable(opened, Opened_mt)
end

return board
