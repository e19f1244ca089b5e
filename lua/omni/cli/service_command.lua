-- SPDX-License-Identifier: MIT
-- What the commands that ask the service share: their options, the client, how they tell of what they do, in words or as JSON, and how
-- they end.
--
-- Besides what omni offers to everybody it hears of each try that is made again: who asks a service that can't be reached would wait
-- for two minutes in silence.

local common = require "omni.cli.common"

local call = {}

---Adds the options that say which service, which ledger, and how it is told.
---@param parser table       argparse's
---@param no_ledger? boolean  the command has nothing to do with one
function call.define(parser, no_ledger)
  if not no_ledger then common.add_ledger_option(parser, "with a sandbox's key: none") end
  parser:option("--base-url", "The service's base URL (default: CRUN_BASE_URL, else the service's own)."):argname("URL")
  parser:flag("--json", "One JSON object a line on stdout.")
end

-- The fields of each event, after `event` and `time`; docs/cli.md says what they mean.
local fields = {
  balance = { "balance?", "keys" },
  error = { "task_id?", "file?", "error" },
  estimate = { "model", "credits?", "balance?", "affordable?", "error?" },
  fetched = { "task_id", "index", "file", "bytes", "made" },
  interrupted = { "task_id?" },
  model = { "model" },
  models = { "models" },
  submitted = { "task_id", "model", "estimate?" },
  task = {
    "task_id", "status?", "model?", "created_at?", "completed_at?", "duration?", "credits?", "reserved_credits?", "media?", "error?",
    "raw?",
  },
  template = { "platform", "template" },
  uploaded = { "file", "url", "bytes", "content_type", "sha256", "reused" },
}

-- --- one call of a command

---@class omni.cli.Call
---@field given table            what argparse found
---@field client omni.Client
---@field line omni.cli.Line     on stderr; nothing with --json
---@field manner table           for omni.cli.table: the columns of the terminal behind stdout, its colours; and `sandbox`: play credits
local Call_methods = {}
local Call_mt = { __name = "omni.cli.call", __index = Call_methods }

---Tells of an event, where it is told as JSON.
---@param name string
---@param values table
function Call_methods:event(name, values)
  if not self.given.json then return end
  local json = require "omni.json"
  local shape = json.shape(table.move(fields[name], 1, #fields[name], 3, { "event", "time" }))
  values.event, values.time = name, os.time()
  values.error = values.error and require("omni.cli.view.run_progress").problem_of(values.error)
  io.stdout:write(json.printed(shape(values)), "\n")
  io.stdout:flush()
end

---Writes lines to stdout, where it isn't told as JSON.
---@param lines string[]
function Call_methods:print(lines)
  if self.given.json then return end
  self.line:clear()
  for _, line in ipairs(lines) do io.stdout:write(line, "\n") end
  io.stdout:flush()
  self.printed = true
end

---The same for lines that belong together: a blank one keeps them apart from what was there before.
---@param lines string[]
function Call_methods:print_block(lines)
  if self.printed then table.insert(lines, 1, "") end
  self:print(lines)
end

---Writes a line to stderr, where it isn't told as JSON: what is good to know, and no result.
---@param line string  cleaned
function Call_methods:note(line)
  if self.given.json then return end
  self.line:clear()
  io.stderr:write(line, "\n")
end

---Writes lines to stderr, the first after "omni: ".
---@param message string  cleaned
---@param ... string
function Call_methods:say(message, ...)
  self.line:clear()
  common.say(message, ...)
end

---Tells what went wrong: on stderr, and as an event.
---@param problem omni.Error
---@param file? string  the file that it is about
---@return integer exit code  2 for what can't be used, else 1
function Call_methods:fail(problem, file)
  self:event("error", { task_id = problem.task_id, file = file, error = problem })
  self.line:clear()
  common.tell(problem)
  return problem.code == "invalid_input" and 2 or 1
end

---What a submit of this input would cost; nothing is uploaded for that.
---@param model string
---@param input table  may hold files
---@return { credits: number, balance?: number, affordable?: boolean }|nil
---@return omni.Error|nil
function Call_methods:price(model, input)
  self.line:draw("asking what it costs ...")
  local price, problem = self.client:estimate(input, { model = model })
  if price and not price.balance then price.balance = self.client:balance() end -- the older form of the call doesn't tell it
  if price and price.affordable == nil and price.balance then price.affordable = price.credits <= price.balance end
  self.line:clear()
  return price, problem
end

---Uploads a file, shows how it goes, and tells of it.
---@param path string
---@param content_type? string
---@return { url: string, bytes: integer, content_type: string, sha256: string, reused: boolean }|nil
---@return omni.Error|nil
function Call_methods:upload(path, content_type)
  local paths = require "omni.file.path"
  local meter = require("omni.cli.view.transfer").meter(paths.name(path), require("omni.core").now)
  local live <close> = self.line:live(function(columns) return meter:words(columns) end) -- luacheck: ignore 211
  local sent, problem = self.client:upload(path, {
    content_type = content_type, on_progress = function(bytes, total) meter:progress(bytes, total) end,
  })
  if not sent then return nil, problem end
  self:event("uploaded", {
    file = path, url = sent.url, bytes = sent.bytes, content_type = sent.content_type, sha256 = sent.sha256,
    reused = sent.reused,
  })
  return sent
end

-- --- opening

-- Returns a function that reports each reason for a retry once.
local function report_retries(called)
  local reported = {}
  return function(problem)
    if reported[problem.message] then return end
    reported[problem.message] = true
    called:say(require("omni.cli.view.text").problem(problem) .. "; trying again")
  end
end

-- Opens what the options name, and reports what can't be opened.
local function open(given)
  local called = setmetatable({ given = given }, Call_mt)
  called.line = require("omni.cli.view.status_line").open(io.stderr, function()
    return not given.json and common.drawing_columns(2) or nil
  end)
  local client, problem = require("omni").client {
    base_url = given.base_url, ledger = given.ledger,
    on_warning = function(warning) called:say(require("omni.core").clean(warning)) end, on_retry = report_retries(called),
  }
  if not client then return common.tell(problem) end
  called.client = client
  called.manner = {
    columns = common.drawing_columns(), paint = require("omni.cli.view.text").painter(common.wants_colour()), sandbox = client.is_sandbox,
  }
  return called
end

---Opens the client and runs `body` in the loop.
---@param given table
---@param body fun(called: omni.cli.Call, on_interrupt: fun(act: fun(leave: fun()))): integer  answers the exit code
---@param on_left? fun(called: omni.cli.Call): integer  tells that it was left because of a signal
---@return integer exit code  2 when nothing can be opened
function call.run(given, body, on_left)
  local called = open(given)
  if not called then return 2 end
  local client <close> = called.client -- luacheck: ignore 211
  local code, failure = common.in_loop(function(on_interrupt) return body(called, on_interrupt) end)
  called.line:clear()
  if failure then error(failure, 0) end
  if code then return code end
  if on_left then return on_left(called) end
  called:event("interrupted", {})
  called:say "interrupted"
  return 130
end

return call
