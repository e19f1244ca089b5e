-- SPDX-License-Identifier: MIT
-- Short uses of omni. Each scenario is { name, act, before?, after?, targets? }: faults happen only during `act`. All three get the same
-- table `s` (spec.torture.Scenario in run.lua). `act` returns a true value, or nil and an error; it may raise. `after`, by default a
-- question to the service, must succeed.

local cjson = require "cjson"
local core = require "omni.core"
local env = require "helper.env"
local film = require "omni.film"
local omni = require "omni"
local orphans = require "omni.client.orphans"
local socket = require "socket"

local all = {}

local function add(name, scenario)
  scenario.name = name
  all[#all + 1] = scenario
end

-- --- the client

local function open(s)
  s.client = assert(s:new_client())
  assert(s.client:ledger():ask "version") -- reading the schema takes a thousand allocations; the scenario "ledger_open" tries those
end

-- Closes the scenario's client. The check after the scenario opens another one, even if memory runs out while this one is closed.
local function close_client(s)
  local client = s.client
  s.client = nil
  client:close()
end

add("client_open_close", { act = function(s)
  local client = assert(s:new_client())
  client:keys()
  client:close()
  return true
end })
add("client_two_keys", { act = function(s)
  local other = s.key:sub(1, -2) .. (s.key:sub(-1) == "0" and "1" or "0")
  local client <close> = assert(s:new_client { api_key = false, keys = { { key = s.key }, { key = other } } })
  return #client:keys() == 2
end })
add("balance", { before = open, act = function(s) return s.client:balance() end })
add("balance_first", { act = function(s)
  s.client = assert(s:new_client())
  return s.client:balance()
end })
add("balances", { before = open, act = function(s)
  local found, problem = s.client:balances()
  return found and found[1].balance, found and found[1].error or problem
end })
add("models", { before = open, act = function(s) return s.client:models() end })
add("model", { before = open, act = function(s) return s.client:model "google/gemini-omni" end })
add("estimate", { before = open, act = function(s) return s.client:estimate { prompt = "x", duration = 4 } end })
add("call", { before = open, act = function(s) return s.client:call("GET", "/api/v1/client/account/balance") end })
add("client_hook", { before = function(s)
  s.client = s:new_client { on_event = function(event) s.events[#s.events + 1] = event end }
end, act = function(s) return s.client:balance() end })

-- --- submits

local function submit(s, opts, prompt) return s.client:submit({ prompt = s:prompt(prompt), duration = 4 }, opts) end
local function submit_after(s)
  if not s.client or s.client.closed then s.client = s:new_client() end
  local task = assert(s.client:submit({ prompt = s:prompt "after", duration = 4 }))
  assert(task:refresh())
end

add("submit", { before = open, act = submit, after = submit_after })
add("submit_first", { act = function(s)
  s.client = assert(s:new_client { ledger = s:file "new/folder/ledger.db" })
  return submit(s)
end })
add("submit_idempotent", { before = open, act = function(s)
  local task, problem = submit(s, { idempotency_key = s:prompt "key" })
  if not task then return nil, problem end
  return submit(s, { idempotency_key = s:prompt "key" })
end, after = function(s) -- the same key once more: never a second task
  local task, problem = submit(s, { idempotency_key = s:prompt "key" })
  assert(task or problem.code == "submit_unknown" or problem.code == "ledger_failed", problem)
end })
add("submit_tagged_found", { before = open, act = function(s)
  local task, problem = submit(s, { tag = "order" })
  if not task then return nil, problem end
  return s.client:find { tag = "order" }
end, after = submit_after })
add("submit_two", { before = open, act = function(s)
  local fibers = {}
  for i = 1, 2 do fibers[i] = omni.spawn(function() return submit(s, nil, i) end) end
  for _, fiber in ipairs(fibers) do
    local task, problem = fiber:join()
    if not task then return nil, problem end
  end
  return true
end, after = submit_after })
add("submit_refused", { before = open, act = function(s)
  local task, problem = s.client:submit({ prompt = s:prompt() }, { model = "google/no-such-model" })
  if not task and problem.code ~= "network" and not tostring(problem):find "memory" then return true end
  return task, problem
end, after = submit_after })
add("submit_client_closed", { before = open, act = function(s)
  local fiber = omni.spawn(submit, s)
  omni.sleep(0.002)
  close_client(s)
  local fine = fiber:join()
  return fine or true
end })
add("submit_cancelled", { before = open, act = function(s)
  local fiber = omni.spawn(submit, s)
  omni.sleep(0.003)
  fiber:cancel()
  return true
end, after = submit_after })
add("submit_timeout", { before = open, act = function(s)
  local task, problem = submit(s, { timeout = 0.003 })
  return task or problem.code == "timeout" or problem.code == "submit_unknown", problem
end, after = submit_after })
add("submit_without_ledger", { before = function(s) s.client = s:new_client { ledger = false } end, act = submit, no_ledger = true })

-- --- tasks

local function open_with_task(s)
  open(s)
  s.task = assert(submit(s))
end
local function open_with_result(s)
  open_with_task(s)
  assert(s.task:await())
end

add("query", { before = open_with_task, act = function(s) return s.client:query(s.task.id) end })
add("refresh", { before = open_with_task, act = function(s) return s.task:refresh() end })
add("query_unknown_task", { before = open, act = function(s)
  local task, problem = s.client:query "d6956973-2f17-43d4-8514-af6cc3a2f55d"
  return task or problem.code == "not_found", problem
end })
add("await", { before = open_with_task, act = function(s) return s.task:await() end })
add("await_timeout", { before = open_with_task, act = function(s)
  local task, problem = s.task:await { timeout = 0.001 }
  return task or problem.code == "timeout", problem
end, after = function(s)
  local task, problem = s.task:await()
  -- the poller's query may have run out of memory before
  if not task and tostring(problem):lower():find "memory" then task, problem = s.task:await() end
  assert(task, problem)
end })
add("await_client_closed", { before = open_with_task, act = function(s)
  local fiber = omni.spawn(s.task.await, s.task)
  omni.sleep(0.001)
  close_client(s)
  fiber:join()
  return true
end })
add("unfinished", { before = open_with_task, act = function(s)
  local count = 0
  for _ in s.client:unfinished() do count = count + 1 end
  return count == 1
end })
add("callback_server", { act = function(s)
  open(s)
  local receiver, problem = omni.callbacks { client = s.client, listen = "127.0.0.1:0", poll = 0.2 }
  if not receiver then return nil, problem end
  s.receiver = receiver
  local task
  task, problem = submit(s)
  if not task then return nil, problem end
  return task:await()
end, after = function(s)
  if s.receiver then s.receiver:close() end
  submit_after(s)
end })
add("callback_handled", { before = function(s)
  open(s)
  s.receiver = assert(omni.callbacks { client = s.client, listen = false, public_url = "http://127.0.0.1:9/", poll = 0.2 })
  s.task = assert(submit(s))
end, act = function(s)
  s.receiver:handle("POST", "/nothing", {}, "{}")
  local status = s.receiver:handle("POST", "/" .. ("a"):rep(32), { ["content-type"] = "application/json" }, s.callback_body(s.task.id))
  if not status then return nil, "no status" end
  return s.task:await()
end })
add("callback_parsed", { act = function(s) return omni.parse_callback(s.callback_body "d6956973-2f17-43d4-8514-af6cc3a2f55d") end })

-- --- files

local PNG <const> = "\x89PNG\r\n\x1A\n"

local function picture(s)
  open(s)
  s.picture = env.write(s:file "picture.png", PNG .. s:prompt() .. ("p"):rep(5000))
end
add("upload", { before = picture, act = function(s) return s.client:upload(s.picture) end })
add("upload_closed", { before = picture, act = function(s)
  local fiber = omni.spawn(s.client.upload, s.client, s.picture)
  omni.sleep(0.002)
  close_client(s)
  fiber:join()
  return true
end })
add("submit_with_file", { before = picture, act = function(s)
  return s.client:submit { prompt = s:prompt(), duration = 4, img_urls = { omni.file(s.picture) } }
end, after = submit_after })
-- Checks that the file at `path`, if there is one, is whole.
local function check_saved(s)
  assert(s.task:save(s:file "whole.mp4"))
  local whole, saved = env.read(s:file "whole.mp4"), env.read(s:file "clip.mp4")
  assert(not saved or saved == whole, "the saved file is broken")
end
add("save", { before = open_with_result, act = function(s) return s.task:save(s:file "clip.mp4") end, after = check_saved })
local function open_with_store(s)
  if not core.stat(s:file "store") then assert(core.make_directory(s:file "store")) end
  s.client = assert(s:new_client { store = s:file "store" })
  assert(s.client:ledger():ask "version")
end
add("save_into_store", { before = function(s)
  open_with_store(s)
  s.task = assert(assert(submit(s)):result())
end, act = function(s) return s.task:save(s:file "clip.mp4") end, after = check_saved })
add("save_from_store", { before = function(s)
  open_with_store(s)
  s.task = assert(assert(submit(s)):result())
  os.remove(assert(s.task:save(s:file "clip.mp4")))
end, act = function(s) return s.task:save(s:file "clip.mp4") end, after = check_saved })
add("orphan_taken_over", { before = function(s)
  open_with_task(s)
  s.client:close() -- its session ends, so its task is orphaned
  open_with_store(s)
end, act = function(s)
  local seen, last = {}, nil
  local watching <close> = omni.spawn(orphans.watch, s.client, s.client:ledger(), function(event)
    seen[event.event], last = true, event
  end)
  local deadline = core.now() + env.seconds(10)
  while not (seen.stored or seen.not_stored or seen.not_recorded or watching:done() or #s.errors > 0) do
    if core.now() > deadline then return nil, "nothing happens" end
    omni.sleep(0.005)
  end
  if watching:done() then watching:join() end
  return seen.stored, last and last.error or s.errors[1] or "not enough memory"
end, after = function(s)
  s.client:close()
  open_with_store(s)
  local task = assert(s.client:task(s.task.id))
  assert(task:result())
  assert(task:save(s:file "clip.mp4"))
  s.task = task
  check_saved(s)
end })
-- Doesn't send the request: libcurl sends a wrong signature if memory runs out while it signs.
add("signed_request", { act = function(s)
  local http <close> = core.client {
    sign_url = s.url .. "/", sign_region = "r", sign_access_key = "a", sign_secret_key = "b", sign_token = "c",
  }
  local exchange <close> = http:request("me", "POST", s.url .. "/nothing?x=", "body", core.sha256 "body")
  return exchange ~= nil
end })
add("save_twice", { before = open_with_result, act = function(s)
  local path, problem = s.task:save(s:file "clip.mp4")
  if not path then return nil, problem end
  return s.task:save(s:file "clip.mp4")
end, after = check_saved })
add("save_client_closed", { before = open_with_result, act = function(s)
  local fiber = omni.spawn(s.task.save, s.task, s:file "clip.mp4")
  omni.sleep(0.001)
  close_client(s)
  fiber:join()
  return true
end })
add("save_cancelled", { before = open_with_result, act = function(s)
  local fiber = omni.spawn(s.task.save, s.task, s:file "clip.mp4")
  omni.sleep(0.002)
  fiber:cancel()
  return true
end, after = check_saved })
add("digest", { before = picture, act = function(s) return s.client:ledger():digest(s.picture) end })

-- --- the ledger's verbs

-- Runs a verb. Waits without a poll set of omni's, which would fail, too.
local function ask(handle, verb, params)
  handle:start(verb, verb, params)
  while true do
    local found
    for owner, rows, failure in handle.finished, handle do -- to its end: otherwise the last result comes again
      if owner == verb then found = { rows, failure } end
    end
    if found then return found[1], found[2] end
    socket.sleep(0.0005)
  end
end
local function ledger_after(s)
  s.ledger = s.ledger or s:open_ledger()
  assert(ask(s.ledger, "open"))
end
local function ledger_open(s)
  s.ledger = s:open_ledger()
  ledger_after(s)
end

-- Runs verbs in order: { verb, parameters }. A parameter `id` of 0 stands for the id in the last row.
local function verbs(list)
  return { before = ledger_open, after = ledger_after, no_loop = true, act = function(s)
    local id
    for _, one in ipairs(list) do
      local params = {}
      for name, value in pairs(one[2] or {}) do params[name] = value == 0 and id or value end
      local rows, problem = ask(s.ledger, one[1], params)
      if not rows then return nil, problem end
      id = rows[1] and rows[1].id or id
    end
    return true
  end }
end

local intent <const> = { "intend", { account = "a", service = "s", model = "m", input = "{}", identity = "i", board = "b", scene = "c",
  base = "base", take = 1, estimate = 3, budget = 100, in_flight = 5, token = "t", tag = "tag", idempotency_key = "key" } }
add("ledger_open", { no_loop = true, act = function(s)
  s.ledger = s:open_ledger "fresh.db"
  return ask(s.ledger, "version")
end, after = ledger_after })
add("ledger_open_close", { no_loop = true, act = function(s)
  local ledger = s:open_ledger()
  ledger:close()
  return true
end })
add("ledger_accept", verbs { intent, { "accept", { id = 0, task_id = "x" } }, { "status", { id = 0, status = "running" } },
  { "finish", { id = 0, state = "success", credits = 3, media = 1 } }, { "row", { id = 1 } } })
add("ledger_refuse", verbs { intent, { "refuse", { id = 0, error = "e", message = "m" } },
  { "retry", { id = 0, account = "a", identity = "i", service = "s" } }, { "accept", { id = 0, task_id = "x" } } })
add("ledger_unknown", verbs { intent, { "mark_unknown", { id = 0, error = "e", message = "m" } }, { "adopt", { id = 0, task_id = "x" } },
  { "forget", { id = 0 } }, { "adopt_lost", { account = "a", service = "s", identity = "j", model = "m", input = "{}", task_id = "y" } } })
add("ledger_files", verbs { intent, { "accept", { id = 0, task_id = "x" } }, { "finish", { id = 0, state = "success" } },
  { "remember_file", { id = 0, number = 1, path = "p", sha256 = "s", size = 1 } }, { "files", { submit = 1 } },
  { "to_fetch", {} }, { "to_fetch_of_board", { board = "b" } },
  { "remember_digest", { path = "p", stamp = "s", sha256 = "x", size = 1 } }, { "digest", { path = "p" } },
  { "remember_upload", { account = "a", sha256 = "x", url = "u" } }, { "upload", { account = "a", sha256 = "x" } },
  { "remember_film", { path = "p", identity = "i", sha256 = "x" } }, { "film", { path = "p" } }, { "films_in", { folder = "f" } } })
add("ledger_searches", verbs { intent, { "by_identity", { identity = "i", service = "s" } }, { "by_tag", { tag = "tag", after = 0 } },
  { "live_with_key", { idempotency_key = "key" } }, { "spent", {} },
  { "spent_of_board", { board = "b" } }, { "in_flight", { account = "a" } }, { "by_token", { token = "t" } },
  { "latest_take", { base = "base", service = "s" } }, { "begin_redo", { board = "b", base = "base" } },
  { "take_since_redo", { board = "b", base = "base" } }, { "end_redo", { board = "b" } }, { "durations", { model = "m" } } })
add("ledger_jobs", verbs {
  { "add_job", { service = "s", board = "b.lua", title = "T", manifest = "{}", budget = 5, scenes = 2 } },
  { "take_job", { service = "s", worker = "w" } }, { "job", { id = 0 } }, { "keep_job", { id = 0, scenes = 2, finished = 1 } },
  { "end_job", { id = 0, state = "waiting", error = "network", message = "m" } }, { "take_job", { service = "s", worker = "w" } },
  { "end_job", { id = 0, state = "done", film = "f", result = "[]", finished = 2 } }, { "jobs", { after = 0 } } })
add("ledger_closed_busy", { before = ledger_open, no_loop = true, act = function(s)
  for i = 1, 5 do s.ledger:start("o" .. i, intent[1], { account = "a", model = "m", input = "{}", identity = "i" .. i }) end
  s.ledger:close()
  local owners = 0
  for _ in s.ledger.finished, s.ledger do owners = owners + 1 end
  s.ledger = nil
  return owners == 5
end })

-- --- a ledger in PostgreSQL, which all children share

-- Returns a submit of this child alone.
local function intent_of(s)
  local params = {}
  for name, value in pairs(intent[2]) do params[name] = type(value) == "string" and name ~= "input" and s.name .. value or value end
  return params
end

-- What was reported must be in the ledger. A submit that failed may not stay live: nothing was sent.
local function database_after(s)
  s.ledger = s.ledger or s:open_database()
  local rows = assert(ask(s.ledger, "by_identity", { identity = s.name .. "i", service = s.name .. "s" }))
  local state = rows[1] and rows[1].state or "none"
  local wanted = s.said or "none"
  local fits = state == wanted or s.tried == state or wanted == "none" and state == "refused"
  assert(fits, ("the row's state is %s after %s%s"):format(state, wanted, s.tried and ", tried: " .. s.tried or ""))
end

-- Runs verbs on this child's submit: { verb, parameters, the state that it reports }.
local function database_verbs(list)
  return { postgresql = true, no_ledger = true, no_loop = true, after = database_after, before = function(s)
    s.ledger = s:open_database()
    assert(ask(s.ledger, "version"))
  end, act = function(s)
    local params, id = intent_of(s), nil
    for i, one in ipairs(list) do
      s.tried = one[3] -- stays if Lua runs out of memory, so that nobody has seen the verb's result
      if i > 1 then
        params = one.is_of_service and { service = s.name .. "s" } or { id = id }
        for name, value in pairs(one[2] or {}) do params[name] = value end
      end
      local rows, problem = ask(s.ledger, one[1], params)
      if not rows then
        if i == 1 then s.tried = nil end
        return nil, problem
      end
      id, s.said, s.tried = id or rows[1].id, one[3] or s.said, nil
    end
    return true
  end }
end

add("database_open", { postgresql = true, no_ledger = true, no_loop = true, after = database_after, act = function(s)
  s.ledger = s:open_database()
  return ask(s.ledger, "version")
end })
add("database_open_close", { postgresql = true, no_ledger = true, no_loop = true, after = database_after, act = function(s)
  local ledger <close> = s:open_database()
  local rows, problem = ask(ledger, "version")
  return rows, problem
end })
add("database_intend", database_verbs { { "intend", {}, "intended" } })
add("database_accept", database_verbs { { "intend", {}, "intended" }, { "accept", { task_id = "x" }, "accepted" },
  { "finish", { state = "success", credits = 3, media = 1 }, "success" },
  { "remember_file", { number = 1, path = "p", sha256 = "s", size = 1 } }, { "row" } })
add("database_refuse", database_verbs { { "intend", {}, "intended" }, { "refuse", { error = "e", message = "m" }, "refused" } })
add("database_claim", database_verbs { { "intend", {}, "intended" }, { "accept", { task_id = "x" }, "accepted" },
  { "claim", { task_ids = "x\ny" }, is_of_service = true }, { "orphaned", { after = 0 }, is_of_service = true },
  { "release", { task_ids = "x\ny" }, is_of_service = true }, { "claim", { task_ids = "x" }, is_of_service = true } })
add("database_job", { postgresql = true, no_ledger = true, no_loop = true, before = function(s)
  s.ledger = s:open_database()
  s.job = assert(ask(s.ledger, "add_job", { service = s.name, board = "b", manifest = "{}", budget = 5 }))[1].id
end, act = function(s)
  local rows, problem = ask(s.ledger, "take_job", { service = s.name, worker = "w" })
  if rows then rows, problem = ask(s.ledger, "keep_job", { id = s.job, finished = 1 }) end
  if rows then rows, problem = ask(s.ledger, "end_job", { id = s.job, state = "done" }) end
  return rows, problem
end, after = function(s) -- whatever was reported, the job belongs to this session, or nobody, or is over
  s.ledger = s.ledger or s:open_database()
  local taken = assert(ask(s.ledger, "take_job", { service = s.name, worker = "w" }))
  if not taken[1] then assert(ask(s.ledger, "end_job", { id = s.job, state = "done" })) end
  local state = assert(ask(s.ledger, "job", { id = s.job }))[1].state
  assert(state == "done" or state == "running", state)
end })
add("database_close_busy", { postgresql = true, no_ledger = true, no_loop = true, act = function(s)
  local ledger = s:open_database()
  for i = 1, 3 do ledger:start("o" .. i, "intend", { account = s.name, model = "m", input = "{}", identity = s.name .. i }) end
  ledger:close()
  local owners = 0
  for _ in ledger.finished, ledger do owners = owners + 1 end
  return owners == 3
end, after = function(s)
  s.ledger = s.ledger or s:open_database()
  assert(ask(s.ledger, "open"))
end })

-- --- boards

-- Instead of ffmpeg, which takes most of a board's time.
film.cut = function(given)
  env.write(given.output, env.read(given.clips[1].path))
  return { path = given.output, seconds = #given.clips, copied = true }
end
film.poster = function(_, path) return env.write(path, "poster") end

local function board(s)
  open(s)
  s.board = omni.storyboard { title = "x", defaults = { duration = 4 }, omni.scene "a" { prompt = s:prompt "a" },
    omni.scene "b" { prompt = s:prompt "b" } }
  s.given = { client = s.client, directory = s:file "out", yes = true }
end
local function run(s)
  local summary, problem = omni.run_storyboard(s.board, s.given)
  if not summary then return nil, problem end
  for _, scene in ipairs(summary.scenes) do
    if scene.error then return nil, scene.error end
  end
  if summary.film_error or summary.report_error then return nil, summary.film_error or summary.report_error end
  return summary
end
-- Runs the board once more: scenes that are known to be accepted are never paid again.
local function run_again(s)
  s.given.resubmit = nil
  local summary = assert(omni.run_storyboard(s.board, s.given))
  assert(#summary.scenes == 2)
end
add("board_load", { before = function(s)
  env.write(s:file "board.lua", [[
    return storyboard { title = "x", scene "a" { prompt = "y" }, scene "b" { prompt = "z", continues = "a" } }
  ]])
end, act = function(s) return omni.load_storyboard(s:file "board.lua") end })
add("board_plan", { before = board, act = function(s)
  return omni.plan_storyboard(s.board, { client = s.client, directory = s:file "out" })
end })
add("board_run", { before = board, act = run, after = run_again })
add("board_run_again", { before = function(s)
  board(s)
  assert(run(s))
end, act = run, after = run_again })
add("board_run_cancelled", { before = board, act = function(s)
  local fiber = omni.spawn(run, s)
  omni.sleep(0.02)
  fiber:cancel()
  return true
end, after = run_again })
add("board_run_interrupted", { before = board, act = function(s)
  s.given.on_event = function() if s.run then s.run:interrupt() end end
  s.given.on_start = function(started) s.run = started end
  local summary, problem = omni.run_storyboard(s.board, s.given)
  s.given.on_event, s.given.on_start, s.run = nil, nil, nil
  return summary, problem
end, after = run_again })
add("adopt_task", { before = function(s)
  board(s)
  local other <close> = s:new_client { ledger = false } -- its rows are lost
  s.task = assert(other:submit { prompt = s:prompt "a", duration = 4 })
end, no_ledger = true, act = function(s)
  return omni.adopt_task(s.board, { client = s.client, directory = s:file "out", scene = "a", task_id = s.task.id })
end })

-- --- jobs

local function submit_job(s)
  assert(core.make_directory(s:file "board"))
  local text = ('return storyboard { cut = false, defaults = { duration = 4 }, scene "a" { prompt = %q }, scene "b" { prompt = %q } }')
    :format(s:prompt "a", s:prompt "b")
  return omni.submit_storyboard(env.write(s:file "board/b.lua", text), { client = s.client, budget = 1000 })
end
local function work(s)
  local problem
  local fine, why = omni.work { client = s.client, directory = s:file "worker", once = true, on_event = function(event)
    if event.event == "job" and event.error then problem = event.error end
  end }
  return fine and not problem, why or problem
end
add("job_submitted", { before = open_with_store, act = submit_job })
add("job_worked_on", { before = function(s)
  open_with_store(s)
  assert(submit_job(s))
end, act = work, after = function(s)
  s.client:close() -- so that the session ends: otherwise its job would belong to it for a minute more
  open_with_store(s)
  assert(work(s))
  local job = assert(omni.jobs { client = s.client })[1]
  assert(job.state == "done" or job.state == "failed", job.state)
  assert(job.spent.credits + job.spent.estimated <= 2 * 40)
end })

-- --- processes

local function echo() assert(omni.process({ "/bin/echo", "x" }, { stdout = "pipe" }).stdout == "x\n") end
add("process", { act = function() return omni.process({ "/bin/echo", "x" }, { stdout = "pipe" }) end, after = echo })
add("process_missing", { act = function()
  local result, problem = omni.process { "/nonexistent" }
  return not result and problem.code == "process_failed", problem
end, after = echo })
add("process_cancelled", { act = function()
  local fiber = omni.spawn(omni.process, { "/bin/sleep", "60" })
  omni.sleep(0.005)
  fiber:cancel()
  return true
end, after = echo })

-- --- the server

-- Sends a request from a socket of luasocket's, whose calls never fail here. Returns the response, or nil if none came.
local function request(server, text)
  local peer = assert(socket.tcp())
  peer:settimeout(0)
  peer:connect(server.host, server.port)
  local sent, got, deadline = 0, "", core.now() + env.seconds(2)
  while core.now() < deadline do
    omni.sleep(0.001)
    if sent < #text then sent = peer:send(text, sent + 1) or sent end
    local bytes, why, part = peer:receive(65536)
    got = got .. (bytes or part or "")
    if why == "closed" then break end
  end
  peer:close()
  return got ~= "" and got or nil
end

local GET <const> = "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
local POST <const> = "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3000\r\n\r\n" .. ("b"):rep(3000)
local NO_ANSWER <const> = "no answer: not enough memory" -- the other side can't see more
local function handler(request_) return 200, { ["X-A"] = "b" }, request_:method() .. #request_:body() end

local function serve(more)
  return function(s)
    local given = { on_error = function(failure) s.errors[#s.errors + 1] = failure end }
    for name, value in pairs(more or {}) do given[name] = value end
    s.server = assert(omni.serve(given, handler))
  end
end
local function ask_again(s)
  local got = s.server and request(s.server, GET)
  assert(not s.server or got and got:find "200 OK", "the server is silent")
  if s.server then s.server:close() end
end
add("serve_open_close", { act = function()
  local server, problem = omni.serve({}, handler)
  if not server then return nil, problem end
  server:close()
  return true
end })
add("serve_get", { before = serve(), act = function(s) return request(s.server, GET), NO_ANSWER end, after = ask_again })
add("serve_post", { before = serve(), act = function(s) return request(s.server, POST), NO_ANSWER end, after = ask_again })
add("serve_load", { before = serve(), act = function(s)
  local fibers, got = {}, 0
  for i = 1, 6 do
    fibers[i] = omni.spawn(function() if request(s.server, i % 2 == 0 and GET or POST) then got = got + 1 end end)
  end
  for _, fiber in ipairs(fibers) do fiber:join() end
  return got == 6, NO_ANSWER
end, after = ask_again })
add("serve_closed_busy", { before = function(s)
  s.server = assert(omni.serve({}, function() omni.sleep(60) end))
end, act = function(s)
  local fiber = omni.spawn(request, s.server, GET)
  omni.sleep(0.01)
  s.server:close()
  s.server = nil
  fiber:cancel()
  return true
end })
add("serve_tls", { before = function(s)
  serve { tls_certificate = s.certificate, tls_key = s.tls_key }(s)
end, act = function(s)
  local http <close> = core.client {
    ca_file = s.certificate, allow_private_networks = true, connect_timeout = env.seconds(2), timeout = env.seconds(2),
  }
  local exchange = http:post("o", s.server.url, "hello", "text/plain")
  local deadline = core.now() + env.seconds(3)
  while not exchange:done() and core.now() < deadline do
    http:step()
    omni.sleep(0.001)
  end
  if not exchange:done() then return nil, "not enough memory: no end" end
  local value = exchange:result()
  exchange:close()
  return value, NO_ANSWER
end, after = function(s) s.server:close() end })

-- --- the rest

add("json", { no_loop = true, act = function()
  local json = require "omni.json"
  local text, problem = json.encode({ a = { 1, 2.5, "x" }, b = { c = true } }, "x")
  if not text then return nil, problem end
  return json.decode(text)
end })
add("cjson", { no_loop = true, no_cjson = true, act = function() return cjson.decode '{"a":[1,2,3]}' end })
add("check_input", { no_loop = true, act = function() return omni.check_input("google/gemini-omni", { prompt = "x", duration = 4 }) end })
add("loop", { act = function()
  local mapped = omni.map({ 1, 2, 3 }, { limit = 2 }, function(n)
    omni.sleep(0.001)
    return n
  end)
  omni.scope(function() omni.spawn(omni.sleep, 0.001) end)
  local fine = omni.timeout(0.001, omni.sleep, 1)
  return mapped and not fine
end, after = function() omni.join(omni.spawn(omni.sleep, 0.001)) end })
add("sandbox", { act = function()
  local sandbox, problem = omni.sandbox { clips = "builtin", seconds = 0.01 }
  if not sandbox then return nil, problem end
  sandbox:close()
  return true
end })

return all
