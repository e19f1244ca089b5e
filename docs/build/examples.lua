-- SPDX-License-Identifier: MIT
-- The examples of docs/reference.md, by the function that they show. A test runs each, in a folder that has the board film.lua,
-- the picture keeper.png and the film long.mp4.
return {
  ["omni.client"] = [[
local patient <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, timeout = 30, retry_for = 600 })
print(assert(patient:balance()))
]],
  ["client:submit"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn.", duration = 4 })
print(task.id, task.status)
]],
  ["client:task"] = [[
local submitted = assert(client:submit { prompt = "A lighthouse at dawn." })
local task = assert(client:task(submitted.id)) -- the id may come from a file of an earlier run
assert(task:await())
]],
  ["client:query"] = [[
local submitted = assert(client:submit { prompt = "A lighthouse at dawn." })
local task = assert(client:query(submitted.id))
print(task.status)
]],
  ["client:call"] = [[
local data = assert(client:call("GET", "/api/v1/client/account/balance"))
print(data.balance)
]],
  ["client:balances"] = [[
for _, one in ipairs(client:balances()) do print(one.key, one.balance or one.error) end
]],
  ["client:balance"] = [[
print(assert(client:balance()) .. " credits")
]],
  ["client:estimate"] = [[
local price = assert(client:estimate { prompt = "A lighthouse at dawn.", duration = 10, resolution = "4k" })
print(price.credits, price.affordable)
]],
  ["client:models"] = [[
for _, model in ipairs(assert(client:models { modality = "video" })) do print(model.model) end
]],
  ["client:model"] = [[
local model = assert(client:model "google/gemini-omni")
print(table.concat(model.required_input_fields, ", "))
]],
  ["client:templates"] = [[
for template in client:templates { platform = "kling" } do print(template.template_id) end
]],
  ["client:upload"] = [[
local upload = assert(client:upload "keeper.png")
assert(client:submit { prompt = "She opens the door.", img_urls = { upload.url } })
]],
  ["client:keys"] = [[
for _, key in ipairs(client:keys()) do print(key.key, key.in_flight, key.paused) end
]],
  ["client:find"] = [[
local shop <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "orders.db" })
assert(shop:submit({ prompt = "A lighthouse at dawn." }, { tag = "order 17", idempotency_key = "order-17" }))
for _, entry in ipairs(assert(shop:find { tag = "order 17" })) do print(entry.state, entry.task or entry.error) end
]],
  ["client:unfinished"] = [[
local shop <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "orders.db" })
for entry in shop:unfinished() do
  if entry.task then
    assert(entry.task:await())
  else
    print("a person must decide", entry.tag, entry.error.message) -- submit_unknown
  end
end
]],
  ["client:unknown_submits"] = [[
for _, submit in ipairs(client:unknown_submits()) do print(submit.model, submit.input.prompt, os.date("%c", submit.at)) end
]],
  ["client:close"] = [[
client:close() -- or declare it with <close>
]],
  ["task:done"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
while not task:done() do
  omni.sleep(0.1) -- task:await does this with fewer queries
  assert(task:refresh())
end
]],
  ["task:refresh"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
print(assert(task:refresh()).status)
]],
  ["task:await"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
local done, problem = task:await { timeout = 600, on_status = function(t) print(t.status) end }
if not done then
  print(problem.code) -- "timeout": the task continues at the service
elseif task.error then
  print(task.error.message)
end
]],
  ["task:result"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
local done, problem = task:result { timeout = 600 }
if done then print(done.media[1]) else print(problem.code, problem.message) end
]],
  ["task:save"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
assert(task:await())
local path, bytes = assert(task:save "dawn.mp4")
print(path, bytes)
]],
  ["omni.is_error"] = [[
local fine, problem = pcall(function() return assert(client:query "no-such-task") end)
if not fine and omni.is_error(problem) then print(problem.code) end --> not_found
]],
  ["omni.run"] = [[
omni.run(function()
  local dawn = omni.spawn(function() return client:estimate { prompt = "Dawn.", duration = 4 } end)
  local dusk = omni.spawn(function() return client:estimate { prompt = "Dusk.", duration = 8 } end)
  local first, second = omni.join(dawn, dusk)
  print(first.credits + second.credits)
end)
]],
  ["omni.spawn"] = [[
local fiber = omni.spawn(function() return client:balance() end)
print(fiber:join())
]],
  ["omni.background"] = [[
local clock = omni.background(function()
  while true do omni.sleep(60) print(os.date()) end
end)
clock:cancel()
]],
  ["omni.scope"] = [[
local fine, problem = pcall(omni.scope, function()
  for _, prompt in ipairs { "Dawn.", "Dusk." } do
    omni.spawn(function() assert(assert(client:submit { prompt = prompt }):await()) end)
  end
end)
print(fine, problem) -- if one fails, the waiting for the other is cancelled; its task continues at the service
]],
  ["omni.on_error"] = [[
local before = omni.on_error(function(problem) io.stderr:write("a job failed: ", tostring(problem), "\n") end)
omni.run(function() omni.spawn(error, "no such order") end)
omni.on_error(before)
]],
  ["omni.sleep"] = [[
omni.sleep(0.05)
]],
  ["omni.join"] = [[
local fibers = {}
for i, prompt in ipairs { "Dawn.", "Noon.", "Dusk." } do
  fibers[i] = omni.spawn(function() return (assert(client:submit { prompt = prompt }):await()) end)
end
for _, task in ipairs { omni.join(table.unpack(fibers)) } do print(task.id, task.status) end
]],
  ["omni.map"] = [[
local prompts = { "Dawn.", "Noon.", "Dusk." }
local tasks, errors = omni.map(prompts, { limit = 2 }, function(prompt)
  local task, problem = client:submit { prompt = prompt }
  if not task then return nil, problem end
  return task:await()
end)
for i, prompt in ipairs(prompts) do print(prompt, tasks[i] or errors[i]) end
]],
  ["omni.timeout"] = [[
local found, problem = omni.timeout(5, client.models, client)
print(found and #found or problem.code) -- "timeout" if it took longer
]],
  ["fiber:join"] = [[
local fiber = omni.spawn(function() error "no such file" end)
print(pcall(fiber.join, fiber)) -- raises the error of the fiber
]],
  ["fiber:cancel"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
local waiting = omni.spawn(function() return task:await() end)
waiting:cancel() -- ends the waiting; the task continues at the service
]],
  ["fiber:done"] = [[
local fiber = omni.spawn(function() omni.sleep(0.01) end)
print(fiber:done()) --> false
]],
  ["omni.load_storyboard"] = [[
local board = assert(omni.load_storyboard("film.lua", { client = client }))
print(board.title, #board.scenes)
]],
  ["omni.plan_storyboard"] = [[
local board = assert(omni.load_storyboard "film.lua")
local plan = assert(omni.plan_storyboard(board, { client = client, directory = "out" }))
for _, planned in ipairs(plan.scenes) do print(planned.scene, planned.action, planned.credits) end
print(plan.credits, plan.submits)
]],
  ["omni.run_storyboard"] = [[
local plan = assert(omni.plan_storyboard("film.lua", { client = client, directory = "out" }))
print(plan.credits, "credits. Go on?") -- show it to somebody, and wait for a yes
local made, err = omni.run_storyboard("film.lua", { client = client, directory = "out", plan = plan })
if not made and err.code == "plan_changed" then print(table.concat(err.changes, "\n")) end

-- or, with a limit instead of a plan:
local board = assert(omni.load_storyboard "film.lua")
local summary = assert(omni.run_storyboard(board, {
  client = client, directory = "out", budget = 200,
  on_event = function(event) print(event.event, event.scene, event.file) end,
}))
print(summary.credits, summary.film and summary.film.path)
]],
  ["omni.adopt_task"] = [[
local board = assert(omni.load_storyboard "film.lua")
local task = assert(client:submit { prompt = "A keeper climbs the stairs.", duration = 4 }) -- elsewhere, by hand
assert(omni.adopt_task(board, { client = client, directory = "out", scene = "dusk", task_id = task.id }))
]],
  ["omni.submit_storyboard"] = [[
local room <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "room.db", store = "." })
local job = assert(omni.submit_storyboard("film.lua", { client = room, budget = 200 }))
print(job.job, job.state)
]],
  ["omni.work"] = [[
local room <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "room.db", store = "." })
assert(omni.work {
  client = room, directory = "worker", once = true,
  on_event = function(event) print(event.job, event.event, event.state or event.scene) end,
})
]],
  ["omni.jobs"] = [[
local room <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "room.db", store = "." })
for _, job in ipairs(assert(omni.jobs { client = room })) do print(job.job, job.state, job.spent.credits, job.budget, job.film) end
]],
  ["omni.fetch_job"] = [[
local room <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "room.db", store = "." })
local job, err = omni.fetch_job("job:1", { client = room, directory = "film", timeout = 3600 })
if not job then print(err) elseif job.state == "done" then print("film/" .. job.film) else print(job.state, job.error) end
]],
  ["omni.cancel_job"] = [[
local room <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "room.db", store = "." })
local done, err = omni.cancel_job("job:1", { client = room })
print(done or err)
]],
  ["worker:stop"] = [[
local room <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, ledger = "room.db", store = "." })
assert(omni.work { client = room, directory = "worker", on_start = function(worker)
  omni.background(function()
    omni.sleep(0.1) -- until somebody wants this worker to stop
    worker:stop()
  end)
end })
]],
  ["storyboard"] = [[
local board = omni.storyboard {
  title = "Two shots", budget = 100, defaults = { duration = 4 },
  omni.scene "dusk" { prompt = "The sun sets." },
  omni.scene "night" { prompt = "The lamp is lit.", first_frame = omni.last_frame "dusk" },
  cut = { "dusk", "night", transition = "fade" },
}
print(#board.scenes)
]],
  ["scene"] = [[
local dusk = omni.scene "dusk" { prompt = "The sun sets.", duration = 8, resolution = "1080p" }
omni.storyboard { dusk }
]],
  ["windows"] = [[
omni.storyboard {
  omni.windows(omni.file "long.mp4", 8) { prompt = "The same street, repainted.", name = "street" },
}
]],
  ["file"] = [[
omni.storyboard { omni.scene "door" { prompt = "She opens the door.", references = omni.file "keeper.png" } }
]],
  ["url"] = [[
print(omni.url "HTTPS://Example.com:443/a b.jpg") --> https://example.com/a%20b.jpg
]],
  ["last_frame"] = [[
omni.storyboard {
  omni.scene "dusk" { prompt = "The sun sets." },
  omni.scene "night" { prompt = "The lamp is lit.", first_frame = omni.last_frame "dusk" },
}
]],
  ["clip"] = [[
omni.storyboard {
  omni.scene "heron" { prompt = "A heron stands in the reeds." },
  omni.scene "sketch" { model = "kling/v3", prompt = "As a sketch.", input = { video = omni.clip "heron" } },
}
]],
  ["omni.callbacks"] = [[
local receiver <close> = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" })
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
assert(task:await()) -- woken by the callback
print(receiver.counts.confirmed)
]],
  ["receiver:handle"] = [[
local receiver <close> = assert(omni.callbacks { client = client, listen = false, public_url = "https://film.example.com/hook" })
local status, headers, body = receiver:handle("POST", "/hook/no-such-token", {}, "{}")
print(status, headers["Content-Type"], body) --> 404
]],
  ["receiver:close"] = [[
local receiver = assert(omni.callbacks { client = client, listen = "127.0.0.1:0" })
receiver:close()
]],
  ["omni.parse_callback"] = [[
local claimed, problem = omni.parse_callback '{"task_id": "d6956973", "status": "success"}'
if not claimed then error(problem) end
print(claimed.id, claimed.status) -- a hint: confirm it with client:query(claimed.id)
]],
  ["omni.sandbox"] = [[
local forgetful <close> = assert(omni.sandbox { seconds = 0.1, credits = 500, faults = { "status-500:on=query,first=1" } })
print(forgetful.url, forgetful.key)
]],
  ["sandbox:ledger"] = [[
assert(client:submit { prompt = "A lighthouse at dawn." })
print(sandbox:ledger().submits, sandbox:ledger().charged)
]],
  ["sandbox:callbacks"] = [[
print(#sandbox:callbacks())
]],
  ["sandbox:revoke"] = [[
sandbox:revoke(sandbox.key)
print(select(2, client:balance()).code) --> unauthorized
]],
  ["sandbox:set_credits"] = [[
sandbox:set_credits(sandbox.key, 5)
print(select(2, client:submit { prompt = "A lighthouse at dawn." }).code) --> insufficient_credits
]],
  ["sandbox:advance"] = [[
local task = assert(client:submit { prompt = "A lighthouse at dawn." })
sandbox:advance(60)
print(assert(task:refresh()).status) --> success
]],
  ["sandbox:close"] = [[
sandbox:close() -- or declare it with <close>
]],
  ["omni.serve"] = [[
local server <close> = assert(omni.serve({ host = "127.0.0.1" }, function(request)
  return 200, { ["Content-Type"] = "text/plain" }, request:method() .. " " .. request:path() .. "\n"
end))
print(server.url, server.port)
]],
  ["server:reload"] = [[
local server <close> = assert(omni.serve({}, function() return 200 end))
if server.tls then assert(server:reload()) end
]],
  ["server:close"] = [[
local server = assert(omni.serve({}, function() return 200 end))
server:close()
]],
  ["omni.process"] = [[
local result = assert(omni.process({ "uname", "-s" }, { stdout = "pipe" }))
print(result.exit, result.stdout)
]],
  ["omni.check_input"] = [[
local input, problem = omni.check_input("google/gemini-omni", { prompt = "A lighthouse.", duration = 5 })
print(input, problem.field, problem.message)
]],
  ["omni.array"] = [[
client:submit({ prompt = "A lighthouse.", tags = omni.array {} }, { model = "sandbox/any" }) -- sends "tags": []
]],
  ["omni.object"] = [[
client:submit({ prompt = "A lighthouse.", options = omni.object {} }, { model = "sandbox/any" }) -- sends "options": {}
]],
}
