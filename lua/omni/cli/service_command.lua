-- SPDX-License-Identifier: MIT
-- Contains the code shared by all commands that call the service: options, the client, output as text or JSON, and exit codes.
--
-- Every command that calls the service shows why it is waiting (view/waits.lua), since a command could otherwise be silent for two minutes
-- if the service can't be reached.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local signals = require "omni.cli.signals"
local terminal = require "omni.cli.view.terminal"

local service_command = {}

---Adds the options that choose the service, the ledger and the output.
---@param parser table       argparse's
---@param no_ledger? boolean  the command uses no ledger
function service_command.define(parser, no_ledger)
  if not no_ledger then options.add_ledger(parser, "with a sandbox key: none") end
  options.add_base_url(parser)
  parser:flag("--json", "Print JSON objects to stdout, one per line.")
end

-- --- one invocation of a command

---@class omni.cli.Call
---@field given table            the options, from argparse
---@field client omni.Client
---@field waits table            from omni.cli.view.waits
---@field line omni.cli.Line     on stderr; draws nothing with --json
---@field format table           for omni.cli.view.table: `columns` and `paint` for stdout; and `sandbox`: its credits are no money
local Call_methods = {}
local Call_mt = { __name = "omni.cli.call", __index = Call_methods }

---Writes an event if --json was given.
---@param name string
---@param values table
function Call_methods:event(name, values)
  if self.given.json then require("omni.cli.view.json_events").write("task", name, values) end
end

---Without --json, writes lines to stdout.
---@param lines string[]
function Call_methods:print(lines)
  if self.given.json then return end
  self.line:erase()
  for _, line in ipairs(lines) do io.stdout:write(line, "\n") end
  io.stdout:flush()
  self.printed = true
end

---Without --json, writes a block of lines to stdout. An empty line separates the block from earlier lines.
---@param lines string[]
function Call_methods:print_block(lines)
  if self.printed then table.insert(lines, 1, "") end
  self:print(lines)
end

---Without --json, writes a remark to stderr. On a terminal, the remark is wrapped at words.
---@param line string  cleaned
function Call_methods:note(line)
  if self.given.json then return end
  self.line:erase()
  local columns = terminal.columns(2)
  for _, part in ipairs(require("omni.cli.view.text").wrap(line, columns and columns - 1)) do io.stderr:write(part, "\n") end
end

---Writes a message to stderr.
---@param text string
---@param ... string
function Call_methods:message(text, ...)
  self.line:erase()
  message.print(text, ...)
end

---Reports an error: as a message on stderr, and with --json also as an event.
---@param problem omni.Error
---@param file? string  the file that it is about
---@return integer exit code  2 for invalid input, else 1
function Call_methods:fail(problem, file)
  self:event("error", { task_id = problem.task_id, file = file, error = problem })
  self.line:clear()
  return message.exit(problem.code == "invalid_input" and 2 or 1, problem)
end

---Returns what a submit of this input would cost. Uploads nothing.
---@param model string
---@param input table  may contain files
---@return { credits: number, balance?: number, affordable?: boolean }|nil
---@return omni.Error|nil
function Call_methods:price(model, input)
  self.line:draw("asking what it costs ...")
  local price, problem = self.client:estimate(input, { model = model })
  if price and not price.balance then price.balance = self.client:balance() end -- older versions of the service return no balance
  if price and price.affordable == nil and price.balance then price.affordable = price.credits <= price.balance end
  self.line:clear()
  if problem and problem.code == "invalid_input" then require "omni.cli.input_problem"(self, model, problem) end
  return price, problem
end

---Uploads a file, and shows the result. During the upload, shows the upload's progress.
---@param path string
---@param content_type? string
---@return { url: string, bytes: integer, content_type: string, sha256: string, reused: boolean }|nil
---@return omni.Error|nil
function Call_methods:upload(path, content_type)
  local sent, problem = self.client:upload(path, { content_type = content_type })
  if not sent then return nil, problem end
  self:event("uploaded", {
    file = path, url = sent.url, bytes = sent.bytes, content_type = sent.content_type, sha256 = sent.sha256,
    reused = sent.reused,
  })
  return sent
end

-- --- opening

-- Returns an object that shows what a command is waiting for: as events with --json, otherwise drawn on a terminal or printed to stderr.
local function waits_of(called)
  return require("omni.cli.view.waits").new {
    now = require("omni.core").now, slow = called:draws() and 0 or nil,
    patience = function() return terminal.patience(called.given.json, 2) end,
    has_keys = function() return called.client and #called.client.all_keys or 1 end,
    find_users = function() return require "omni.cli.slot_users"(called.client) end,
    on_begin = function(wait)
      called:event("wait", called.waits:fields(wait))
      if not called:draws() and not called.given.json then called:message(called.waits:words(wait)) end
    end,
    on_over = function(wait, seconds) called:event("wait_over", called.waits:fields(wait, seconds)) end,
  }
end

-- Opens the client, or prints why it can't be opened.
local function open(given)
  local called = setmetatable({ given = given }, Call_mt)
  local function columns() return not given.json and terminal.columns(2) or nil end
  called.draws = function() return columns() ~= nil end
  called.waits = waits_of(called)
  called.line = require("omni.cli.view.status_line").open(io.stderr, columns, called.waits, require("omni.host").rows)
  local client, problem = require("omni").client {
    base_url = given.base_url, ledger = given.ledger, store = given.store,
    on_event = message.client_hook(function(warning) called:message(warning) end, called.waits),
  }
  if not client then
    message.print_error(problem)
    if problem.code == "no_key" then
      message.add "to try it without a key: give the command omni sandbox in another terminal, and here the commands that it prints"
    end
    return nil
  end
  called.client = client
  called.format = {
    columns = terminal.columns(), paint = require("omni.cli.view.text").painter(terminal.colour()), sandbox = client.is_sandbox,
  }
  return called
end

---Opens the client, and runs `body` in the event loop.
---@param given table
---@param body fun(called: omni.cli.Call, on_interrupt: fun(act: fun(leave: fun()))): integer  returns the exit code
---@param on_left? fun(called: omni.cli.Call): integer  called when a signal has ended the event loop; returns the exit code
---@return integer exit code  2 when the client can't be opened
function service_command.run(given, body, on_left)
  local called = open(given)
  if not called then return 2 end
  local client <close> = called.client -- luacheck: ignore 211
  local line <close> = called.line -- luacheck: ignore 211
  local code = signals.run(function(on_interrupt)
    local drawing <close> = line:start() -- luacheck: ignore 211
    local result = body(called, on_interrupt)
    called.waits:close()
    return result
  end)
  if code then return code end
  called.line:clear()
  if on_left then return on_left(called) end
  called:event("interrupted", {})
  called:message "interrupted"
  return 130
end

return service_command
