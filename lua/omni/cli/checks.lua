-- SPDX-License-Identifier: MIT
-- What `omni doctor` looks at, one function each. Each says what it found by `say(state, text, hint)`: state is "ok", "warning" or
-- "problem", hint what to do about it. They spend nothing, and change nothing.
--
-- Besides what omni offers to everybody they take the ledger and the sandbox's media by name: no client is opened for those.

local core = require "omni.core"
local text = require "omni.cli.text"

---@alias omni.cli.Say fun(state: "ok"|"warning"|"problem", text: string, hint?: string)

local checks = {}

local function milliseconds(seconds) return ("%.0f ms"):format(seconds * 1000) end

-- --- the program

local modules <const> = {
  { name = "omni.ledger", state = "problem", without = "nothing can be submitted", hint = "install libsqlite3-0 (Debian)" },
  { name = "omni.listener", state = "warning", without = "there is no sandbox, and no callback can be received",
    hint = "install libmicrohttpd12 and libgnutls30 (Debian)" },
}

---The program, the libraries behind it, and the modules that need more of them.
---@param _ table
---@param say omni.cli.Say
function checks.program(_, say)
  local found = core.libraries()
  local argparse, cjson = require "argparse", require "cjson"
  say("ok", ("omni %s, %s, libcurl %s%s, lua-cjson %s, argparse %s"):format(require "omni.version", _VERSION, found.curl,
    found.tls and (" (%s)"):format(found.tls) or "", cjson._VERSION, argparse.version))
  for _, module in ipairs(modules) do
    local fine, why = pcall(require, module.name)
    if not fine then
      say(module.state, ("%s can't be loaded, so %s: %s"):format(module.name, module.without, tostring(why):match "^[^\n]*"), module.hint)
    end
  end
end

-- --- the service

-- Where the keys' files are. One that others can read isn't used, and a key in it is known to others.
local function key_files()
  local home, config = os.getenv "HOME", os.getenv "XDG_CONFIG_HOME"
  if home == "" then home = nil end
  if not config or config:sub(1, 1) ~= "/" then config = home and home .. "/.config" end
  return { config and config .. "/omni/keys", home and home .. "/.crun/.env" }
end

---The keys that are there, and whether others can read them.
---@param found table
---@param say omni.cli.Say
function checks.keys(found, say)
  local keys = require "omni.cli.keys"
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
  for _, path in pairs(key_files()) do
    local info = core.stat(path)
    if info and info.mode & 0x3f ~= 0 and not (problem and problem.message:find(path, 1, true)) then
      say("warning", ("%s can be read by other users of this machine (mode %03o)"):format(path, info.mode & 511), "chmod 600 " .. text.quote(path))
    end
  end
end

local proxies <const> = { "https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY" }

-- The names only: a proxy's URL can hold a password.
local function proxy_names()
  local names = {}
  for _, name in ipairs(proxies) do
    local value = os.getenv(name)
    if value and value ~= "" then names[#names + 1] = name end
  end
  return #names > 0 and table.concat(names, ", ") or nil
end

-- What an answer's way took, from the beginning on.
local function way_of(trace)
  local parts = { trace.address and "at " .. text.clean(trace.address) }
  for _, step in ipairs { { "lookup", "name" }, { "connect", "connection" }, { "tls", "TLS" } } do
    local seconds = trace[step[1]]
    if seconds then parts[#parts + 1] = ("%s after %s"):format(step[2], milliseconds(seconds)) end
  end
  return ("in %s (%s)"):format(milliseconds(trace.total or 0), table.concat(parts, ", "))
end

local function why_no_answer(probe)
  local proxy, message = proxy_names(), probe.failure.message
  if message:lower():find "certificate" then
    return ("is this machine's clock right? It says %s. Else: install ca-certificates, or ask who runs this network")
      :format(os.date "!%Y-%m-%d %H:%M UTC")
  end
  if proxy then return "the environment names a proxy (" .. proxy .. "): is it right, and does it let you through?" end
  return "is there a network? Is the base URL right? In mainland China: CRUN_BASE_URL=https://api.crunai.com"
end

-- What the service says to a key.
local function judge(key, probe, say)
  local failure = probe.failure
  if not failure then
    local credits = text.credits(math.tointeger(probe.balance) or probe.balance)
    if probe.balance > 0 then return say("ok", ("key %s is accepted: %s"):format(key.fingerprint, credits)) end
    return say("warning", ("key %s is accepted, and has no credits"):format(key.fingerprint), "buy some, or use another key")
  end
  local told = ("key %s: %s"):format(key.fingerprint, text.problem(failure))
  if failure.code == "unauthorized" then
    return say("problem", told, ("the service doesn't take this key: look it up at the service's site, and correct %s"):format(key.from))
  end
  local passing = failure.code == "rate_limited" or failure.code == "maintenance"
  return say(passing and "warning" or "problem", told, failure.hint or "try again later")
end

---Whether the service answers, what it says to each key, and what its clock says.
---@param found table
---@param say omni.cli.Say
function checks.service(found, say)
  local play = require("omni.credentials").play -- without a key of one's own it is asked with this one, which opens nothing
  local client, problem = require("omni").client {
    base_url = found.given.base_url, api_key = play, ledger = false, on_warning = function(warning) say("warning", text.clean(warning)) end,
  }
  if not client then return say("problem", text.problem(problem), problem.hint) end
  local base_url = client.base_url
  client:close()
  local ask = require("omni.cli.probe").ask
  local answered
  for _, key in ipairs(found.keys or { { secret = play } }) do
    local probe = ask(base_url, key.secret)
    local failure = probe.failure
    if failure and not failure.status then
      return say("problem", ("%s doesn't answer: %s"):format(text.clean(base_url), text.problem(failure)), why_no_answer(probe))
    end
    if not answered then
      say("ok", ("%s answers %s"):format(text.clean(base_url), way_of(probe.trace)))
    end
    answered = answered or probe
    if key.fingerprint then judge(key, probe, say) end
  end
  found.probe = answered
end

local skewed <const> = 60 -- seconds

---The clock, by what the service's answer said.
---@param found table
---@param say omni.cli.Say
function checks.clock(found, say)
  local probe = found.probe
  if not probe then return end -- which was told
  if not probe.ahead then return say("ok", "the service doesn't say what time it is") end
  local off = math.abs(probe.ahead)
  if off <= skewed then return say("ok", "the clock agrees with the service's") end
  say("warning", ("this machine's clock is %s %s the service's"):format(text.elapsed(off), probe.ahead > 0 and "behind" or "ahead of"),
    "set it (timedatectl set-ntp true): TLS and the URLs of uploads go wrong with it")
end

-- --- the machine

-- The nearest folder above a path that is there.
local function existing_folder(path)
  local folder = path:match "^(.*)/[^/]*$" or "."
  if folder == "" then return "/" end
  return core.stat(folder) and folder or existing_folder(folder)
end

-- Whether something can be made in a folder: only trying tells.
local function can_write(folder)
  local trial = ("%s/.omni-doctor-%s"):format(folder, core.token(4))
  local fine, why = core.make_directory(trial, 448) -- 0700
  if fine then core.remove(trial) end
  return fine, why
end

local function read_ledger(ledger, path, say)
  local rows, problem = ledger:ask "open"
  -- A change that changes nothing: the file can be written.
  if rows then problem = select(2, ledger:ask("end_redo", { board = "" })) end
  if problem then return say("problem", text.problem(problem), problem.hint) end
  local unknown = 0
  for _, row in ipairs(rows) do
    if row.state == "unknown" then unknown = unknown + 1 end
  end
  say("ok", ("the ledger %s: %d in flight"):format(text.clean(path), #rows - unknown))
  if unknown > 0 then
    say("warning", ("%s may have been charged, and nobody knows"):format(text.count(unknown, "submit")), "omni status")
  end
end

---The ledger: that it can be read and written, and whether it holds unknown outcomes.
---@param found table
---@param say omni.cli.Say
function checks.ledger(found, say)
  local records = require "omni.records"
  local path, problem = found.given.ledger, nil
  if not path then path, problem = records.default_path() end
  if not path then return say("problem", text.problem(problem), problem.hint) end
  found.ledger = path
  if core.stat(path) then
    local ledger <close>, trouble = records.open(path)
    if not ledger then return say("problem", text.problem(trouble), trouble.hint) end
    return read_ledger(ledger, path, say)
  end
  local folder = existing_folder(path)
  local fine, why = can_write(folder)
  if fine then return say("ok", ("the ledger will be %s; nothing was submitted yet"):format(text.clean(path))) end
  say("problem", ("the ledger %s can't be made: %s"):format(text.clean(path), text.clean(why)), "set OMNI_LEDGER, or give --ledger PATH")
end

local oldest <const> = { 5, 1 } -- of ffmpeg

-- "5.1" out of "ffmpeg version 5.1.6-0+deb12u1 Copyright ...", and the two numbers. Builds of a day's source have none.
local function version_of(program)
  local result = require("omni").process({ program, "-version" }, { stdout = "pipe", environment = { CRUN_API_KEY = "", CRUN_API_KEYS = "" } })
  if not result or result.exit ~= 0 then return nil end
  local said = core.clean(result.stdout:match "^%S+ version (%S+)" or "of unknown version", 40)
  local major, minor = said:match "^n?(%d+)%.(%d+)"
  return said, tonumber(major), tonumber(minor)
end

---ffmpeg and ffprobe, which cut the film.
---@param _ table
---@param say omni.cli.Say
function checks.ffmpeg(_, say)
  local install = "install ffmpeg (it brings ffprobe), 5.1 or newer, with libx264"
  local said, major, minor = version_of "ffmpeg"
  if not said then
    return say("warning", "there is no ffmpeg: no film is cut, and the sandbox's clips are one small built-in one", install)
  end
  if not version_of "ffprobe" then return say("warning", "ffmpeg is there, but ffprobe isn't: no film is cut", install) end
  if require("omni.sandbox.media").available() ~= "ffmpeg" then
    return say("warning", ("ffmpeg %s has no libx264: no film is cut where clips differ"):format(said), install)
  end
  if major and (major < oldest[1] or major == oldest[1] and minor < oldest[2]) then
    return say("warning", ("ffmpeg %s is older than 5.1: films may come out wrong"):format(said), install)
  end
  say("ok", ("ffmpeg %s, with libx264 and ffprobe"):format(said))
end

---The terminal: whether something can be drawn on it.
---@param _ table
---@param say omni.cli.Say
function checks.terminal(_, say)
  local columns = core.terminal(1)
  if not columns then return say("ok", "stdout is no terminal: each change is a line") end
  local common = require "omni.cli.common"
  local charset = ""
  for _, name in ipairs { "LANG", "LC_CTYPE", "LC_ALL" } do -- the last one that is set counts
    local value = os.getenv(name)
    if value and value ~= "" then charset = value end
  end
  if not charset:lower():find "utf%-?8" then
    return say("warning", "the terminal's locale isn't UTF-8: bars and names may look odd", "LANG=C.UTF-8")
  end
  local drawn = common.drawing_columns() and "redrawn in place" or "a line each change"
  say("ok", ("a terminal of %d columns: %s, %s"):format(columns, drawn, common.wants_colour() and "in colour" or "without colour"))
end

local little <const> = 1 << 20 -- KiB: 1 GiB

---Room on the disks where films and the ledger go.
---@param found table
---@param say omni.cli.Say
function checks.disk(found, say)
  local seen = {}
  for _, folder in ipairs { ".", found.ledger and existing_folder(found.ledger) } do
    local path = core.real_path(folder)
    local result = path and require("omni").process({ "df", "-Pk", "--", path }, { stdout = "pipe", environment = { LC_ALL = "C" } })
    local device, free = (result and result.stdout or ""):match "\n(.-)%s+%d+%s+%d+%s+(%d+)%s+%d+%%"
    if device and not seen[device] then
      seen[device] = true
      local room = ("%.1f GiB free in %s"):format(tonumber(free) / little, text.clean(path))
      if tonumber(free) < little then say("warning", room, "make room: what is paid for has to be written") else say("ok", room) end
    end
  end
end

checks.order = { "program", "keys", "service", "clock", "ledger", "ffmpeg", "terminal", "disk" }

return checks
