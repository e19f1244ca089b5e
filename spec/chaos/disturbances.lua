-- SPDX-License-Identifier: MIT
-- What disturbs a round of chaos: the sandbox's faults, and what happens to a program or to all of them.

local core = require "omni.core"
local env = require "helper.env"
local omni = require "omni"

local disturbances = {}

-- Faults of the sandbox (docs/sandbox.md). A round has each of them with a probability of a third.
disturbances.faults = {
  "drop-after:on=submit,chance=0.06", "drop-after:on=submit,chance=0.05,reset=yes", "drop-before:chance=0.03", "cut:chance=0.03",
  "garbage:chance=0.02", "slow:chance=0.2,delay=0.3", "slow:on=submit,chance=0.3,delay=0.8", "status-500:chance=0.03",
  "status-500:on=submit,when=after,chance=0.05", "envelope-500:on=submit,when=after,chance=0.05", "status-503:chance=0.05",
  "envelope-503:chance=0.03", "status-404:on=query,chance=0.03", "envelope-404:on=query,chance=0.03",
  "status-402:on=submit,chance=0.03,key=1", "media-cut:chance=0.2", "media-cut:chance=0.2,reset=yes", "media-short:chance=0.15",
  "status-503:on=media,chance=0.1",
  "fail:chance=0.05", "callback-late:chance=0.4,delay=1", "callback-twice:chance=0.4", "callback-early:chance=0.2",
  "callback-wrapped:chance=0.2", "callback-never:chance=0.05", "callback-forged:kind=status,chance=0.4",
  "callback-forged:kind=id,chance=0.4", "callback-forged:kind=garbage,chance=0.3", "callback-stale:chance=0.4",
}

---Sends a signal to a program, if it is running.
function disturbances.signal(machine, name)
  if machine.pid then os.execute(("kill -%s %d 2>/dev/null"):format(name, machine.pid)) end
end

-- Returns a function that injects a fault for up to `most` requests.
local function storm(fault, most)
  return function(round, _, share) round.storm(fault:format(1 + math.floor(most * share))) end
end

local HOUR <const>, DAY <const> = 3600, 86400
local jumps <const> = { -400 * DAY, -DAY, -HOUR, -5, 5, HOUR, DAY, 400 * DAY }

-- The disturbances: weight, name, and a function that gets the round, one of its programs, and a number from 0 to below 1.
disturbances.rows = {
  { 4, "is killed", function(_, machine) machine.kill() end },
  { 3, "is stopped, and continues", function(_, machine, share)
    local pid = machine.pid
    disturbances.signal(machine, "STOP")
    omni.sleep(3 * share)
    if machine.pid == pid then disturbances.signal(machine, "CONT") end
  end },
  { 1, "is interrupted", function(_, machine) disturbances.signal(machine, "INT") end },
  { 2, "sees the clock jump", function(_, machine, share)
    machine.set_clock(jumps[1 + math.floor(#jumps * share)])
  end },
  { 2, "and the others find the disk full", function(round, _, share)
    os.execute(("dd if=/dev/zero of=%s bs=16k 2>/dev/null"):format(env.quote(round.filler)))
    omni.sleep(2 * share)
    core.remove(round.filler)
  end, needs = "disk" },
  { 2, "and the others lose their connections", function(round, _, share) round.proxy:drop(share < 0.5 and "close" or "reset") end },
  { 1, "and the others reach nobody", function(round, _, share) round.proxy:refuse(2 * share) end },
  { 1, "and the others wait for the network", function(round, _, share) round.proxy:pause(3 * share) end },
  { 2, "and the others are refused: 429", storm("status-429:retry_after=1,first=%d", 8) },
  { 1, "and the others are refused: 429 without a time", storm("envelope-429:first=%d", 4) },
  { 1, "and the others are refused: 455", storm("status-455:retry_after=1,first=%d", 3) },
  { 1, "and the others lose the answers to submits", storm("drop-after:on=submit,first=%d", 3) },
  { 1, "and the others lose the second key", function(round) round.revoke(2) end },
}

return disturbances
