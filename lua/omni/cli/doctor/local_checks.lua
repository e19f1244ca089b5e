-- SPDX-License-Identifier: MIT
-- What `omni doctor` looks at, one function each; those about the service stand in service_checks.lua. Each says what it found by
-- `say(state, text, hint)`: state is "ok", "warning" or "problem", hint what to do about it; cli/command/doctor.lua makes both fit for
-- a terminal.
-- They spend nothing, and leave nothing behind.
--
-- Besides what omni offers to everybody they take the ledger and the sandbox's media by name: no client is opened for those.

local core = require "omni.core"
local service = require "omni.cli.doctor.service_checks"
local text = require "omni.cli.view.text"

---@alias omni.cli.Say fun(state: "ok"|"warning"|"problem", text: string, hint?: string)

local checks = {}

-- --- the program

local modules <const> = {
  { name = "omni.ledger_sqlite", state = "problem", without = "nothing can be submitted", hint = "install libsqlite3-0 (Debian)" },
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
  say("ok", ("the ledger %s: %d in flight"):format(path, #rows - unknown))
  say("ok", ("%s-wal and -shm belong to it; a copy of it: sqlite3 %s \".backup COPY\""):format(path, text.quote(path)))
  if unknown > 0 then
    say("warning", ("%s may have been charged, and nobody knows"):format(text.count(unknown, "submit")), "omni status")
  end
end

---The ledger: that it can be read and written, and whether it holds unknown outcomes.
---@param found table
---@param say omni.cli.Say
function checks.ledger(found, say)
  local records = require "omni.ledger"
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
  if fine then return say("ok", ("the ledger will be %s; nothing was submitted yet"):format(path)) end
  say("problem", ("the ledger %s can't be made: %s"):format(path, why), "set OMNI_LEDGER, or give --ledger PATH")
end

-- What a program prints, or nil.
local function output_of(...)
  local environment = { LC_ALL = "C" }
  local result = require("omni").process({ ... }, { stdout = "pipe", environment = environment })
  return result and result.exit == 0 and result.stdout or nil
end

local oldest <const> = { 5, 1 } -- of ffmpeg

-- "5.1" out of "ffmpeg version 5.1.6-0+deb12u1 Copyright ...", and the two numbers. Builds of a day's source have none.
local function version_of(program)
  local output = output_of(program, "-version")
  if not output then return nil end
  local said = core.clean(output:match "^%S+ version (%S+)" or "of unknown version", 40)
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
  if require("omni.sandbox.drawing").available() ~= "ffmpeg" then
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
    local output = path and output_of("df", "-Pk", "--", path) or ""
    local device, free = output:match "\n(.-)%s+%d+%s+%d+%s+(%d+)%s+%d+%%"
    if device and not seen[device] then
      seen[device] = true
      local room = core.format("%.1f GiB free in %s", tonumber(free) / little, path)
      if tonumber(free) < little then say("warning", room, "make room: what is paid for has to be written") else say("ok", room) end
    end
  end
end

---The checks in their order, by name.
---@type { [1]: string, [2]: fun(found: table, say: omni.cli.Say) }[]
checks.all = {
  { "program", checks.program }, { "keys", service.keys }, { "network", service.network },
  { "service", service.answer }, { "clock", service.clock },
  { "ledger", checks.ledger }, { "ffmpeg", checks.ffmpeg }, { "terminal", checks.terminal }, { "disk", checks.disk },
}

return checks
