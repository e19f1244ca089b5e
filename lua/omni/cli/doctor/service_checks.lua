-- SPDX-License-Identifier: MIT
-- What `omni doctor` asks of the keys and of the service (local_checks.lua).
--
-- Besides what omni offers to everybody it takes the sandbox's key by name: where there is no other, the service is asked with that one.

local core = require "omni.core"
local text = require "omni.cli.view.text"

local service = {}

local function milliseconds(seconds) return core.format("%.0f ms", seconds * 1000) end

-- Where the keys' files are. One that others can read isn't used, and a key in it is known to others.
---The keys that are there, and whether others can read them.
---@param found table
---@param say omni.cli.Say
function service.keys(found, say)
  local keys = require "omni.cli.view.keys"
  local problem
  found.keys, problem = keys.find()
  if not found.keys then say("problem", text.problem(problem), problem.hint) end
  for _, key in ipairs(found.keys or {}) do
    if key.looks_right then
      say("ok", keys.describe(key))
    else
      say("warning", keys.describe(key) .. ": it doesn't look like one of the service's (ak_ and 32 characters)",
        "is it whole? It is used all the same")
    end
  end
  for _, path in ipairs(require("omni.client.credentials").files()) do
    local info = core.stat(path)
    if info and info.mode & 0x3f ~= 0 and not (problem and problem.message:find(path, 1, true)) then
      local told = ("%s can be read by other users of this machine (mode %03o)"):format(path, info.mode & 511)
      local reset = ("and reset the keys in it at %s, as others may know them"):format(core.pages.keys)
      say("warning", told, ("chmod 600 %s; %s"):format(text.quote(path), reset))
    end
  end
end

-- What an answer's way took, from the beginning on.
local function way_of(trace)
  local parts = { trace.address and "at " .. trace.address }
  for _, step in ipairs { { "lookup", "name" }, { "connect", "connection" }, { "tls", "TLS" } } do
    local seconds = trace[step[1]]
    if seconds then parts[#parts + 1] = ("%s after %s"):format(step[2], milliseconds(seconds)) end
  end
  return ("in %s (%s)"):format(milliseconds(trace.total or 0), table.concat(parts, ", "))
end

local function why_no_answer(probe)
  local network, message = probe.network, probe.failure.message
  if message:lower():find "certificate" then
    return ("is this machine's clock right? It says %s. Else: install ca-certificates, or name this network's own in CURL_CA_BUNDLE")
      :format(os.date "!%Y-%m-%d %H:%M UTC")
  end
  if network.proxy_used then
    return ("requests go through a proxy (%s): is it right, and does it let you through?"):format(network.proxy_from)
  end
  return "is there a network? Is the base URL right? In mainland China: CRUN_BASE_URL=https://api.crunai.com"
end

-- What the service says to a key; to none of one's own it should say that it refuses it, if anything.
local function judge(key, probe, say)
  local failure, own = probe.failure, key.fingerprint ~= nil
  local refused = failure and require("omni.error").rejects_key(failure)
  if not own and (not failure or refused) then return nil end
  if not failure then
    if probe.balance > 0 then return say("ok", ("key %s is accepted: %s"):format(key.fingerprint, text.credits(probe.balance))) end
    return say("warning", ("key %s is accepted, and has no credits"):format(key.fingerprint),
      "buy some at " .. core.pages.billing .. ", or use another key")
  end
  local told = (own and ("key %s: "):format(key.fingerprint) or "") .. text.problem(failure)
  if refused then
    local reset = ("reset it there at once if others may know it, and correct %s"):format(key.from)
    return say("problem", told, ("the service doesn't take this key: look it up at %s; %s"):format(core.pages.keys, reset))
  end
  if failure.code == "bad_answer" then
    return say("problem", told, "this isn't the service: is the base URL right, and is the network open?")
  end
  local passing = failure.code == "rate_limited" or failure.code == "maintenance"
  return say(passing and "warning" or "problem", told, failure.hint or "try again later")
end

local function certificates_of(network)
  local parts = {}
  for _, name in ipairs { "ca_file", "ca_dir" } do
    if network[name] then parts[#parts + 1] = ("those in %s (%s)"):format(network[name], network[name .. "_from"]) end
  end
  return #parts > 0 and table.concat(parts, " and ") or "the system's"
end

-- A client for the base URL that was given: with the sandbox's key, which opens nothing.
local function open_client(found, on_warning)
  return require("omni").client {
    base_url = found.given.base_url, api_key = require("omni.client.credentials").sandbox_key(1), ledger = false, on_warning = on_warning,
  }
end

---How requests reach the service, and where that was decided.
---@param found table
---@param say omni.cli.Say
function service.network(found, say)
  local client <close> = open_client(found)
  if not client then return end -- which the next check tells
  local network = client.all_keys[1].transport.http:network()
  local proxy = "no proxy"
  if network.proxy_used then
    proxy = ("through the proxy %s (%s)"):format(network.proxy, network.proxy_from)
  elseif network.proxy then
    proxy = ("no proxy for this host, though %s names one"):format(network.proxy_from)
  end
  say("ok", ("requests: %s; certificates: %s"):format(proxy, certificates_of(network)))
  for _, name in ipairs { "ca_file", "ca_dir" } do
    local info, path = network[name] and core.stat(network[name]), network[name]
    if path and not (info and info.kind == (name == "ca_dir" and "directory" or "file")) then
      say("problem", ("%s names %s, which isn't a %s"):format(network[name .. "_from"], path, name == "ca_dir" and "folder" or "file"))
    end
  end
  if network.allow_private_networks then
    say("warning", "the service may send omni to private networks of this machine (OMNI_ALLOW_PRIVATE_NETWORKS)", "docs/network.md")
  end
end

---Whether the service answers, what it says to each key, and what its clock says.
---@param found table
---@param say omni.cli.Say
function service.answer(found, say)
  local client, problem = open_client(found, function(warning) say("warning", warning) end)
  if not client then return say("problem", text.problem(problem), problem.hint) end
  local base_url = client.base_url
  client:close()
  local ask = require("omni.cli.doctor.probe").ask
  local answered
  for _, key in ipairs(found.keys or { { secret = require("omni.client.credentials").sandbox_key(1) } }) do
    local probe = ask(base_url, key.secret)
    local failure = probe.failure
    if failure and not failure.status then
      return say("problem", ("%s doesn't answer: %s"):format(base_url, text.problem(failure)), why_no_answer(probe))
    end
    if not answered then
      say("ok", ("%s answers %s"):format(base_url, way_of(probe.trace)))
    end
    answered = answered or probe
    judge(key, probe, say)
  end
  found.probe = answered
end

local skewed <const> = 60 -- seconds

---The clock, by what the service's answer said.
---@param found table
---@param say omni.cli.Say
function service.clock(found, say)
  local probe = found.probe
  if not probe then return end -- which was told
  if not probe.ahead then return say("ok", "the service doesn't say what time it is") end
  local off = math.abs(probe.ahead)
  if off <= skewed then return say("ok", "the clock agrees with the service's") end
  say("warning", ("this machine's clock is %s %s the service's"):format(text.elapsed(off), probe.ahead > 0 and "behind" or "ahead of"),
    "set it (timedatectl set-ntp true): TLS and the URLs of uploads go wrong with it")
end

return service
