-- SPDX-License-Identifier: MIT
-- `omni trigger KIND --to URL`: sends a callback to your endpoint: either a callback that the service could send, or a faulty callback that
-- the service never sends. The callback is about a task that doesn't exist. `omni trigger` neither reads nor sends an API key.

local message = require "omni.cli.view.message"
local options = require "omni.cli.options"

local command = { summary = "Send a callback to your own endpoint, as the service would." }

local too_large <const> = 1024 * 1024 + 1 -- size in bytes of a body that omni's receiver refuses, since it accepts at most 1 MiB

-- `kinds` lists the kinds of callbacks; `plain` and `with_media` are sets of options that several kinds accept.
local plain <const>, with_media <const> = { task_id = true, wrapped = true }, { task_id = true, media = true, wrapped = true }
local kinds = {
  success = { about = "the task succeeded", status = "success", takes = with_media },
  failed = { about = "the task failed", status = "failed", takes = plain },
  running = { about = "the task is running", status = "running", takes = plain },
  pending = { about = "the task is pending", status = "pending", takes = plain },
  ["no-media"] = { about = "a success without a media URL", status = "success", media = {}, takes = plain },
  forged = { about = "a success for a task that nobody submitted", status = "success", takes = { media = true, wrapped = true } },
  garbage = { about = "an HTML page", takes = {}, body = function() return require("omni.sandbox.task_payload").garbage end },
  ["not-a-task"] = { about = "JSON that isn't a task", takes = {}, body = function() return '{"hello":"world"}' end },
  ["too-large"] = { about = "a success with a body of 1 MiB and one byte", status = "success", pad = too_large, takes = with_media },
}

local order = { "success", "failed", "running", "pending", "no-media", "forged", "garbage", "not-a-task", "too-large" }

function command.define(parser)
  local list = {}
  for i, name in ipairs(order) do list[i] = ("%s (%s)"):format(name, kinds[name].about) end
  parser:argument("kind", "What to send: " .. table.concat(list, ", ") .. "."):argname("KIND"):choices(order)
  parser:option("--to", "The endpoint."):argname("URL"):count(1)
  parser:option("--task-id", "The id of the task (default: a new one, which no task has)."):argname("ID")
  parser:option("--media", "The URL of the task's clip (default: https://example.com/clip.mp4)."):argname("URL")
  parser:flag("--wrapped", "Put the task into the envelope of the service's responses.")
  options.count(parser:option("--times", "POST it N times, one after another (default: 1)."):argname("N"))
  parser:flag("--json", "Print one line of JSON for each POST.")
end

-- Returns why the given options can't be combined, or nil if they can.
local function misuse(given)
  for _, name in ipairs { "task_id", "media", "wrapped" } do
    if given[name] and not kinds[given.kind].takes[name] then
      return ("--%s has no meaning with %s"):format(name:gsub("_", "-"), given.kind)
    end
  end
  if given.task_id and not require("omni.core").is_task_id(given.task_id) then
    return "--task-id: expected 1 to 256 printable ASCII characters without spaces"
  end
  return options.normalize_url(given, "to") or options.normalize_url(given, "media")
end

local function random_integer() return math.tointeger(tonumber("0x" .. require("omni.core").token(8))) end

-- Returns the callback's body, and the task id that the body contains, if any.
local function body_of(given)
  local kind, payload = kinds[given.kind], require "omni.sandbox.task_payload"
  if kind.body then return kind.body() end
  local id, now = given.task_id or require("omni.sandbox.random").uuid(random_integer), os.time()
  local final = kind.status == "success" or kind.status == "failed"
  local object = payload.task {
    id = id, model = "google/gemini-omni", input = '{"prompt":"omni trigger"}', callback_url = given.to, status = kind.status,
    created = now - 60, completed = final and now or nil, took = final and 60 or nil, credits = 40,
    clip = { seconds = 4, aspect_ratio = "16:9", resolution = "720p" },
    media = kind.media or { given.media or "https://example.com/clip.mp4" }, reason = "omni trigger says so",
  }
  if given.wrapped then object = payload.envelope { code = 200, message = "success", data = object } end
  local json = require("omni.json").text(object)
  return json .. (" "):rep((kind.pad or 0) - #json), id
end

-- Prints a line such as "success of task d696...: 200 in 3 ms". If the response's status isn't 2xx, the line also contains the response's
-- body. If there is no response, prints the reason to stderr.
local function write_line(event)
  local what = event.kind .. (event.task_id and " of task " .. event.task_id or "")
  if event.error then return message.print(what .. ": " .. require("omni.cli.view.text").problem(event.error)) end
  io.stdout:write(require("omni.core").format("%s: %d in %.0f ms%s\n", what, event.status,
    event.seconds * 1000, event.response and ": " .. event.response or ""))
  io.stdout:flush()
end

-- Sends the callback. Returns the exit code.
local function trigger(given)
  local core = require "omni.core"
  local webhook <close> = require("omni.http.webhook").open()
  local body, id = body_of(given)
  local code = 0
  for _ = 1, given.times or 1 do
    local event, start = { kind = given.kind, task_id = id }, core.now()
    local response, problem = webhook:post(given.to, body, "application/json")
    event.seconds, event.status, event.error = core.now() - start, response and response.status, problem
    local accepted = response and response.status >= 200 and response.status < 300
    if response and not accepted and response.text:find "%S" then event.response = core.clean(response.text:match "^%s*(.-)%s*$", 200) end
    if given.json then require("omni.cli.view.json_events").write("trigger", "trigger", event) else write_line(event) end
    if not accepted then code = 1 end
  end
  return code
end

---@param given table  the options, from argparse
---@return integer exit code
function command.run(given)
  local wrong = misuse(given)
  if wrong then return message.exit(2, wrong) end
  return require("omni.cli.signals").run(function() return trigger(given) end) or 130
end

return command
