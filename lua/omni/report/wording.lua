-- SPDX-License-Identifier: MIT
-- Creates the report's wording for states, credits, durations and times.

local core = require "omni.core"

---@class omni.report.State
---@field word string
---@field tone "done"|"bad"|"warn"|"busy"|"idle"  its colour
---@field icon string                             its symbol in style.lua
---@field charged "yes"|"maybe"|"no"              whether the service has charged it
---@field advice? string                          what a person can do; {plan} and {run} stand for commands

local next_plan = "{plan} shows what the next run would do."

---@type table<string, omni.report.State>
local states = {
  reused = { word = "Reused", tone = "done", icon = "again", charged = "yes" },
  fetched = { word = "Done", tone = "done", icon = "check", charged = "yes" },
  failed = { word = "Failed", tone = "bad", icon = "cross", charged = "maybe", advice = next_plan },
  invalid = { word = "Invalid", tone = "bad", icon = "bang", charged = "no", advice = "Correct the board. " .. next_plan },
  refused = { word = "Not submitted", tone = "warn", icon = "bar", charged = "no", advice = next_plan },
  unknown = { word = "Outcome unknown", tone = "warn", icon = "question", charged = "maybe",
    advice = "It may have been charged, and omni doesn't submit it again on its own. Check your account." },
  interrupted = { word = "Interrupted", tone = "busy", icon = "pause", charged = "yes",
    advice = "The task continues at the service. {run} continues from here, and submits nothing twice." },
  blocked = { word = "Blocked", tone = "warn", icon = "bar", charged = "no" },
  waiting = { word = "Not yet submitted", tone = "idle", icon = "dots", charged = "no" },
}

-- Returns the value if it is a finite number, or nil if it isn't.
local function finite(value)
  return type(value) == "number" and value == value and math.abs(value) < 1e15 and value or nil
end

---Returns a string such as "6 credits", "1 sandbox credit" or "2.5 credits", or nil if the value isn't an amount.
---@param amount any
---@param sandbox? boolean
---@return string|nil
local function credits(amount, sandbox)
  amount = finite(amount)
  if not amount then return nil end
  local number = core.format("%.14g", amount)
  return ("%s %scredit%s"):format(number, sandbox and "sandbox " or "", number == "1" and "" or "s")
end

---Describes a scene's cost.
---@param scene table
---@param sandbox? boolean
---@return string
local function cost(scene, sandbox)
  local known, about = credits(scene.credits, sandbox), credits(scene.estimate, sandbox)
  if known then return scene.status == "reused" and known .. ", paid before" or known end
  local charged = states[scene.status].charged
  if scene.status == "unknown" then
    return about and ("cost unknown: about %s may have been charged"):format(about) or "cost unknown: it may have been charged"
  elseif charged == "no" or charged == "maybe" and not scene.task_id then
    return about and ("nothing charged yet, about %s expected"):format(about) or "nothing charged"
  end
  return about and ("cost unknown, about %s"):format(about) or "cost unknown"
end

---Returns the value if it is a possible duration in seconds, or nil if it isn't.
---@param value any
---@return number|nil
local function seconds_of(value)
  value = finite(value)
  return value and value >= 0 and value or nil
end

---Returns a string such as "42 s", "7 min 12 s" or "1 h 05 min 09 s", or nil if the value isn't a duration. A duration below 10 s has one
---decimal place.
---@param seconds any
---@return string|nil
local function duration(seconds)
  seconds = seconds_of(seconds)
  if not seconds then return nil end
  if seconds < 9.95 then return (core.format("%.1f s", seconds):gsub("%.0", "")) end
  local whole = math.floor(seconds + 0.5)
  if whole < 60 then return ("%d s"):format(whole) end
  if whole < 3600 then return ("%d min %02d s"):format(whole // 60, whole % 60) end
  return ("%d h %02d min %02d s"):format(whole // 3600, whole % 3600 // 60, whole % 60)
end

---Formats a duration with a precision of a hundredth of a second, such as "12.5 s" or "2 min 05.04 s".
---@param seconds any
---@return string|nil
local function exact_duration(seconds)
  seconds = seconds_of(seconds)
  if not seconds then return nil end
  local hundredths = math.floor(seconds * 100 + 0.5)
  local whole, rest = hundredths // 100, hundredths % 100
  if whole < 60 then return core.format("%.14g s", hundredths / 100) end
  local fraction = rest > 0 and core.format("%.2f", rest / 100):sub(2):gsub("0$", "") or ""
  return (duration(whole):gsub(" s$", fraction .. " s"))
end

---Returns the value if it is a Unix time in the years 1970 to 9999, or nil if it isn't.
---@param value any
---@return number|nil
local function moment(value)
  value = finite(value)
  return value and value > 0 and value < 253402300800 and value or nil
end

---Formats a time in UTC with a format string for os.date.
---@param format string
---@param seconds number
---@return string
local function date(format, seconds)
  return os.date("!" .. format, math.floor(seconds)) --[[@as string]]
end

---Returns a number with its noun, such as "1 scene" or "3 scenes".
---@param number integer
---@param one string
---@return string
local function count(number, one)
  return number == 1 and "1 " .. one or ("%d %ss"):format(number, one)
end

return {
  cost = cost, count = count, credits = credits, date = date, duration = duration, exact_duration = exact_duration, moment = moment,
  seconds_of = seconds_of, states = states,
}
