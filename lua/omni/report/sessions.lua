-- SPDX-License-Identifier: MIT
-- Computes the timeline's data: each scene's phases, and the board's sessions. Work on a board can take days, so a session ends when no
-- scene has run for half an hour.

local wording = require "omni.report.wording"

local pause <const> = 1800 -- a session ends after this number of seconds without a running scene

---@class omni.report.Phase
---@field kind "sent"|"run"|"open"|"ready"  submitted and pending; being generated; still running; ready at the service
---@field from number                       Unix seconds
---@field to number

---@class omni.report.Track
---@field phases omni.report.Phase[]
---@field at number              the time of its last change
---@field times { intended?: number, accepted?: number, completed?: number, fetched?: number }  in order

-- Returns a scene's valid times in order. The time `completed` is from the service's clock; all other times are from this machine's clock.
-- If times contradict each other, this machine's clock takes precedence.
local function ordered(given)
  local times, last = {}, nil
  for _, name in ipairs { "intended", "accepted", "fetched" } do
    local at = wording.moment(given[name])
    times[name] = at and math.max(at, last or at)
    last = times[name] or last
  end
  local completed = wording.moment(given.completed)
  if completed then
    completed = math.max(completed, times.accepted or times.intended or completed)
    times.completed = math.min(completed, times.fetched or completed)
  end
  return times
end

---Returns the phases of a scene.
---@param scene table  of report.render's data
---@param now number   Unix seconds: used as the end of a phase that hasn't ended
---@return omni.report.Track|nil  nil for a scene without times
local function track(scene, now)
  local times = ordered(scene.times or {})
  local begun = times.intended or times.accepted or times.completed or times.fetched
  if not begun then return nil end
  local phases, at = {}, begun
  local function phase(kind, to)
    if to <= at then return end
    phases[#phases + 1] = { kind = kind, from = at, to = to }
    at = to
  end
  if times.completed then
    local seconds = wording.seconds_of(scene.seconds)
    local started = times.accepted or begun
    if seconds then started = math.max(started, times.completed - seconds) end
    phase("sent", started)
    phase("run", times.completed)
    if times.fetched then phase("ready", times.fetched) end
  elseif times.accepted then
    phase("sent", times.accepted)
    if times.fetched then
      phase("run", times.fetched)
    elseif scene.status == "interrupted" then
      phase("open", now)
    end
  end
  return { phases = phases, at = at, times = times }
end

---@class omni.report.Session
---@field from number  Unix seconds
---@field to number
---@field rows { index: integer, track: omni.report.Track }[]  the scenes that ran in it

local function add_row(session, index, track_of)
  local touches = track_of.at >= session.from and track_of.at <= session.to
  for _, phase in ipairs(track_of.phases) do
    touches = touches or phase.from < session.to and phase.to > session.from
  end
  if touches then session.rows[#session.rows + 1] = { index = index, track = track_of } end
end

---Returns a board's sessions, the latest one first.
---@param scenes table[]
---@param now number
---@return omni.report.Session[]
local function sessions(scenes, now)
  local tracks, spans = {}, {}
  for index, scene in ipairs(scenes) do
    local found = track(scene, now)
    tracks[index] = found or false
    for _, phase in ipairs(found and found.phases or {}) do
      if phase.kind ~= "ready" or phase.to - phase.from <= pause then spans[#spans + 1] = phase end
    end
    if found then spans[#spans + 1] = { from = found.at, to = found.at } end
  end
  table.sort(spans, function(a, b) return a.from < b.from end)
  local list = {}
  for _, span in ipairs(spans) do
    local current = list[1]
    if current and span.from - current.to <= pause then
      current.to = math.max(current.to, span.to)
    else
      table.insert(list, 1, { from = span.from, to = span.to, rows = {} })
    end
  end
  for _, session in ipairs(list) do
    for index, found in ipairs(tracks) do
      if found then add_row(session, index, found) end
    end
  end
  return list
end

return { sessions = sessions, track = track }
