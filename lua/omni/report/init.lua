-- SPDX-License-Identifier: MIT
-- report.html: what a run made, as one file that opens from disk, offline, without a script.

local core = require "omni.core"
local embed = require "omni.report.embedded_images"
local err = require "omni.error"
local options = require "omni.options"
local page = require "omni.report.page"
local style = require "omni.report.style"
local words = require "omni.report.wording"

---@class omni.report.Reference
---@field label string
---@field path? string    relative to the report
---@field url? string     linked when it is http(s)
---@field scene? string   the scene that it is taken from, linked
---@field poster? string  path of a picture to embed

---@class omni.report.Scene
---@field name string
---@field status "reused"|"fetched"|"failed"|"refused"|"unknown"|"interrupted"|"waiting"|"blocked"|"invalid"
---@field action? string         what the plan said of it: "reuse", "resume", "submit", "wait", "unknown", "invalid"
---@field why? string            why it was submitted
---@field take? integer
---@field model? string
---@field prompt? any           shown when it is a string; a model of another kind may have none
---@field input? { [1]: string, [2]: string }[]  further fields and their values, as text
---@field references? omni.report.Reference[]
---@field builds_on? string[]    names of scenes
---@field files? string[]        relative to the report
---@field poster? string         path of a picture to embed
---@field credits? number        what it cost
---@field estimate? number       what it was thought to cost
---@field task_id? string
---@field times? { intended?: number, accepted?: number, completed?: number, fetched?: number }  Unix seconds
---@field seconds? number        that the generation took
---@field warnings? string[]     in what its clip isn't what was asked for
---@field error? { code?: string, message?: string, hint?: string }

---@class omni.report.Data
---@field scenes omni.report.Scene[]
---@field made_at number         Unix seconds
---@field title? string
---@field board? string          the board's file, by name
---@field sandbox? boolean
---@field film? { path: string, seconds?: number, poster?: string }  path: relative to the report; poster: a picture to embed
---@field film_problem? string   why there is none, or what is wrong with it
---@field spent? { run?: number, board?: number }  credits, of this run and of all runs of this board
---@field balance? number        credits

local known = {
  scenes = "table", made_at = "number", title = "string", board = "string", sandbox = "boolean", film = "table", film_problem = "string",
  spent = "table", balance = "number",
}
local known_scene = {
  name = "string", status = "string", action = "string", why = "string", take = "integer", model = "string", prompt = "any",
  input = "table", references = "table", builds_on = "table", files = "table", poster = "string", credits = "number",
  estimate = "number", task_id = "string", times = "table", seconds = "number", error = "table",
  warnings = "table",
}

-- Raises at the level of the caller's caller.
local function check(data, what)
  options.check(data, known, what, 3)
  if not data or not data.scenes then error(what .. ": 'scenes' is missing", 3) end
  if not words.moment(data.made_at) then error(what .. ": 'made_at' must be Unix seconds", 3) end
  for number, scene in ipairs(data.scenes) do
    local where = ("%s, scene %d"):format(what, number)
    options.check(scene, known_scene, where, 3)
    if not scene.name then error(where .. ": 'name' is missing", 3) end
    if not words.states[scene.status] then
      error(("%s: unknown status '%s'; %s"):format(where, tostring(scene.status), options.unknown(scene.status, words.states)), 3)
    end
  end
end

local function render(data)
  local hash = core.sha256(style.sheet):gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end)
  return page.page(data, embed.embedder(), embed.base64(hash))
end

---The report as HTML. The same data and pictures give the same bytes. A picture that can't be read, is none, or is larger than
---200 KiB is left out.
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

---Writes the report; what was at the path stays until the new one is whole.
---@param path string
---@param data omni.report.Data
---@param place? fun(part: string, path: string): true|nil, string|nil  gives it its name, instead of replacing what is there
---@return string|nil path
---@return omni.Error|nil err  code "io"
local function write(path, data, place)
  options.path(path, "report.write")
  check(data, "report.write")
  local part = ("%s.%s.part"):format(path, core.token(4)) -- two runs of one board may end at once
  local fine, why = write_file(part, render(data))
  if fine then fine, why = (place or os.rename)(part, path) end
  if fine then return path end
  os.remove(part)
  return nil, err.new { code = "io", message = "the report can't be written: " .. core.clean(why, 400) }
end

return { render = checked_render, write = write }
