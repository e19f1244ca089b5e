-- SPDX-License-Identifier: MIT
-- `omni listen`: receives the service's callbacks until the user presses Ctrl-C. If the response to a submit was lost, a callback can still
-- identify the task that the submit created. `omni listen` also takes over the tasks of programs that have ended.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"
local receiver_options = require "omni.cli.receiver_options"

local command = { summary = "Receive callbacks and await the tasks of programs that have ended, until Ctrl-C." }

local default_address <const> = "127.0.0.1:8787"

function command.define(parser)
  receiver_options.define(parser, default_address)
  parser:option("--forward-to", "POST each accepted callback to this URL, too."):argname("URL")
  options.add_ledger(parser)
  options.add_store(parser)
  options.add_base_url(parser)
  parser:flag("--json", "Print JSON events, one per line.")
end

-- The messages for the receiver's events. An event that isn't listed means that a callback was refused.
local event_texts <const> = {
  accepted = "accepted", confirmed = "confirmed", settled = "found the task of a lost submit", forwarded = "forwarded",
  taken_over = "took over", recorded = "recorded the end", not_recorded = "can't be awaited", stored = "put into the store",
  not_stored = "isn't in the store",
}

local function line_of(event)
  local text = require "omni.cli.view.text"
  local parts = { os.date("%H:%M:%S"), event_texts[event.event] or "refused: " .. event.event:gsub("_", " ") }
  if event.task_id then parts[#parts + 1] = "task " .. text.clean(event.task_id) end
  if event.scene then parts[#parts + 1] = ('scene "%s"'):format(text.clean(event.scene)) end
  if event.state then parts[#parts + 1] = text.clean(event.state) end
  if event.status then parts[#parts + 1] = ("answered %d"):format(event.status) end
  if event.error then parts[#parts + 1] = text.problem(event.error) end
  return table.concat(parts, "  ")
end

-- Writes an event, without the callback's body, which may contain private data.
local function write(given, event)
  if given.json then return require("omni.cli.view.json_events").write("listen", event.event, event) end
  if event.event == "listening" then
    io.stdout:write(("listening; callback URLs begin with %s\n"):format(event.url))
  else
    io.stdout:write(line_of(event), "\n")
  end
  io.stdout:flush()
end

-- Sends a callback's body to the --forward-to URL in a POST request, and writes the result.
local function forward(webhook, given, event)
  local response, problem = webhook:post(given.forward_to, event.body, "application/json")
  write(given, { event = "forwarded", task_id = event.task_id, status = response and response.status, error = problem })
end

local function listen(given, client)
  local loop = require "omni.loop"
  local webhook <close> = given.forward_to and require("omni.http.webhook").open() or nil
  local receiver <close>, problem = receiver_options.open(given, client, function(event)
    write(given, event)
    if webhook and event.event == "accepted" then loop.background(forward, webhook, given, event) end
  end)
  if not receiver then return message.exit(1, problem) end
  write(given, { event = "listening", url = receiver.url })
  local ledger = client:ledger()
  local settled = require("omni.callbacks.receiver").settle_past_callbacks(client, ledger)
  if settled > 0 and not given.json then
    message.print(("%d submit(s) with a lost response have their task now, by earlier callbacks"):format(settled))
  end
  require("omni.client.orphans").watch(client, ledger, function(event) write(given, event) end)
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  given.listen = given.listen or default_address
  local misuse = receiver_options.misuse(given) or options.normalize_url(given, "forward_to")
  if misuse then return message.exit(2, misuse) end
  local client <close>, problem = require("omni").client {
    base_url = given.base_url, ledger = given.ledger, store = given.store, on_event = message.client_hook(message.print),
  }
  if not client then return message.exit(2, problem) end
  return require("omni.cli.signals").run(function() return listen(given, client) end) or 0 -- exit code 0, since Ctrl-C is the normal end
end

return command
