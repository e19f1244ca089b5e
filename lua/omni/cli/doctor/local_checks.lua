-- SPDX-License-Identifier: MIT
-- Contains the checks of `omni doctor` that don't need the network, and the list of all checks. The checks that need the network are in
-- service_checks.lua. Each check calls `report(state, text, hint)` for each finding. The checks of `omni doctor` spend no credits and leave
-- no files behind.

local core = require "omni.core"
local service = require "omni.cli.doctor.service_checks"
local text = require "omni.cli.view.text"

---@alias omni.cli.Report fun(state: "ok"|"warning"|"problem", text: string, hint?: string)

local checks = {}

-- --- the program

local modules <const> = {
  { name = "omni.ledger_sqlite", state = "problem", without = "nothing can be submitted", hint = "install libsqlite3-0 (Debian)" },
  { name = "omni.listener", state = "warning", without = "there is no sandbox, and omni can't receive callbacks",
    hint = "install libmicrohttpd12 and libgnutls30 (Debian)" },
}

---Checks the program, its libraries, and the modules that need additional libraries.
---@param _ table
---@param report omni.cli.Report
function checks.program(_, report)
  local found = core.libraries()
  local argparse, cjson = require "argparse", require "cjson"
  local has_libpq = pcall(require, "omni.ledger_postgresql") -- optional
  report("ok", ("omni %s, %s, libcurl %s%s, lua-cjson %s, argparse %s; %s"):format(require "omni.version", _VERSION, found.curl,
    found.tls and (" (%s)"):format(found.tls) or "", cjson._VERSION, argparse.version,
    has_libpq and "the ledger can be in PostgreSQL" or "built without libpq: the ledger can't be in PostgreSQL"))
  for _, module in ipairs(modules) do
    local fine, why = pcall(require, module.name)
    if not fine then
      report(module.state, ("can't load %s, so %s: %s"):format(module.name, module.without, tostring(why):match "^[^\n]*"), module.hint)
    end
  end
end

-- --- the machine

-- Returns the nearest existing folder above a path.
local function existing_folder(path)
  local folder = path:match "^(.*)/[^/]*$" or "."
  if folder == "" then return "/" end
  return core.stat(folder) and folder or existing_folder(folder)
end

-- Creates and removes a temporary folder in a folder, and returns whether this succeeded.
local function can_write(folder)
  local trial = ("%s/.omni-doctor-%s"):format(folder, core.token(4))
  local fine, why = core.make_directory(trial, 448) -- 0700
  if fine then core.remove(trial) end
  return fine, why
end

local function read_ledger(ledger, path, report)
  local rows, problem = ledger:ask "open"
  -- Runs a statement that changes no rows, to find out whether the ledger's file is writable.
  if rows then problem = select(2, ledger:ask("end_redo", { board = "" })) end
  if problem then return report("problem", text.problem(problem), problem.hint) end
  local unknown = 0
  for _, row in ipairs(rows) do
    if row.state == "unknown" then unknown = unknown + 1 end
  end
  report("ok", ("the ledger %s: %d in flight"):format(path, #rows - unknown))
  if not require("omni.ledger").is_address(path) then
    report("ok", ("%s-wal and -shm belong to it; to copy it: sqlite3 %s \".backup COPY\""):format(path, text.quote(path)))
  end
  if unknown > 0 then
    report("warning", ("%s %s an unknown outcome, and may have been charged"):format(text.count(unknown, "submit"),
      unknown == 1 and "has" or "have"), "omni status")
  end
end

---Checks that the ledger can be read and written, and counts its submits with an unknown outcome.
---@param shared table  data that the checks share, such as the options
---@param report omni.cli.Report
function checks.ledger(shared, report)
  local ledgers, output_and_ledger = require "omni.ledger", require "omni.cli.output_and_ledger"
  if not shared.given.ledger and output_and_ledger.is_rehearsal {} then
    return report("ok", "the key belongs to a sandbox: each board has its own ledger, ledger.db in its output folder")
  end
  local path, problem = output_and_ledger.ledger(shared.given)
  if not path then return report("problem", text.problem(problem), problem.hint) end
  shared.ledger = path
  if ledgers.exists(path) then
    local ledger <close>, trouble = ledgers.open(path)
    if not ledger then return report("problem", text.problem(trouble), trouble.hint) end
    return read_ledger(ledger, path, report)
  end
  local folder = existing_folder(path)
  local fine, why = can_write(folder)
  if fine then return report("ok", ("the ledger will be %s; nothing has been submitted yet"):format(path)) end
  report("problem", ("can't create the ledger %s: %s"):format(path, why), "set OMNI_LEDGER, or give --ledger PATH")
end

---If a store is configured, checks that omni can write to it and read from it.
---@param shared table  data that the checks share, such as the options
---@param report omni.cli.Report
function checks.store(shared, report)
  local address = shared.given.store
  if not address and not require("omni.cli.output_and_ledger").is_rehearsal {} then address = require("omni.store").default_address() end
  if not address then return end
  local client <close>, problem = require("omni").client {
    api_key = require("omni.client.credentials").sandbox_key(1), ledger = false, store = address, retry_for = 0,
  }
  local fine
  if client then fine, problem = client.store:check() end
  if not fine then return report("problem", text.problem(problem), problem.hint) end
  report("ok", ("the store %s can be written and read"):format(address))
end

-- Returns a program's output, or nil.
local function output_of(...)
  local environment = { LC_ALL = "C" }
  local result = require("omni").process({ ... }, { stdout = "pipe", environment = environment })
  return result and result.exit == 0 and result.stdout or nil
end

local oldest <const> = { 5, 1 } -- the oldest supported version of ffmpeg

-- Returns the version that a program prints in a line such as "ffmpeg version 5.1.6-0+deb12u1 Copyright ...", and the version's first two
-- numbers. A development build of ffmpeg has no version numbers, so the last two results are nil.
local function version_of(program)
  local output = output_of(program, "-version")
  if not output then return nil end
  local version = core.clean(output:match "^%S+ version (%S+)" or "of unknown version", 40)
  local major, minor = version:match "^n?(%d+)%.(%d+)"
  return version, tonumber(major), tonumber(minor)
end

---Checks ffmpeg and ffprobe, which omni needs to cut a film.
---@param _ table
---@param report omni.cli.Report
function checks.ffmpeg(_, report)
  local install = "install ffmpeg (it brings ffprobe), 5.1 or newer, with libx264"
  local version, major, minor = version_of "ffmpeg"
  if not version then
    return report("warning", "there is no ffmpeg: omni can't cut films, and a sandbox has only one small built-in clip", install)
  end
  if not version_of "ffprobe" then return report("warning", "ffprobe isn't installed: omni can't cut films", install) end
  if require("omni.sandbox.drawing").available() ~= "ffmpeg" then
    return report("warning", ("ffmpeg %s has no libx264: omni can't cut films from clips of different formats"):format(version), install)
  end
  if major and (major < oldest[1] or major == oldest[1] and minor < oldest[2]) then
    return report("warning", ("ffmpeg %s is older than 5.1: films may be wrong"):format(version), install)
  end
  report("ok", ("ffmpeg %s, with libx264 and ffprobe"):format(version))
end

---Checks which characters and colours the terminal can show.
---@param _ table
---@param report omni.cli.Report
function checks.terminal(_, report)
  local columns = core.terminal(1)
  if not columns then return report("ok", "stdout isn't a terminal: omni prints a line for each change") end
  local terminal = require "omni.cli.view.terminal"
  local charset = ""
  for _, name in ipairs { "LANG", "LC_CTYPE", "LC_ALL" } do -- the last of these variables that is set takes precedence
    local value = os.getenv(name)
    if value and value ~= "" then charset = value end
  end
  if not charset:lower():find "utf%-?8" then
    return report("warning", "the locale of the terminal isn't UTF-8: it may show names wrongly", "LANG=C.UTF-8")
  end
  local drawn = terminal.columns() and "redrawn in place" or "a line for each change"
  report("ok", ("a terminal of %d columns: %s, %s"):format(columns, drawn, terminal.colour() and "in colour" or "without colour"))
end

local little <const> = 1 << 20 -- KiB: 1 GiB

---Checks the free disk space in the working directory and in the ledger's folder.
---@param shared table  data that the checks share, such as the options
---@param report omni.cli.Report
function checks.disk(shared, report)
  local seen = {}
  for _, folder in ipairs { ".", shared.ledger and existing_folder(shared.ledger) } do
    local path = core.real_path(folder)
    local output = path and output_of("df", "-Pk", "--", path) or ""
    local device, free = output:match "\n(.-)%s+%d+%s+%d+%s+(%d+)%s+%d+%%"
    if device and not seen[device] then
      seen[device] = true
      local free_space = core.format("%.1f GiB free in %s", tonumber(free) / little, path)
      if tonumber(free) < little then
        report("warning", free_space, "free some space: omni must save what you pay for")
      else
        report("ok", free_space)
      end
    end
  end
end

---All checks that `omni doctor` performs, in order.
---@type { [1]: string, [2]: fun(shared: table, report: omni.cli.Report) }[]
checks.all = {
  { "program", checks.program }, { "keys", service.keys }, { "network", service.network },
  { "service", service.answer }, { "clock", service.clock },
  { "ledger", checks.ledger }, { "store", checks.store },
  { "ffmpeg", checks.ffmpeg }, { "terminal", checks.terminal }, { "disk", checks.disk },
}

return checks
