-- SPDX-License-Identifier: MIT
-- Contains the checks of `omni doctor` that concern the API keys, the network and the service (local_checks.lua lists all checks). If you
-- have no API key, the checks send a sandbox key, which the service refuses.

local core = require "omni.core"
local text = require "omni.cli.view.text"

local service = {}

local function milliseconds(seconds) return core.format("%.0f ms", seconds * 1000) end

---Checks the API keys, and whether other users can read the files that contain them.
---@param shared table  data that the checks share, such as the options
---@param report omni.cli.Report
function service.keys(shared, report)
  local keys = require "omni.cli.view.keys"
  local problem
  shared.keys, problem = keys.find()
  if not shared.keys then report("problem", text.problem(problem), problem.hint) end
  for _, key in ipairs(shared.keys or {}) do
    if key.looks_right then
      report("ok", keys.describe(key))
    else
      report("warning", keys.describe(key) .. ": it doesn't look like a key of the service (ak_ and 32 characters)",
        "is it complete? omni uses it anyway")
    end
  end
  for _, path in ipairs(require("omni.client.credentials").files()) do
    local info = core.stat(path)
    if info and info.mode & 0x3f ~= 0 and not (problem and problem.message:find(path, 1, true)) then
      local message = ("other users of this machine can read %s (mode %03o)"):format(path, info.mode & 511)
      local reset = ("and reset its keys at %s, as others may know them"):format(core.pages.keys)
      report("warning", message, ("chmod 600 %s; %s"):format(text.quote(path), reset))
    end
  end
end

-- Describes an exchange's steps, each with the time from the start of the exchange to the end of the step.
local function steps_of(trace)
  local parts = { trace.address and "at " .. trace.address }
  for _, step in ipairs { { "lookup", "name" }, { "connect", "connection" }, { "tls", "TLS" } } do
    local seconds = trace[step[1]]
    if seconds then parts[#parts + 1] = ("%s after %s"):format(step[2], milliseconds(seconds)) end
  end
  return ("in %s (%s)"):format(milliseconds(trace.total or 0), table.concat(parts, ", "))
end

-- Returns a hint for a service that doesn't respond.
local function no_answer_hint(probe)
  local network, message = probe.network, probe.failure.message
  if message:lower():find "certificate" then
    return ("is this machine's clock right? It says %s. Else install ca-certificates, or set CURL_CA_BUNDLE to your network's file")
      :format(os.date "!%Y-%m-%d %H:%M UTC")
  end
  if network.proxy_used then
    return ("requests go through a proxy (%s): is it right, and does it let you through?"):format(network.proxy_from)
  end
  return "is there a network? Is the base URL right? In mainland China: CRUN_BASE_URL=https://api.crunai.com"
end

-- Reports how the service responded to this key. If you have no API key, the checks send a sandbox key, which the service should refuse.
local function judge(key, probe, report)
  local failure, own = probe.failure, key.fingerprint ~= nil
  local refused = failure and require("omni.error").rejects_key(failure)
  if not own and (not failure or refused) then return nil end
  if not failure then
    local credits = text.credits(probe.balance, key.sandbox)
    if probe.balance > 0 then return report("ok", ("key %s is accepted: %s"):format(key.fingerprint, credits)) end
    return report("warning", ("key %s is accepted, but has no credits"):format(key.fingerprint),
      "buy some at " .. core.pages.billing .. ", or use another key")
  end
  local message = (own and ("key %s: "):format(key.fingerprint) or "") .. text.problem(failure)
  if refused then
    local reset = ("if others may know it, reset it there at once, and correct %s"):format(key.from)
    return report("problem", message, ("the service refuses this key: look it up at %s; %s"):format(core.pages.keys, reset))
  end
  if failure.code == "bad_answer" then
    return report("problem", message, "this isn't the service: is the base URL right, and is the network open?")
  end
  local temporary = failure.code == "rate_limited" or failure.code == "maintenance"
  return report(temporary and "warning" or "problem", message, failure.hint or "try again later")
end

local function certificates_of(network)
  local parts = {}
  for _, name in ipairs { "ca_file", "ca_dir" } do
    if network[name] then parts[#parts + 1] = ("those in %s (%s)"):format(network[name], network[name .. "_from"]) end
  end
  return #parts > 0 and table.concat(parts, " and ") or "the system's"
end

-- Opens a client for the base URL, with a sandbox key, which the real service doesn't accept.
local function open_client(shared, warn)
  return require("omni").client {
    base_url = shared.given.base_url, api_key = require("omni.client.credentials").sandbox_key(1), ledger = false,
    on_event = warn and require("omni.cli.view.message").client_hook(warn),
  }
end

---Reports how requests reach the service, and which setting decides that.
---@param shared table  data that the checks share, such as the options
---@param report omni.cli.Report
function service.network(shared, report)
  local client <close> = open_client(shared)
  if not client then return end -- `service.answer`, which runs next, reports this error
  local network = client.all_keys[1].transport.http:network()
  local proxy = "no proxy"
  if network.proxy_used then
    proxy = ("through the proxy %s (%s)"):format(network.proxy, network.proxy_from)
  elseif network.proxy then
    proxy = ("no proxy for this host, though %s names one"):format(network.proxy_from)
  end
  report("ok", ("requests: %s; certificates: %s"):format(proxy, certificates_of(network)))
  for _, name in ipairs { "ca_file", "ca_dir" } do
    local info, path = network[name] and core.stat(network[name]), network[name]
    if path and not (info and info.kind == (name == "ca_dir" and "directory" or "file")) then
      report("problem", ("%s names %s, which isn't a %s"):format(network[name .. "_from"], path, name == "ca_dir" and "folder" or "file"))
    end
  end
  if network.allow_private_networks then
    report("warning", "the service may redirect omni into private networks (OMNI_ALLOW_PRIVATE_NETWORKS)", "docs/network.md")
  end
end

---Checks that the service responds, and that it accepts each key.
---@param shared table  data that the checks share, such as the options
---@param report omni.cli.Report
function service.answer(shared, report)
  local client, problem = open_client(shared, function(warning) report("warning", warning) end)
  if not client then return report("problem", text.problem(problem), problem.hint) end
  local base_url = client.base_url
  client:close()
  local ask = require("omni.cli.doctor.probe").ask
  local answered
  for _, key in ipairs(shared.keys or { { secret = require("omni.client.credentials").sandbox_key(1) } }) do
    local begun = core.now()
    local live = shared.line:live(function()
      local seconds = core.now() - begun
      return seconds >= 1 and ("asking %s ... %s"):format(base_url, text.elapsed(seconds)) or nil
    end)
    local probe = ask(base_url, key.secret)
    if live then live:close() end
    local failure = probe.failure
    if failure and not failure.status then
      return report("problem", ("%s doesn't answer: %s"):format(base_url, text.problem(failure)), no_answer_hint(probe))
    end
    if not answered then
      report("ok", ("%s answers %s"):format(base_url, steps_of(probe.trace)))
    end
    answered = answered or probe
    judge(key, probe, report)
  end
  shared.probe = answered
end

local skewed <const> = 60 -- seconds

---Compares this machine's clock with the service's clock.
---@param shared table  data that the checks share, such as the options
---@param report omni.cli.Report
function service.clock(shared, report)
  local probe = shared.probe
  if not probe then return end -- reported before
  if not probe.ahead then return report("ok", "the service doesn't send its time") end
  local off = math.abs(probe.ahead)
  if off <= skewed then return report("ok", "the clock agrees with the service's") end
  report("warning", ("this machine's clock is %s %s the service's"):format(text.elapsed(off), probe.ahead > 0 and "behind" or "ahead of"),
    "set it (timedatectl set-ntp true): with a wrong clock TLS and the URLs of uploads fail")
end

return service
