-- SPDX-License-Identifier: MIT
-- Measures how long each of the ledger's verbs takes: in SQLite, in PostgreSQL, and in PostgreSQL behind PgBouncer. Prints the median and,
-- in parentheses, the shortest time, since other work on the machine can only slow a verb down. From the repository's folder:
--   LUA_PATH="lua/?.lua;lua/?/init.lua;spec/?.lua;;" LUA_CPATH="build/lib/?.so;;" lua5.4 bench/ledger.lua [ROWS [TIMES]]

local asked = require "helper.ledger"
local core = require "omni.core"
local env = require "helper.env"
local postgresql = require "helper.postgresql"

local rows <const> = math.tointeger(tonumber(arg[1] or 100000))
local times <const> = math.tointeger(tonumber(arg[2] or 30))
local BOARDS <const> = rows // 1000 -- of 1,000 scenes each, one after the other; the last one's tasks are in flight
local OVER <const> = rows - 1000 -- rows whose tasks are over

local SERVICE <const>, MODEL <const> = "https://api.example.com", "google/gemini-omni"
local PROMPT <const> = ("A boat drifts through the fog while the keeper of the light looks on. "):rep(4)

-- Runs on both databases. Columns that most rows share have the same value; a row's number makes all others.
local FILL <const> = ([[
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
  INSERT INTO submit (account, service, sandbox, board, scene, identity, base, take, form, model, input, state, session, task_id, token,
    estimate, credits, intended_at, answered_at, ended_at, created_at, completed_at, media, tag, idempotency_key)
  SELECT 'account', '%s', 0, '/boards/' || ((i - 1) / 1000) || '/film.lua', 'scene ' || i, 'identity ' || i, 'base ' || i, 1,
    '{"form":' || i || '}', '%s', '{"prompt":"%s","duration":8,"resolution":"720p"}',
    CASE WHEN i > %d THEN 'accepted' ELSE 'success' END, 0, 'task-' || i,
    'token ' || i, 80, CASE WHEN i <= %d THEN 80 END, 1700000000 + i, 1700000001 + i, CASE WHEN i <= %d THEN 1700000080 + i END,
    1700000001 + i, 1700000080 + i, 1, 'tag ' || (i %% 1000), 'key ' || i FROM n;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
  INSERT INTO file (submit, number, path, sha256, size, at)
  SELECT i, 1, '/out/' || i || '.mp4', 'sha ' || i, 5, 5 FROM n WHERE i <= %d;
]]):format(rows, SERVICE, MODEL, PROMPT, OVER, OVER, OVER, rows, OVER)

local function any() return math.random(rows) end
local function open_row() return OVER + math.random(1000) end
local function board() return ("/boards/%d/film.lua"):format(math.random(0, BOARDS - 1)) end

local function ids(count)
  local list = {}
  for i = 1, count do list[i] = "task-" .. open_row() end
  return table.concat(list, "\n")
end

local last -- the number of the row that `intend` has just inserted
local run = 0 -- the number of the measurement
local function new(i) return ("new %d %d"):format(run, i) end

-- The verbs in the order in which they are measured, with functions that return their parameters.
local verbs <const> = {
  { "intend", function(i)
    return { account = "account", service = SERVICE, board = board(), scene = "s", identity = new(i), base = "b", take = 1, form = "{}",
      model = MODEL, input = '{"prompt":"p"}', estimate = 80, token = new(i), budget = 1e9, in_flight = 1e6 }
  end, "with a budget of 1,000 scenes and a limit" },
  { "refuse", function() return { id = last, error = "rate_limited" } end },
  { "retry", function(i) return { id = last, account = "account", identity = new(i), service = SERVICE } end },
  { "accept", function(i) return { id = last, task_id = new(i) } end },
  { "status", function() return { id = last, status = "running" } end },
  { "claim", function() return { service = SERVICE, task_ids = ids(1) } end, "one task" },
  { "claim", function() return { service = SERVICE, task_ids = ids(1000) } end, "1,000 tasks" },
  { "release", function() return { service = SERVICE, task_ids = ids(1) } end },
  { "finish", function() return { id = last, state = "success", credits = 80, media = 1 } end },
  { "remember_file", function() return { id = last, number = 1, path = "/out/p", sha256 = "s", size = 5 } end },
  { "ended", function() return { seconds = 6 } end },
  { "row", function() return { id = any() } end },
  { "by_identity", function() return { identity = "identity " .. any(), service = SERVICE } end },
  { "live_with_key", function() return { idempotency_key = "key " .. any() } end },
  { "by_tag", function() return { tag = "tag " .. math.random(1000), after = 0 } end, "100 rows" },
  { "by_task", function() return { service = SERVICE, task_id = "task-" .. any() } end },
  { "by_token", function() return { token = "token " .. any() } end },
  { "find", function() return { task_id = "task-" .. any() } end },
  { "latest_take", function() return { base = "base " .. any(), service = SERVICE } end },
  { "last_of_scene", function() local n = any() return { board = ("/boards/%d/film.lua"):format((n - 1) // 1000), scene = "scene " .. n,
    service = SERVICE } end },
  { "files", function() return { submit = any() } end },
  { "in_flight", function() return { account = "account" } end },
  { "other_kind", function() return { sandbox = 0 } end },
  { "account", function() return { account = "account" } end },
  { "reserve_start", function() return { account = "account", interval = 0.01 } end },
  { "pause_account", function() return { account = "another", seconds = 1 } end },
  { "digest", function() return { path = "p" .. any() } end },
  { "remember_digest", function(i) return { path = "p" .. i, stamp = "s", sha256 = "d", size = 1 } end },
  { "unfinished", function() return { service = SERVICE, after = 0 } end },
  { "orphaned", function() return { service = SERVICE, after = 0 } end, "100 rows" },
  { "to_fetch_of_board", function() return { board = board() } end, "of 1,000 scenes" },
  { "to_fetch", function() return {} end, "of 100,000 rows" },
  { "files_of_board", function() return { board = board() } end, "1,000 rows" },
  { "spent_of_board", function() return { board = board() } end, "1,000 rows" },
  { "spent", function() return {} end, "all rows" },
  { "durations", function() return { model = MODEL, duration = 8, resolution = "720p" } end, "the last 100 tasks" },
  { "open", function() return {} end, "1,000 rows" },
}

-- Returns the median and the shortest duration of each verb, in milliseconds.
local function measure(name)
  local handle <close> = asked.ledger.open(name)
  math.randomseed(1)
  run = run + 1
  local found = {}
  for at in ipairs(verbs) do found[at] = {} end
  for i = 1, times do
    for at, verb in ipairs(verbs) do
      local params, begun = verb[2](i), core.now()
      local result, failure = asked.ask(handle, verb[1], params)
      found[at][i] = core.now() - begun
      assert(result, failure and failure.message)
      if verb[1] == "intend" then last = assert(result[1], "nothing was intended").id end
    end
  end
  for at, list in ipairs(found) do
    table.sort(list)
    found[at] = ("%.2f (%.2f)"):format(list[(#list + 1) // 2] * 1000, list[1] * 1000)
  end
  return found
end

local directory <close> = env.directory()
local columns, titles = {}, {}
for _, backend in ipairs(asked.backends) do
  if not backend.missing then
    local name = backend.new(directory)
    asked.once(name)
    backend.sql(name, FILL)
    if backend.name == "PostgreSQL" then backend.sql(name, "ANALYZE") end
    titles[#titles + 1], columns[#columns + 1] = backend.name, measure(name)
    if backend.name == "PostgreSQL" and not postgresql.no_pooler then
      local pooler <close> = postgresql.pooler "transaction"
      titles[#titles + 1], columns[#columns + 1] = "PgBouncer", measure(postgresql.behind(name, pooler))
    end
  end
end

print(("| verb (milliseconds; median of %d, and best; %d rows) | %s |"):format(times, rows, table.concat(titles, " | ")))
print("| --- |" .. (" --- |"):rep(#titles))
for at, verb in ipairs(verbs) do
  local cells = { verb[3] and ("`%s` (%s)"):format(verb[1], verb[3]) or ("`%s`"):format(verb[1]) }
  for i, found in ipairs(columns) do cells[i + 1] = found[at] end
  print("| " .. table.concat(cells, " | ") .. " |")
end
