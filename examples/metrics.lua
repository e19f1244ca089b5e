-- Counts a client's events in the text format of Prometheus, and serves the counts at /metrics.
--   omni lua examples/metrics.lua
local omni = require "omni"

local values, help = {}, { -- name → labels → number; name → its type and meaning
  omni_requests_total = "counter Requests that ended, by kind, HTTP status and error code.",
  omni_request_seconds_total = "counter Seconds that requests took.",
  omni_request_bytes_total = "counter Bytes of answers and of uploaded files.",
  omni_retries_total = "counter Failed calls that were tried again.",
  omni_key_paused = "gauge 1 while the service makes an API key wait.",
  omni_keys_disabled_total = "counter API keys that the service refused.",
  omni_tasks_total = "counter Tasks that reached a state.",
  omni_task_credits_total = "counter Credits that tasks cost.",
  omni_ledger_failures_total = "counter Times that the ledger couldn't be read or written.",
  omni_warnings_total = "counter Warnings.",
}

-- Returns labels as text, sorted by name, such as 'kind="query",status="200"'.
local function text_of(labels)
  local parts = {}
  for name, value in pairs(labels) do
    parts[#parts + 1] = ('%s="%s"'):format(name, (tostring(value):gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" })))
  end
  table.sort(parts)
  return table.concat(parts, ",")
end

local function set(name, labels, number, add)
  local of_name, key = values[name] or {}, text_of(labels)
  values[name] = of_name
  of_name[key] = (add and of_name[key] or 0) + number
end

local function add(name, labels, number) set(name, labels, number or 1, true) end

local count = {
  request_ended = function(event)
    add("omni_requests_total", { kind = event.kind, status = event.status or "none", error = event.error and event.error.code or "none" })
    add("omni_request_seconds_total", { kind = event.kind }, event.seconds)
    add("omni_request_bytes_total", { kind = event.kind }, event.bytes or 0)
  end,
  retry = function(event) add("omni_retries_total", { reason = event.reason }) end,
  paused = function(event) set("omni_key_paused", { key = event.key }, 1) end,
  resumed = function(event) set("omni_key_paused", { key = event.key }, 0) end,
  key_disabled = function(event) add("omni_keys_disabled_total", { key = event.key, reason = event.reason }) end,
  task = function(event)
    add("omni_tasks_total", { state = event.state, model = event.model or "unknown" })
    if event.credits then add("omni_task_credits_total", { model = event.model or "unknown" }, event.credits) end
  end,
  ledger_failed = function() add("omni_ledger_failures_total", {}) end,
  warning = function() add("omni_warnings_total", {}) end,
}

local function on_event(event)
  local counter = count[event.event]
  if counter then counter(event) end
end

local function metrics()
  local lines = {}
  for name, text in pairs(help) do
    local kind, meaning = text:match "^(%l+) (.*)$"
    local block = { ("# HELP %s %s"):format(name, meaning), ("# TYPE %s %s"):format(name, kind) }
    for labels, number in pairs(values[name] or {}) do
      block[#block + 1] = ("%s%s %.14g"):format(name, labels ~= "" and "{" .. labels .. "}" or "", number)
    end
    lines[#lines + 1] = table.concat(block, "\n") .. "\n"
  end
  table.sort(lines)
  return table.concat(lines)
end

omni.run(function()
  local server <close> = assert(omni.serve({}, function(request) -- give it { listen = … } for a port that Prometheus knows
    if request:path() ~= "/metrics" then return 404 end
    return 200, { ["Content-Type"] = "text/plain; version=0.0.4" }, metrics()
  end))
  local sandbox <close> = assert(omni.sandbox { seconds = 0.2, clips = "builtin", faults = { "status-429:on=submit,first=1" } })
  local client <close> = assert(omni.client { base_url = sandbox.url, api_key = sandbox.key, retry_min = 0.1, on_event = on_event })

  assert(assert(client:submit { prompt = "A lighthouse at dawn." }):await())
  local scraped = assert(omni.process({ "curl", "--silent", server.url .. "/metrics" }, { stdout = "pipe" }))
  io.write(scraped.stdout)
end)
