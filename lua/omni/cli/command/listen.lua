-- SPDX-License-Identifier: MIT
-- `omni listen`: takes the service's callbacks until Ctrl-C, and settles with them what submits with lost answers left open.
--
-- Besides what omni offers to everybody it takes omni.post by name, to hand callbacks on.

local common = require "omni.cli.common"

local command = { summary = "Take the service's callbacks until Ctrl-C; settle what lost answers left open." }

function command.define(parser)
  common.add_receiver_options(parser, "127.0.0.1:8787")
  parser:option("--forward-to", "POST each accepted callback to this URL, too."):argname("URL")
  common.add_ledger_option(parser)
  parser:option("--base-url", "The service's base URL (default: CRUN_BASE_URL, else the service's own)."):argname("URL")
  parser:flag("--json", "One line of JSON an event.")
end

-- Words for people; what isn't among them is refused.
local said = { accepted = "accepted", confirmed = "confirmed", settled = "settled a lost answer", forwarded = "handed on" }

local function line_of(event)
  local text = require "omni.cli.view.text"
  local parts = { os.date("%H:%M:%S"), said[event.event] or "refused: " .. event.event:gsub("_", " ") }
  if event.task_id then parts[#parts + 1] = "task " .. text.clean(event.task_id) end
  if event.scene then parts[#parts + 1] = ('scene "%s"'):format(text.clean(event.scene)) end
  if event.state then parts[#parts + 1] = text.clean(event.state) end
  if event.status then parts[#parts + 1] = ("answered %d"):format(event.status) end
  if event.error then parts[#parts + 1] = text.problem(event.error) end
  return table.concat(parts, "  ")
end

local function writer(given)
  local json = require "omni.json"
  local shape = json.shape { "event", "time", "url?", "task_id?", "scene?", "state?", "status?", "error?" }
  local problem_shape = json.shape { "code", "message" }
  return function(event)
    if given.json then
      local bad = event.error
      io.stdout:write(json.printed(shape {
        event = event.event, time = os.time(), url = event.url, task_id = event.task_id, scene = event.scene, state = event.state,
        status = event.status, error = bad and problem_shape { code = bad.code, message = bad.message },
      }), "\n")
    elseif event.event == "listening" then
      io.stdout:write(("listening; callback URLs begin with %s\n"):format(event.url))
    else
      io.stdout:write(line_of(event), "\n")
    end
    io.stdout:flush()
  end
end

-- Hands a callback's body on, and says what came of it.
local function forward(sender, given, write, event)
  local answer, problem = sender:post(given.forward_to, event.body, "application/json")
  write { event = "forwarded", task_id = event.task_id, status = answer and answer.status, error = problem }
end

local function listen(given, client)
  local loop, write = require "omni.loop", writer(given)
  local sender <close> = given.forward_to and require("omni.http.webhook").open() or nil
  local receiver <close>, problem = common.open_receiver(given, client, function(event)
    local body = event.body
    event.body = nil -- is nobody's to see here
    write(event)
    if sender and event.event == "accepted" then
      loop.background(forward, sender, given, write, { task_id = event.task_id, body = body })
    end
  end)
  if not receiver then return common.tell(problem) or 1 end
  write { event = "listening", url = receiver.url }
  local settled = require("omni.callbacks.receiver").settle_heard(client, client:ledger())
  if settled > 0 and not given.json then common.say(("%d lost answer(s) settled that callbacks had named before"):format(settled)) end
  loop.park()
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  given.listen = given.listen or "127.0.0.1:8787"
  local misuse = common.receiver_misuse(given) or common.normalize_url(given, "forward_to")
  if misuse then return common.say(misuse) or 2 end
  local client <close>, problem = require("omni").client {
    base_url = given.base_url, ledger = given.ledger, on_warning = function(warning) common.say(warning) end,
  }
  if not client then return common.tell(problem) or 2 end
  local code, failure = common.in_loop(function() return listen(given, client) end)
  if failure then error(failure, 0) end
  return code or 0 -- Ctrl-C is how it is meant to end
end

return command
