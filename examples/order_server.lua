-- A job server: takes orders over HTTP and makes a clip for each. It charges each order once and delivers it, even if the order is sent
-- several times or this program is killed (docs/applications.md).
--   omni lua examples/order_server.lua FOLDER [PORT] [ADDRESS:PORT for callbacks [their public URL]]
--   curl -d '{"prompt":"A lighthouse at dusk.","duration":4}' http://127.0.0.1:8080/orders/17
--   curl http://127.0.0.1:8080/orders/17
local cjson = require "cjson"
local omni = require "omni"

local folder, port = arg[1] or ".", tonumber(arg[2] or 8080)
local client
local deliveries = {} -- order → the coroutine that delivers it

local function clip_path(order) return ("%s/%s.mp4"):format(folder, order) end

local function exists(path)
  local file = io.open(path, "rb")
  return file ~= nil and file:close()
end

-- What each kind of error means for the customer: the HTTP status, and the state of the order.
local permanent <const> = { invalid_input = true, idempotency_conflict = true, not_found = true }
local function describe(problem)
  if problem.code == "submit_unknown" then -- possibly charged: a person compares the account with the ledger (omni status)
    return 500, { state = "unknown", row = problem.row, message = "we are looking into this order; please don't send it again" }
  elseif permanent[problem.code] then      -- the customer has to change the order
    return 400, { state = "refused", message = problem.message, field = problem.field }
  elseif problem.task_id then              -- the service made the task, and it failed
    return 200, { state = "failed", task = problem.task_id, message = problem.message }
  end
  return 503, { state = "not submitted", message = "please try again later" } -- nothing was charged
end

-- Waits for an order's task and saves the clip. Runs in one coroutine for each order.
local function deliver(order, task)
  if deliveries[order] or exists(clip_path(order)) then return end
  deliveries[order] = omni.background(function()
    local ended <close> = setmetatable({}, { __close = function() deliveries[order] = nil end }) -- luacheck: ignore 211
    if assert(task:await { timeout = 3600 }).error then return end
    assert(task:save(clip_path(order))) -- an error goes to omni.on_error; the next request for the order tries again
  end)
end

local function submit(order, body)
  local fine, input = pcall(cjson.decode, body)
  if not fine or type(input) ~= "table" then return 400, { state = "refused", message = "expected a JSON object" } end
  local task, problem = client:submit(input, { idempotency_key = "order-" .. order, tag = "order " .. order, timeout = 60 })
  if not task then return describe(problem) end
  if task.error then return describe(task.error) end
  deliver(order, task)
  return 202, { state = "accepted", task = task.id }
end

local function look_up(order)
  if exists(clip_path(order)) then return 200, { state = "delivered", clip = "/clips/" .. order } end
  local entries, problem = client:find { idempotency_key = "order-" .. order }
  if not entries then return describe(problem) end
  local entry = entries[#entries]
  if not entry then return 404, { state = "no such order" } end
  if entry.error then return describe(entry.error) end
  if entry.task then deliver(order, entry.task) end
  return 200, { state = entry.state, task = entry.task and entry.task.id }
end

local function answer(request)
  local place, order = request:path():match "^/(%l+)/([%w-]+)$" -- this pattern also keeps slashes out of the file name
  if not order or #order > 64 then return 404, { state = "no such page" } end
  if place == "orders" and request:method() == "POST" then return submit(order, request:body()) end
  if place == "orders" then return look_up(order) end
  if place == "clips" and exists(clip_path(order)) then return 200, nil, { file = clip_path(order) } end
  return 404, { state = "no such page" }
end

omni.run(function()
  client = assert(omni.client { ledger = folder .. "/orders.db" })
  if arg[3] then assert(omni.callbacks { client = client, listen = arg[3], public_url = arg[4] }) end
  for entry in client:unfinished() do -- the tasks and unknown outcomes that an earlier run has left
    local order = entry.idempotency_key and entry.idempotency_key:match "^order%-(.*)$"
    if order and entry.task then deliver(order, entry.task) end
    if order and not entry.task then io.stderr:write(("order %s: %s\n"):format(order, entry.error)) end
  end
  local server <close> = assert(omni.serve({ port = port }, function(request)
    local status, reply, file = answer(request)
    if file then return status, { ["Content-Type"] = "video/mp4" }, file end
    return status, { ["Content-Type"] = "application/json" }, cjson.encode(reply) .. "\n"
  end))
  print("listening at " .. server.url)
  io.stdout:flush()
  while true do omni.sleep(3600) end -- until a signal ends the program
end)
