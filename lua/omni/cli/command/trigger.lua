-- SPDX-License-Identifier: MIT
-- `omni trigger KIND --to URL`: POSTs to one's own endpoint what the service would, or shouldn't. No key is read, none is sent.
--
-- Beside what omni offers to everybody it takes the sandbox's payload and omni.post by name: there is no task behind what it says.

local common = require "omni.cli.common"

local command = { summary = "Send a callback to your own endpoint, as the service would." }

local too_large <const> = 1024 * 1024 + 1 -- bytes; a receiver of omni's takes 1 MiB

-- What can be sent, each with the options that it takes.
local plain <const>, with_media <const> = { task_id = true, wrapped = true }, { task_id = true, media = true, wrapped = true }
local kinds = {
  success = { about = "the task succeeded", status = "success", takes = with_media },
  failed = { about = "the task failed", status = "failed", takes = plain },
  running = { about = "the task runs", status = "running", takes = plain },
  pending = { about = "the task waits", status = "pending", takes = plain },
  ["no-media"] = { about = "it succeeded, and has no media URL", status = "success", media = {}, takes = plain },
  forged = { about = "a success of a task that nobody submitted", status = "success", takes = { media = true, wrapped = true } },
  garbage = { about = "an HTML page", takes = {}, body = function() return require("omni.sandbox.task_payload").garbage end },
  ["not-a-task"] = { about = "JSON that is no task", takes = {}, body = function() return '{"hello":"world"}' end },
  ["too-large"] = { about = "a success of 1 MiB and a byte", status = "success", pad = too_large, takes = with_media },
}

local order = { "success", "failed", "running", "pending", "no-media", "forged", "garbage", "not-a-task", "too-large" }

function command.define(parser)
  local list = {}
  for i, name in ipairs(order) do list[i] = ("%s (%s)"):format(name, kinds[name].about) end
  parser:argument("kind", "What is sent: " .. table.concat(list, ", ") .. "."):argname("KIND"):choices(order)
  parser:option("--to", "The endpoint."):argname("URL"):count(1)
  parser:option("--task-id", "The task that it is about (default: one that nobody has)."):argname("ID")
  parser:option("--media", "Where the task's clip is (default: https://example.com/clip.mp4)."):argname("URL")
  parser:flag("--wrapped", "In the envelope of the service's answers.")
  common.count(parser:option("--times", "How often, one after another (default: 1)."):argname("N"))
  parser:flag("--json", "One line of JSON a POST.")
end

-- Says what is wrong with the options, or nil.
local function misuse(given)
  local core = require "omni.core"
  for _, name in ipairs { "task_id", "media", "wrapped" } do
    if given[name] and not kinds[given.kind].takes[name] then
      return ("--%s means nothing with %s"):format(name:gsub("_", "-"), given.kind)
    end
  end
  local wrong = common.normalize_url(given, "to") or common.normalize_url(given, "media")
  if wrong then return wrong end
  if given.task_id and not core.is_task_id(given.task_id) then
    return "--task-id: 1 to 256 printable ASCII characters without spaces are due"
  end
end

local function random_integer() return math.tointeger(tonumber("0x" .. require("omni.core").token(8))) end

-- What is POSTed, and the id of the task that it names, if it does.
local function body_of(given)
  local kind, json, payload = kinds[given.kind], require "omni.json", require "omni.sandbox.task_payload"
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
  local text = json.text(object)
  return text .. (" "):rep((kind.pad or 0) - #text), id
end

-- "success of task d696...: 200 in 3 ms", with what the endpoint said when that isn't 2xx; on stderr when there was no answer.
local function write_line(event)
  local text = require "omni.cli.view.text"
  local what = event.kind .. (event.task_id and " of task " .. event.task_id or "")
  if event.error then return common.say(what .. ": " .. text.problem(event.error)) end
  io.stdout:write(require("omni.core").format("%s: %d in %.0f ms%s\n", what, event.status,
    event.seconds * 1000, event.said and ": " .. event.said or ""))
  io.stdout:flush()
end

local function write_json(event)
  local json = require "omni.json"
  local bad = event.error
  event.error = bad and json.shape { "code", "message" } { code = bad.code, message = require("omni.cli.view.text").clean(bad.message) }
  local shape = json.shape { "event", "time", "kind", "task_id?", "status?", "seconds", "said?", "error?" }
  io.stdout:write(json.printed(shape(event)), "\n")
  io.stdout:flush()
end

local function trigger(given)
  local core = require "omni.core"
  local sender <close> = require("omni.http.webhook").open()
  local body, id = body_of(given)
  local code, write = 0, given.json and write_json or write_line
  for _ = 1, given.times or 1 do
    local event = { event = "trigger", time = os.time(), kind = given.kind, task_id = id }
    local began = core.now()
    local answer, problem = sender:post(given.to, body, "application/json")
    event.seconds, event.status, event.error = core.now() - began, answer and answer.status, problem
    local fine = answer and answer.status >= 200 and answer.status < 300
    if answer and not fine and answer.text:find "%S" then event.said = core.clean(answer.text:match "^%s*(.-)%s*$", 200) end
    write(event)
    if not fine then code = 1 end
  end
  return code
end

---@param given table  what argparse found
---@return integer exit code
function command.run(given)
  local wrong = misuse(given)
  if wrong then return common.say(wrong) or 2 end
  local code, failure = common.in_loop(function() return trigger(given) end)
  if failure then error(failure, 0) end
  return code or 130
end

return command
