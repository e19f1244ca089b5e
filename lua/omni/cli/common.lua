-- SPDX-License-Identifier: MIT
-- What the commands share: the sandbox's options, the client, the loop with Ctrl-C, and how errors are told.

local common = {}

-- --- values of options

---Gives an option of argparse's a number as its value.
---@param option table
---@param what string  "a whole number, 1 or more"
---@param fits fun(number: number): boolean
local function number(option, what, fits)
  return option:convert(function(given)
    local value = tonumber(given)
    value = value and (math.tointeger(value) or value)
    if value and value == value and fits(value) then return value end
    return nil, ("%s: '%s' should be %s"):format(option._name, given, what)
  end)
end

function common.count(option)
  return number(option, "a whole number, 1 or more", function(n) return math.type(n) == "integer" and n >= 1 end)
end

function common.amount(option)
  return number(option, "a number, 0 or more", function(n) return n >= 0 and n < math.huge end)
end

function common.port(option)
  return number(option, "a port, 0 to 65535", function(n) return math.type(n) == "integer" and n >= 0 and n <= 65535 end)
end

function common.path(option)
  return option:convert(function(given)
    if given ~= "" then return given end
    return nil, option._name .. ": a path is due, not an empty text"
  end)
end

---Adds the option that says where the ledger is.
---@param command table  argparse's
---@param play? string   what it is with a sandbox's key
function common.add_ledger_option(command, play)
  common.path(command:option("--ledger", ("The ledger (default: OMNI_LEDGER, else omni/ledger.db in ~/.local/state; %s).")
    :format(play or "a sandbox's: ledger.db in the output")):argname("PATH"))
end

local function url_option(option)
  return option:argname("URL"):convert(function(given)
    if given:find("^[hH][tT][tT][pP][sS]?://[^/?#%s]") and not given:find("[%c%s]") then return given end
    return nil, ("%s: '%s' should be an http or https URL"):format(option._name, given)
  end)
end

---Adds the options of a receiver of callbacks to a command.
---@param command table  argparse's
---@param default string  what --listen is when it isn't given
function common.add_receiver_options(command, default)
  command:option("--listen", "Take the service's callbacks at this address (default: " .. default .. ")."):argname("ADDRESS:PORT")
    :convert(function(given)
      local port = given:match("^%d+$") or given:match("^[^:%s]*:(%d+)$") or given:match("^%[[%x:.]+%]:(%d+)$")
      if port and tonumber(port) <= 65535 then return given end
      return nil, ("--listen: '%s' should be ADDRESS:PORT, or a port"):format(given)
    end)
  url_option(command:option("--public-url", "Where the service can reach it (default: the address itself)."))
  common.path(command:option("--tls-certificate", "Speak TLS, with the certificate in this file."):argname("FILE"))
  common.path(command:option("--tls-key", "The certificate's key, in a file that nobody else can read."):argname("FILE"))
end

---Opens the receiver that the options ask for.
---@param given table
---@param client omni.Client
---@param on_event? fun(event: table)
---@return omni.Receiver|nil, omni.Error|nil
function common.open_receiver(given, client, on_event)
  return require("omni").callbacks {
    client = client, listen = given.listen, public_url = given.public_url, tls_certificate = given.tls_certificate,
    tls_key = given.tls_key, on_event = on_event,
  }
end

---Says what is wrong with the given options that speak of a receiver, or nil.
---@param given table
---@return string|nil
function common.receiver_misuse(given)
  if (given.tls_certificate == nil) ~= (given.tls_key == nil) then return "--tls-certificate and --tls-key go together" end
  if given.listen then return nil end
  for _, name in ipairs { "public_url", "tls_certificate" } do
    if given[name] then return ("--%s is for a receiver of callbacks; add --listen"):format((name:gsub("_", "-"))) end
  end
end

---Adds the options of a sandbox to a command.
---@param command table  argparse's
function common.add_sandbox_options(command)
  common.amount(command:option("--seconds", "The sandbox's tasks take about S seconds (default: 3)."):argname("S"))
  number(command:option("--seed", "Decides the sandbox's ids, durations and chances (default: 1)."):argname("N"),
    "a whole number", function(n) return math.type(n) == "integer" end)
  common.amount(command:option("--credits", "The sandbox's account begins with N credits (default: 10000)."):argname("N"))
  command:option("--fault", "Makes the sandbox misbehave: NAME or NAME:key=value,... May be given several times (docs/sandbox.md).")
    :argname("SPEC"):count("*")
end

---Brings an option that is a URL into its normal form. Returns what is wrong with it, or nil.
---@param given table
---@param name string  "callback_url"
---@return string|nil misuse
function common.normalize_url(given, name)
  if not given[name] then return nil end
  local url, wrong = require("omni.core").normalize_url(given[name])
  if not url then return ("--%s %s"):format((name:gsub("_", "-")), wrong) end
  given[name] = url
end

---Says what is wrong with the given options that speak of a sandbox, or nil.
---@param given table
---@return string|nil
function common.sandbox_misuse(given)
  if given.sandbox and given.base_url then return "--sandbox and --base-url exclude each other" end
  if given.sandbox then return nil end
  for _, name in ipairs { "seconds", "seed", "credits", "fault" } do
    local value = given[name]
    if value and not (type(value) == "table" and #value == 0) then
      return ("--%s is for the sandbox; add --sandbox"):format(name)
    end
  end
end

---Starts a sandbox as the options say.
---@param given table
---@param directory? string  for its clips
---@return omni.Sandbox|nil, omni.Error|nil
function common.open_sandbox(given, directory)
  return require("omni").sandbox {
    host = given.host, port = given.port, seconds = given.seconds, seed = given.seed, credits = given.credits,
    faults = given.fault, directory = directory, keys = given.keys, in_flight = given.in_flight, rate = given.rate,
  }
end

---The sandbox that `--sandbox` asks for; nothing without it.
---@param given table
---@return omni.Sandbox|nil, omni.Error|nil
function common.rehearsal(given)
  if given.sandbox then return common.open_sandbox(given) end
end

-- --- the terminal

---How many columns the terminal has on which lines may be coloured and redrawn; nil when there is none.
---@param fd? 1|2  1: stdout (the default), 2: stderr
---@return integer|nil
function common.drawing_columns(fd)
  if os.getenv("TERM") == "dumb" then return nil end
  return require("omni.core").terminal(fd or 1)
end

---@param fd? 1|2
---@return boolean
function common.wants_colour(fd)
  local no_color = os.getenv("NO_COLOR")
  return common.drawing_columns(fd) ~= nil and not (no_color and no_color ~= "")
end

---Asks on the terminal, on stderr.
---@param question string
---@return boolean|nil yes  nil: there is no terminal to ask on, and nothing was asked
function common.ask(question)
  local core = require "omni.core"
  if not (core.terminal(0) and core.terminal(2)) then return nil end
  io.stderr:write(question, " [y/N] ")
  io.stderr:flush()
  local answer = io.read()
  if not answer then io.stderr:write("\n") end
  local word = answer and answer:lower():match("^%s*(%a+)%s*$")
  return word == "y" or word == "yes"
end

-- --- telling

-- Fit for a terminal, whatever it holds; its line breaks stay. omni.core isn't there yet when a library is missing.
local function cleaned(message)
  local found, core = pcall(require, "omni.core")
  return (message:gsub("[^\n]+", function(line) return found and core.clean(line) or line:gsub("%c", "?") end))
end

---Writes lines to stderr, the first after "omni: ". All of it is cleaned here.
---@param message string
---@param ... string
function common.say(message, ...)
  io.stderr:write("omni: ", cleaned(message), "\n")
  for _, line in ipairs { ... } do io.stderr:write("  ", cleaned(line), "\n") end
end

---Tells of an error value, or of the several that a board has.
---@param bad omni.Error
function common.tell(bad)
  local text = require "omni.cli.view.text"
  for _, problem in ipairs(bad.problems or { bad }) do
    common.say(text.problem(problem), problem.hint and text.clean(problem.hint))
  end
end

-- --- running

---Runs `body(on_interrupt)` in the loop. At the first Ctrl-C calls what `on_interrupt` was last given, with a function that leaves
---the loop at once; leaves it at once when it was given nothing.
---@param body fun(on_interrupt: fun(act: fun(leave: fun()))): integer|nil  answers the exit code
---@return integer|nil code        nil: left
---@return omni.Error|nil failure  what the body raised
function common.in_loop(body)
  local loop = require "omni.loop"
  local signals = require "omni.cli.signals"
  local act
  local watch <close> = signals.watch(function(leave) -- luacheck: ignore 211
    if act then act(leave) else leave() end
  end)
  local fine, result = pcall(loop.run, body, function(new_act) act = new_act end)
  if fine then return result end
  if result == signals.LEFT then return nil end
  return 1, result
end

return common
