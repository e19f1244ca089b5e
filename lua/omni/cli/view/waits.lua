-- SPDX-License-Identifier: MIT
-- Keeps track of what a command is waiting for, so that a person can see why nothing is happening. A command can wait, for example, for a
-- retry, a free slot, a lock, a response, a callback, a slow transfer, or the end of a pause that the service requested. Most waits begin
-- and end with a client event (docs/reference.md, "Fields of a client event"). A wait without client events is begun and ended by the
-- command itself.

local loop = require "omni.loop"
local paths = require "omni.file.path"
local text = require "omni.cli.view.text"
local transfer = require "omni.cli.view.transfer"

local SLOW <const> = 3     -- seconds after which a request without a response, or a transfer, counts as a wait
local STALLED <const> = 5  -- a transfer has stalled after this many seconds without a byte, or after `patience` seconds if that is longer
local BRIEF <const> = 1    -- seconds after which a wait for a slot is shown
local GRACE <const> = 1    -- if a retry fails within this many seconds, the wait for the retry continues
local WORDY <const> = 70   -- on a line of at least this many columns, a transfer's description contains a verb

---@alias omni.cli.WaitKind
---| "lock"      another run uses the output folder
---| "pause"     the service asked for a pause of a key (429, 455)
---| "slots"     every slot of the keys is in use
---| "retry"     a call failed and will be retried
---| "response"  the service hasn't responded
---| "ledger"    the ledger's database can't be reached
---| "submit"    another run is submitting the scene
---| "callback"  a callback may name the task of a submit with an unknown outcome
---| "stalled"   a transfer moves no bytes
---| "download"  a download takes a long time
---| "upload"    an upload takes a long time
---| "film"      omni checks the clips and the film
---| "report"    omni makes the report and its pictures

---@class omni.cli.Wait
---@field number integer          counts this command's waits
---@field kind omni.cli.WaitKind
---@field since number            when the wait began, as a time of `now`
---@field ends? number            when it will end, if that is known
---@field key? string             the fingerprint of the key
---@field reason? string          an error code
---@field error? omni.Error
---@field scene? string
---@field file? string            the local path
---@field directory? string
---@field slots? integer          number of slots
---@field users? string           who uses the slots

local Waits_methods = {}
local Waits_mt = { __name = "omni.cli.waits", __index = Waits_methods }

-- --- text

local function left(waits, wait) return text.elapsed(math.max(0, math.ceil((wait.ends or 0) - waits.now()))) end

-- Returns how long a wait has lasted, such as ", 0:35", or "" if the wait has just begun.
local function lasting(waits, wait)
  local seconds = waits.now() - wait.since
  return seconds >= 1 and ", " .. text.elapsed(seconds) or ""
end

local verbs <const> = { download = { "downloading ", "received" }, upload = { "uploading ", "sent" } }

local function transfer_words(waits, wait, columns)
  local verb = waits.verbose and columns >= WORDY and verbs[wait.kind][1] or ""
  return verb .. wait.meter:words(columns - #verb)
end

-- The description and the rank of each kind of wait. The most important kinds have the lowest ranks.
local kinds <const> = {
  lock = { rank = 1, words = function(waits, wait, columns)
    local rest = "; waiting for it" .. lasting(waits, wait)
    local room = math.max(12, columns - #"another omni run uses " - #rest)
    return "another omni run uses " .. text.shorten(text.path(wait.directory), room) .. rest
  end },
  pause = { rank = 2, words = function(waits, wait)
    local why = wait.reason == "maintenance" and "the service is under maintenance" or "the service asks to wait"
    return ("%s, %s left%s"):format(why, left(waits, wait), wait.of_one_key and (" (key %s)"):format(wait.key) or "")
  end },
  slots = { rank = 3, words = function(waits, wait)
    return ("no free slot%s for %s%s"):format(wait.slots > 1 and (" of %d"):format(wait.slots) or "",
      text.elapsed(waits.now() - wait.since), wait.users and ": used by " .. wait.users or "")
  end },
  retry = { rank = 4, words = function(waits, wait)
    return ("trying again in %s: %s"):format(left(waits, wait), text.problem(wait.error))
  end },
  response = { rank = 5, words = function(waits, wait)
    return ("no response from the service for %s"):format(text.elapsed(waits.now() - wait.since))
  end },
  ledger = { rank = 3, words = function(waits, wait)
    return "waiting for the ledger, to record what has happened" .. lasting(waits, wait) .. ": " .. text.problem(wait.error)
  end },
  submit = { rank = 6, words = function(waits, wait)
    return ('another run is submitting scene "%s"; waiting for it%s'):format(text.clean(wait.scene), lasting(waits, wait))
  end },
  callback = { rank = 7, words = function(waits, wait)
    return ('waiting for a callback for scene "%s"%s'):format(text.clean(wait.scene), lasting(waits, wait))
  end },
  film = { rank = 10, slow = true, words = function(waits, wait) return "checking the clips and the film" .. lasting(waits, wait) end },
  report = { rank = 10, slow = true, words = function(waits, wait)
    return "making the report and its pictures" .. lasting(waits, wait)
  end },
  stalled = { rank = 8, words = function(waits, wait, columns)
    local meter = wait.meter
    local rest = (": nothing %s for %s"):format(verbs[wait.transfer][2], text.elapsed(waits.now() - wait.since))
    if meter.total and meter.total > 0 then rest = ("%s, %s of %s"):format(rest, text.bytes(meter.bytes), text.bytes(meter.total)) end
    return text.shorten(meter.name, math.max(8, columns - text.columns(rest))) .. rest
  end },
  download = { rank = 9, words = transfer_words },
  upload = { rank = 9, words = transfer_words },
}

---Returns a description of a wait, which can contain a countdown or the time since the wait began.
---@param wait omni.cli.Wait
---@param columns? integer  the text may be wider; the caller must then truncate it
---@return string
function Waits_methods:words(wait, columns)
  return kinds[wait.kind].words(self, wait, columns or math.maxinteger)
end

---Returns descriptions of the current waits, the most important wait first, each in at most `columns` columns.
---@param columns integer
---@param most integer  how many; if there are more waits, the last text says how many more
---@return string[]
function Waits_methods:lines(columns, most)
  local shown, lines = {}, {}
  for _, wait in ipairs(self.current) do
    if not wait.hidden then shown[#shown + 1] = wait end
  end
  table.sort(shown, function(a, b)
    local one, other = kinds[a.kind].rank, kinds[b.kind].rank
    if one ~= other then return one < other end
    return a.number < b.number
  end)
  for i = 1, math.min(#shown, most) do lines[i] = text.cut(self:words(shown[i], columns), columns) end
  if #shown > most and most > 0 then lines[most] = text.cut(("and %d more waits"):format(#shown - most + 1), columns) end
  return lines
end

-- --- begin and end

local function show(self, wait)
  self.last = self.last + 1
  wait.number = self.last
  self.current[#self.current + 1] = wait
  if self.on_begin then self.on_begin(wait) end
end

---Begins a wait. Some kinds of waits are shown only after a few seconds.
---@param kind omni.cli.WaitKind
---@param wait table  further fields of omni.cli.Wait
---@return omni.cli.Wait
function Waits_methods:begin(kind, wait)
  wait.kind, wait.since = kind, wait.since or self.now()
  if kinds[kind].slow then self.brief[wait] = true else show(self, wait) end
  return wait
end

---Ends a wait. Does nothing if `wait` is nil or has already ended.
---@param wait? omni.cli.Wait
function Waits_methods:over(wait)
  if wait then self.brief[wait] = nil end
  for index, one in ipairs(self.current) do
    if one == wait then
      table.remove(self.current, index)
      if self.on_over then self.on_over(one, self.now() - one.since) end
      return
    end
  end
end

---Discards all waits, since the command is ending. `on_over` isn't called.
function Waits_methods:close()
  self.current, self.brief, self.transfers, self.requests, self.on_begin, self.on_over = {}, {}, {}, {}, nil, nil
end

-- Returns a current wait of this kind for which `fits` returns true.
local function find(self, kind, fits)
  for _, wait in ipairs(self.current) do
    if wait.kind == kind and (not fits or fits(wait)) then return wait end
  end
end

-- --- the client's events

local on = {}

function on.paused(self, event)
  local wait = find(self, "pause", function(one) return one.key == event.key end)
  if wait then self:over(wait) end
  self:begin("pause", { key = event.key, reason = event.reason, ends = self.now() + event.seconds, of_one_key = self.has_keys() > 1 })
end

function on.resumed(self, event)
  self:over(find(self, "pause", function(one) return one.key == event.key end))
end

local is_pause <const> = { rate_limited = true, maintenance = true }

-- If a call is retried after the same error, the existing wait continues. If the retry is due to a pause, the pause is shown instead.
function on.retry(self, event)
  if is_pause[event.reason] then return end
  local wait = find(self, "retry", function(one) return one.error.message == event.error.message end)
  local ends = self.now() + event.seconds
  if not wait then return self:begin("retry", { error = event.error, reason = event.reason, ends = ends }) end
  wait.ends = wait.ends > self.now() and math.min(wait.ends, ends) or ends
end

-- Starts a fiber that looks up who is using the slots. First, the fiber waits for a moment, since a slot often becomes free soon.
function on.slots_full(self, event)
  self.full = event
  local since = self.now()
  loop.background(function()
    loop.sleep(BRIEF)
    if self.full ~= event then return end
    local users = self.find_users()
    if self.full == event then self:begin("slots", { slots = event.slots, users = users, since = since }) end
  end)
end

function on.ledger_waits(self, event)
  self:begin("ledger", { error = event.error })
end

function on.ledger_continues(self)
  self:over(find(self, "ledger"))
end

function on.slots_free(self)
  self.full = nil
  self:over(find(self, "slots"))
end

function on.request_begun(self, event)
  if event.file then
    local meter = transfer.meter(paths.name(event.file), self.now)
    self.transfers[event.request] = { kind = event.kind, file = event.file, meter = meter, since = self.now(), moved = self.now() }
  else
    self.requests[event.request] = self.now()
  end
end

function on.request_ended(self, event)
  local moving = self.transfers[event.request]
  self.requests[event.request], self.transfers[event.request] = nil, nil
  if not moving then return end
  self:over(moving.stalled)
  self:over(moving.wait)
end

local function progress(self, event)
  local moving = self.transfers[event.request]
  if not moving then return end
  moving.meter:progress(event.bytes, event.total)
  moving.moved = self.now()
  if moving.stalled then
    self:over(moving.stalled)
    moving.stalled = nil
    if moving.wait then moving.wait.hidden = nil end
  end
end

on.download, on.upload = progress, progress

---Handles an event from the client.
---@param event omni.ClientEvent
function Waits_methods:event(event)
  local act = on[event.event]
  if act then act(self, event) end
end

-- --- the clock

-- Begins the waits for transfers that take a long time or have stalled.
local function look_at_transfers(self)
  local now = self.now()
  for _, moving in pairs(self.transfers) do
    if not moving.wait and now - moving.since >= (self.slow or self.patience()) then
      moving.wait = self:begin(moving.kind, { file = moving.file, meter = moving.meter, since = moving.since })
    end
    if moving.wait and not moving.stalled and now - moving.moved >= math.max(STALLED, self.patience()) then
      moving.wait.hidden = true
      moving.stalled = self:begin("stalled", { file = moving.file, meter = moving.meter, since = moving.moved, transfer = moving.kind })
    end
  end
end

-- Begins or ends the wait for a response. All requests share one wait, which begins with the oldest request.
local function look_at_requests(self)
  local oldest
  for _, since in pairs(self.requests) do
    if not oldest or since < oldest then oldest = since end
  end
  local wait, is_late = find(self, "response"), oldest and self.now() - oldest >= self.patience()
  if wait and is_late then
    wait.since = oldest
  elseif is_late then
    self:begin("response", { since = oldest })
  else
    self:over(wait)
  end
end

---Begins and ends waits that depend on the time. The caller must call `tick` several times a second.
function Waits_methods:tick()
  local now = self.now()
  for _, wait in ipairs(table.move(self.current, 1, #self.current, 1, {})) do
    if wait.ends and now >= wait.ends + (wait.kind == "retry" and GRACE or 0) then self:over(wait) end
  end
  for wait in pairs(self.brief) do
    if now - wait.since >= self.patience() then
      self.brief[wait] = nil
      show(self, wait)
    end
  end
  look_at_transfers(self)
  look_at_requests(self)
end

---Returns the fields of a `wait` or `wait_over` event (json_events.lua).
---@param wait omni.cli.Wait
---@param took? number  seconds, of a wait that is over
---@return table
function Waits_methods:fields(wait, took)
  return {
    wait = wait.number, kind = wait.kind, key = wait.key, scene = wait.scene, file = wait.file, error = wait.error,
    message = not took and self:words(wait) or nil, seconds = took or wait.ends and wait.ends - self.now() or nil,
  }
end

---@class omni.cli.WaitsOptions
---@field now fun(): number                                     seconds
---@field on_begin? fun(wait: omni.cli.Wait)
---@field on_over? fun(wait: omni.cli.Wait, seconds: number)
---@field find_users? fun(): string|nil                         returns who uses the slots; may wait
---@field has_keys? fun(): integer                              how many API keys there are
---@field patience? fun(): number                               seconds after which slow things count as waits (3)
---@field slow? number                                          the same for transfers

---@param options omni.cli.WaitsOptions
---@return table waits
local function new(options)
  return setmetatable({
    now = options.now, on_begin = options.on_begin, on_over = options.on_over, find_users = options.find_users or function() return nil end,
    has_keys = options.has_keys or function() return 1 end, slow = options.slow,
    patience = options.patience or function() return SLOW end, verbose = not options.slow,
    current = {}, brief = {}, transfers = {}, requests = {}, last = 0,
  }, Waits_mt)
end

return { new = new }
