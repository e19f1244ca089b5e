-- SPDX-License-Identifier: MIT
-- Contains the code that `omni plan` and `omni run` share: it defines their options, and opens the board, the client, the sandbox and the
-- output folder.

local output_and_ledger = require "omni.cli.output_and_ledger"
local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local sandbox_options = require "omni.cli.sandbox_options"
local signals = require "omni.cli.signals"

local board_options = {}

---Adds the options.
---@param parser table  argparse's
function board_options.define(parser)
  parser:argument("board", "A Lua file that returns a storyboard (docs/storyboards.md)."):argname("BOARD")
  parser:flag("--sandbox", "Use a sandbox: no key, no network, no cost.")
  options.path(parser:option("--out", "The output folder (default: BOARD.omni next to the board; its folder sandbox with --sandbox).")
    :argname("DIR"))
  options.add_ledger(parser)
  options.add_store(parser)
  local function scenes(name, text) parser:option(name, text .. " Repeatable."):argname("SCENE"):count("*") end
  scenes("--only", "Only this scene, or those that match a pattern ('storm*'), and the scenes that they build on.")
  scenes("--redo", "Make this scene again, or those that match a pattern: its next take.")
  scenes("--resubmit", "Submit this scene again, although the outcome of its last submit is unknown.")
  options.amount(parser:option("--budget", "Spend N credits at most; don't ask about a plan within that."):argname("N"))
  parser:flag("--trust", "Let the board do all that a Lua program can: run programs, read and write files (docs/storyboards.md).")
  options.add_set(parser)
  options.add_base_url(parser)
  sandbox_options.define(parser)
end

-- Returns the ledger's path or address. `omni plan` doesn't create a ledger; if no ledger exists, the command uses an empty ledger in a
-- temporary folder. If the returned path is in a temporary folder, the second result is a function that removes this folder.
local function ledger_path(given, create)
  local core = require "omni.core"
  local path = output_and_ledger.ledger(given)
  if create or not path or require("omni.ledger").exists(path) then return path end
  local folder, why = core.make_temporary_directory("omni-plan-")
  if not folder then
    message.print("can't create a temporary ledger: " .. why)
    return path
  end
  return folder .. "/ledger.db", function()
    for _, suffix in ipairs { "", "-alive", "-wal", "-shm", "-journal" } do core.remove(folder .. "/ledger.db" .. suffix) end
    core.remove(folder)
  end
end

---@class omni.cli.Opened
---@field board omni.Storyboard
---@field client omni.Client
---@field directory string
---@field given table         the options, from argparse
---@field sandbox? omni.Sandbox
---@field warnings string[]   the client's warnings, to be printed once nothing is being drawn
---@field waits table         from omni.cli.view.waits
---@field usual? table        from omni.cli.typical_duration: how long the scenes usually take
---@field progress? table     from omni.cli.view.run_progress; gets the waits
---@field runs? boolean       the progress shows everything from now on
---@field line omni.cli.Line  on stderr, until `runs`
---@field remove_ledger? fun()
local Opened_methods = {}
local Opened_mt = { __index = Opened_methods }

---On a terminal, shows that omni is querying prices, until `self.line:clear()` is called.
function Opened_methods:announce_prices()
  self.line:draw("asking what it costs ...")
end

---Returns the options for `omni.plan_storyboard` and `omni.run_storyboard` that are set on the command line.
---@param more? table  further options
---@return table
function Opened_methods:plan_options(more)
  local given, all = self.given, more or {}
  all.client, all.directory = self.client, self.directory
  all.only, all.redo, all.resubmit = #given.only > 0 and given.only or nil, given.redo, given.resubmit
  return all
end

---Looks up how long a plan's scenes usually take, so that the views can show these durations. Waits.
---@param plan omni.Plan
function Opened_methods:look_up_times(plan) self.usual = require("omni.cli.typical_duration").of_plan(plan) end

---Returns the options for the views that show a plan and a run's progress.
---@param fd? 1|2  the output: 1: stdout (the default), 2: stderr
---@return table
function Opened_methods:view_options(fd)
  local given, terminal = self.given, require "omni.cli.view.terminal"
  return {
    given = given, directory = self.directory, ledger = self.client.ledger_path, sandbox = self.client.is_sandbox,
    budget = given.budget, usual = self.usual,
    colour = terminal.colour(fd), columns = terminal.columns(fd),
  }
end

---Prints each of the client's warnings once.
function Opened_methods:print_warnings()
  for _, warning in ipairs(self.warnings) do message.print(warning) end
  self.warnings = {}
end

function Opened_mt:__close()
  self.line:clear()
  if self.client then self.client:close() end
  if self.sandbox then self.sandbox:close() end
  if self.remove_ledger then self.remove_ledger() end
end

---Prints why no plan could be made, or why the plan can't be carried out.
---@param problem omni.Error
---@return integer exit code  2 if an option's value doesn't match the board, else 3
function board_options.refuse(problem)
  if problem.code ~= "invalid_input" then return message.exit(3, problem) end
  problem.message = problem.message:gsub("^%l+: ", "--%0") -- the name of the option, as on the command line
  return message.exit(2, problem)
end

-- Loads the board. Returns nothing if the user presses Ctrl-C.
local function load_board(given, client)
  local board, problem
  local code = signals.run(function()
    board, problem = require("omni").load_storyboard(given.board, {
      client = client, trusted = given.trust or false, set = options.set_values(given), interrupted = signals.interrupted,
    })
    return 0
  end)
  if code and not (problem and problem.code == "cancelled") then return board, problem end
end

-- Returns an object that shows what a command is waiting for. The command's progress view shows the reasons for waiting; without a progress
-- view, omni draws the reasons on the terminal or prints them to stderr.
local function waits_of(opened)
  return require("omni.cli.view.waits").new {
    now = require("omni.core").now,
    patience = function() return require("omni.cli.view.terminal").patience(opened.given.json, opened.runs and 1 or 2) end,
    has_keys = function() return opened.client and #opened.client.all_keys or 1 end,
    find_users = function() return require "omni.cli.slot_users"(opened.client) end,
    on_begin = function(wait)
      local words, progress = opened.waits:words(wait), opened.progress
      if progress then
        progress:wait(words, opened.waits:fields(wait))
      elseif not opened.line:draws() then
        message.print(words)
      end
    end,
    on_over = function(wait, seconds)
      if opened.progress then opened.progress:wait_over(opened.waits:fields(wait, seconds)) end
    end,
  }
end

-- Opens the sandbox, the client and the board, and stores them in `opened`. On failure, returns the exit code and an error.
local function open_all(opened, create_ledger)
  local given, no_client, ledger = opened.given
  local sandbox, problem = sandbox_options.open_if_given(given)
  if problem then return 2, problem end
  opened.sandbox = sandbox
  ledger, opened.remove_ledger = ledger_path(given, create_ledger)
  opened.client, no_client = require("omni").client {
    base_url = sandbox and sandbox.url or given.base_url, api_key = sandbox and sandbox.key, ledger = ledger,
    store = given.store,
    on_event = message.client_hook(function(warning) table.insert(opened.warnings, warning) end, opened.waits),
  }
  if given.trust then require("omni.cli.module_path").allow(given.board) end
  opened.board, problem = load_board(given, opened.client) -- a board error takes precedence over a client error
  if not (opened.board or problem) then return 130, "interrupted: nothing was submitted" end
  problem = problem or no_client
  if problem then return 2, problem end
end

---Opens everything that the options specify, or prints an error.
---@param given table
---@param create_ledger boolean  false: if there is no ledger, uses a temporary one, since the command only plans
---@return omni.cli.Opened|nil  the caller must close it
---@return integer|nil exit code
function board_options.open(given, create_ledger)
  local misuse = sandbox_options.misuse(given)
  if misuse then return nil, message.exit(2, misuse) end
  local opened = setmetatable({ given = given, warnings = {}, directory = output_and_ledger.folder(given) }, Opened_mt)
  opened.waits = waits_of(opened)
  opened.line = require("omni.cli.view.status_line").open(io.stderr, function()
    return not opened.runs and require("omni.cli.view.terminal").columns(2) or nil
  end, opened.waits, require("omni.host").rows)
  local code, problem = open_all(opened, create_ledger)
  if not code then return opened end
  Opened_mt.__close(opened)
  if given.json and code == 2 then
    require("omni.cli.view.json_events").write("run", create_ledger and "done" or "plan",
      { sandbox = given.sandbox or false, credits = create_ledger and 0 or nil, exit = code, error = problem })
  end
  message.exit(code, problem)
  if problem.code == "no_key" then
    local rehearsal = require("omni.storyboard.next_command").run { board = given.board, out = given.out, sandbox = true }
    message.add("to rehearse without a key: " .. rehearsal)
  end
  return nil, code
end

return board_options
