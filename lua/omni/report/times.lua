-- SPDX-License-Identifier: MIT
-- Shows points in time. The report's page contains all times in UTC. A small script on the page converts the times to the reader's time
-- zone. The page's Content-Security-Policy contains the script's hash, and allows no other script.

local html = require "omni.report.html"
local wording = require "omni.report.wording"

local h = html.tag

-- The script replaces the text of each element that has the attribute data-part. The attribute data-part specifies which part of a string
-- such as "2026-11-23 14:05:00" the element shows. The script omits the date if it is the same as the date in the attribute data-since.
local script = [[
"use strict";
const offset = (at) => -new Date(at).getTimezoneOffset();
const local = (at) => new Date(Date.parse(at) + offset(at) * 60000).toISOString().slice(0, 19).replace("T", " ");
const zone = (at) => {
  const minutes = Math.abs(offset(at)), rest = minutes % 60;
  if (!minutes) return "UTC";
  return "UTC" + (offset(at) < 0 ? "-" : "+") + Math.floor(minutes / 60) + (rest ? ":" + String(rest).padStart(2, "0") : "");
};
for (const element of document.querySelectorAll("[data-part]")) {
  const { at, part, since } = element.dataset, text = local(at), [from, to] = part.split(" ");
  element.textContent = text.slice(since && local(since).slice(0, 10) === text.slice(0, 10) ? 11 : from, to);
}
for (const element of document.querySelectorAll("[data-zone]")) element.textContent = zone(element.dataset.zone);
for (const element of document.querySelectorAll("[data-zone-name]")) {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  element.textContent = "Times are in your time zone (" + [name, zone(element.dataset.zoneName)].filter(Boolean).join(", ")
    + "). Point at a time to see it in UTC.";
}
]]

-- The parts of a string such as "2026-11-23 14:05:00", each with the positions before its first character and after its last character.
local parts = {
  second = { 0, 19 }, minute = { 0, 16 }, second_of_day = { 11, 19 }, minute_of_day = { 11, 16 }, day_and_minute = { 5, 16 },
}

local function stamp(at) return wording.date("%FT%TZ", at) end

local function utc(at) return wording.date("%F %T UTC", at) end

-- Returns the attributes that the page's script reads, and the text that a browser without scripts shows.
local function attributes(at, part, since)
  local from, to = parts[part][1], parts[part][2]
  if since and wording.date("%F", at) == wording.date("%F", since) then from = 11 end
  return { data_at = stamp(at), data_part = ("%d %d"):format(parts[part][1], to), data_since = since and stamp(since) },
    wording.date("%F %T", at):sub(from + 1, to)
end

---Returns an element for a point in time, or nil if the value isn't a valid time.
---@param at any                Unix seconds
---@param part? "second"|"minute"|"second_of_day"  what it shows; nil: to the second, with the word UTC until the script runs
---@param since? number         leaves out the date if it is the date of this time
---@return table|nil
local function time(at, part, since)
  at = wording.moment(at)
  if not at then return nil end
  local element, text = attributes(at, part or "second", since)
  element.datetime, element.title, element[1] = stamp(at), utc(at), text .. (part and "" or " UTC")
  return h.time(element)
end

---Returns an SVG text element for a point in time.
---@param at number                                  Unix seconds
---@param part "second_of_day"|"minute_of_day"|"day_and_minute"
---@param x string
---@param y number
---@return table
local function label(at, part, x, y)
  local element, text = attributes(at, part)
  element.x, element.y, element.text_anchor, element[1] = x, y, "middle", text
  return h.g { h.title { utc(at) }, h.text(element) }
end

---Returns an element that shows the time zone.
---@param at number  Unix seconds
---@return table
local function zone(at) return h.span { data_zone = stamp(at), "UTC" } end

---Returns a sentence about the time zone of the page's times.
---@param at number  Unix seconds
---@return table
local function sentence(at) return h.span { data_zone_name = stamp(at), "Times are in UTC." } end

return { label = label, script = script, sentence = sentence, time = time, zone = zone }
