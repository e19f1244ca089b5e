-- SPDX-License-Identifier: MIT
-- Writes report.html, a single file that shows a run's results and works offline. In a browser without scripts, the report shows times in
-- UTC.

local core = require "omni.core"
local embedded_images = require "omni.report.embedded_images"
local err = require "omni.error"
local options = require "omni.options"
local page = require "omni.report.page"
local wording = require "omni.report.wording"

---@class omni.report.Reference
---@field label string
---@field path? string    relative to the report
---@field url? string     a link if it is http(s)
---@field scene? string   the scene that it comes from
---@field poster? string  path of a picture to embed

---@class omni.report.Scene
---@field name string
---@field status "reused"|"fetched"|"failed"|"refused"|"unknown"|"interrupted"|"waiting"|"blocked"|"invalid"
---@field action? string         of the plan: "reuse", "resume", "submit", "wait", "unknown", "invalid"
---@field why? string            the reason for the action
---@field take? integer
---@field model? string
---@field prompt? any           shown if it is a string
---@field input? { [1]: string, [2]: string }[]  further fields and their values, as text
---@field references? omni.report.Reference[]
---@field builds_on? string[]    names of scenes
---@field files? string[]        relative to the report
---@field poster? string         path of a picture to embed
---@field credits? number        its cost
---@field estimate? number       its estimated cost
---@field task_id? string
---@field times? { intended?: number, accepted?: number, completed?: number, fetched?: number }  Unix seconds
---@field seconds? number        duration of the generation
---@field warnings? string[]     differences between its clip and the request
---@field error? { code?: string, message?: string, hint?: string }
---@field ways? omni.NextCommand[]  what a person can do about it

---@class omni.report.Data
---@field scenes omni.report.Scene[]
---@field made_at number         Unix seconds
---@field title? string
---@field board? string          name of the board's file
---@field sandbox? boolean
---@field film? { path: string, seconds?: number, poster?: string }  path: relative to the report; poster: a picture to embed
---@field film_problem? string   why there is no film, or what is wrong with it
---@field commands? { plan: string, run: string }  commands for a shell
---@field spent? { run?: number, board?: number, estimated?: number }  estimated: not reported yet
---@field balance? number        credits

local known = {
  scenes = "table", made_at = "number", title = "string", board = "string", sandbox = "boolean", film = "table", film_problem = "string",
  spent = "table", balance = "number", commands = "table",
}
local known_scene = {
  name = "string", status = "string", action = "string", why = "string", take = "integer", model = "string", prompt = "any",
  input = "table", references = "table", builds_on = "table", files = "table", poster = "string", credits = "number",
  estimate = "number", task_id = "string", times = "table", seconds = "number", error = "table",
  warnings = "table", ways = "table",
}

-- Raises an error for invalid data. The error message names the line of the caller's caller.
local function check(data, what)
  options.check(data, known, what, 3)
  if not data or not data.scenes then error(what .. ": 'scenes' is missing", 3) end
  if not wording.moment(data.made_at) then error(what .. ": 'made_at' must be Unix seconds", 3) end
  for number, scene in ipairs(data.scenes) do
    local where = ("%s, scene %d"):format(what, number)
    options.check(scene, known_scene, where, 3)
    if not scene.name then error(where .. ": 'name' is missing", 3) end
    if not wording.states[scene.status] then
      error(("%s: unknown status '%s'; %s"):format(where, tostring(scene.status), options.unknown(scene.status, wording.states)), 3)
    end
  end
end

local function hash(text)
  return embedded_images.base64((core.sha256(text):gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)))
end

local function render(data) return page.page(data, embedded_images.embedder(), hash) end

---Returns the report as HTML. The same data and pictures always result in the same HTML. Omits a picture if its file can't be read, isn't a
---picture, or is larger than 512 KiB.
---@param data omni.report.Data
---@return string
local function checked_render(data)
  check(data, "report.render")
  return render(data)
end

local function write_file(path, text)
  local file <close>, message = core.open(path, "x")
  if not file then return nil, message end
  local fine, why = file:write(text)
  if fine then fine, why = file:close() end
  return fine, why
end

---Writes the report. The file at `path` keeps its old content until the new report is complete.
---@param path string
---@param data omni.report.Data
---@param place? fun(part: string, path: string): true|nil, string|nil  renames the report, instead of replacing the file at `path`
---@return string|nil path
---@return omni.Error|nil err  code "io"
local function write(path, data, place)
  options.path(path, "report.write")
  check(data, "report.write")
  local part = ("%s.%s.part"):format(path, core.token(4)) -- a unique name, since two runs of one board can end at the same time
  local fine, why = write_file(part, render(data))
  if fine then fine, why = (place or os.rename)(part, path) end
  if fine then return path end
  os.remove(part)
  return nil, err.new { code = "io", message = "can't write the report: " .. core.clean(why, 400) }
end

return { render = checked_render, write = write }
