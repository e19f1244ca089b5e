-- SPDX-License-Identifier: MIT
-- Builds the report's section about a scene: the player, the prompt and the scene's data.

local html = require "omni.report.html"
local times_of = require "omni.report.times"
local wording = require "omni.report.wording"

local h, time = html.tag, times_of.time

-- number of players that load their clip's metadata immediately; later players load it when the user starts them
local eager_players <const> = 6
-- maximum size in bytes of a reference's embedded picture; the page embeds the picture once for each scene that uses the reference
local max_reference <const> = 200 * 1024
local long_prompt <const> = 1200 -- maximum length, in bytes, of a prompt that the report doesn't collapse

-- Maps a media file's extension to an HTML element.
local elements = {}
for kind, extensions in pairs {
  video = "mp4 m4v mov webm mkv ogv", audio = "mp3 wav m4a ogg oga flac aac", img = "png jpg jpeg webp gif",
} do
  for extension in extensions:gmatch("%S+") do elements[extension] = kind end
end

---@class omni.report.Context  data for all scenes
---@field data table                             of report.render
---@field embed fun(path?: string, most?: integer): string|nil  returns a picture as a data: URL
---@field numbers table<string, integer>         scene name → number
---@field players integer                        number of players so far

---Returns the symbol for a scene's state. The report shows the state's name next to the symbol.
local function icon(state)
  return h.svg { class = "icon", aria_hidden = "true", width = 16, height = 16, h.use { href = "#i-" .. state.icon } }
end

local function chip(state)
  return h.span { class = "chip " .. state.tone, icon(state), state.word }
end

---Returns a video player. The player has the clip's aspect ratio even before the clip is loaded.
---@param context omni.report.Context
---@param source string  URL
---@param label string  for screen readers
---@param poster? string  URL
---@param ratio? string   "16:9"
local function video(context, source, label, poster, ratio)
  context.players = context.players + 1
  local width, height = (ratio or ""):match("^(%d%d?%d?):(%d%d?%d?)$")
  if not width or tonumber(width) * tonumber(height) == 0 then width, height = 16, 9 end
  return h.video { src = source, controls = true, playsinline = true, poster = poster, width = width, height = height,
    aria_label = label, preload = context.players <= eager_players and "metadata" or "none", label }
end

local function extension_of(path)
  return (path:match("%.(%w+)$") or ""):lower()
end

local function medium(context, scene, number, path, ratio)
  local address = html.relative(path, true)
  if not address then return h.p { class = "path", path } end
  local kind = elements[extension_of(path)]
  local label = number == 1 and scene.name or ("%s, file %d"):format(scene.name, number)
  local player
  if kind == "video" then
    player = video(context, address, "Clip: " .. label, number == 1 and context.embed(scene.poster) or nil, ratio)
  elseif kind == "audio" then
    player = h.audio { src = address, controls = true, preload = "none", aria_label = "Sound: " .. label }
  elseif kind == "img" then
    player = h.img { src = address, alt = "Picture: " .. label, loading = "lazy" }
  end
  return { player, h.p { class = "path", h.a { href = address, path } } }
end

local function media(context, scene)
  local ratio
  for _, field in ipairs(scene.input or {}) do
    if field[1] == "aspect_ratio" then ratio = field[2] end
  end
  local files = {}
  for number, path in ipairs(scene.files or {}) do files[number] = medium(context, scene, number, path, ratio) end
  return #files > 0 and h.div { class = "media", files } or nil
end

-- --- words

local function prompt(text)
  local shown = h.p { class = "prompt", dir = "auto", text }
  if #text <= long_prompt then return shown end
  return h.details { class = "fold", h.summary { ("Prompt, %d characters"):format(utf8.len(text) or #text) }, shown }
end

-- Returns a link to a scene, or only the scene's name if the scene is unknown.
local function to_scene(context, name, shown)
  local number = context.numbers[name]
  return number and h.a { href = "#scene-" .. number, dir = "auto", shown } or h.span { dir = "auto", shown }
end

local function reference(context, given)
  local picture = context.embed(given.poster, max_reference)
  local address = given.path and html.relative(given.path) or given.url and html.web(given.url)
  local label = h.span { dir = "auto", given.label }
  local name = (given.path or ""):match("[^/]*$") -- only the file's name, so that the report doesn't reveal this machine's folders
  return h.li {
    picture and h.img { src = picture, alt = "", width = 56, height = 56 },
    given.scene and to_scene(context, given.scene, given.label)
      or address and h.a { href = address, rel = "noreferrer noopener", label }
      or { label, " ", given.path and name or given.url },
  }
end

local function references(context, scene)
  if #(scene.references or {}) == 0 then return nil end
  local items = {}
  for index, given in ipairs(scene.references) do items[index] = reference(context, given) end
  return { h.h4 { "References" }, h.ul { class = "references", items } }
end

-- Returns a string in which options such as "--adopt" can't be broken across two lines.
local function with_options(text)
  local parts, from = {}, 1
  for at, option, after in text:gmatch("()(%-%-[%w-]+)()") do
    parts[#parts + 1] = text:sub(from, at - 1)
    parts[#parts + 1] = h.span { class = "option", option }
    from = after
  end
  parts[#parts + 1] = text:sub(from)
  return parts
end

local function command(text) return h.code { class = "command", with_options(text) } end

-- Returns a piece of advice from wording.lua, with the commands inserted.
local function with_commands(advice, data)
  local board = data.board or "BOARD"
  local commands, parts = data.commands or { plan = "omni plan " .. board, run = "omni run " .. board }, {}
  for before, name in (advice .. "{}"):gmatch("([^{]*){(%l*)}") do
    parts[#parts + 1] = before
    parts[#parts + 1] = commands[name] and command(commands[name])
  end
  return parts
end

-- Returns a list of shell commands, each with a description of its effect.
local function ways(scene)
  local items = {}
  for index, way in ipairs(scene.ways or {}) do items[index] = h.li { way.what, ": ", command(way.command) } end
  return #items > 0 and h.ul { class = "ways", items } or nil
end

---Returns paragraphs about a scene's problem and possible remedies. Returns an empty list if there is no problem.
---@param scene table
---@param data table  of report.render
local function trouble(scene, data)
  local problem, advice = scene.error or {}, wording.states[scene.status].advice
  local hint = problem.hint and with_options(problem.hint) or advice and with_commands(advice, data)
  return {
    problem.message and h.p { dir = "auto", problem.message, problem.code and { " ", h.code { problem.code } } },
    hint and h.p { h.strong { "What to do: " }, hint },
    ways(scene),
  }
end

-- Returns a list of the differences between a scene's clip and the clip that the scene requested.
local function warnings(scene)
  local items = {}
  for index, warning in ipairs(scene.warnings or {}) do items[index] = h.p { dir = "auto", warning } end
  return #items > 0 and h.div { class = "trouble warn", items } or nil
end

local function builds_on(context, scene)
  local links = {}
  for index, name in ipairs(scene.builds_on or {}) do
    links[index] = { index > 1 and ", ", to_scene(context, name, name) }
  end
  return #links > 0 and links or nil
end

-- Returns the scene's input fields, except the prompt. The page shows short fields side by side.
local function fields(scene)
  local items = {}
  for index, field in ipairs(scene.input or {}) do
    local long = #field[2] > 40 or field[2]:find("\n", 1, true)
    items[index] = h.li { class = long and "long",
      h.span { class = "soft", field[1] }, " ", h.span { class = "value", dir = "auto", field[2] } }
  end
  return #items > 0 and h.ul { class = "fields", items } or nil
end

local function facts(context, scene)
  local times, rows = scene.times or {}, {}
  local function fact(name, value)
    if value then rows[#rows + 1] = { h.dt { name }, h.dd { value } } end
  end
  local planned = scene.action and scene.why and ("%s: %s"):format(scene.action, scene.why)
  fact("Plan", planned or scene.action or scene.why)
  fact("Take", scene.take)
  fact("Cost", wording.cost(scene, context.data.sandbox))
  fact("Model", scene.model)
  fact("Input", fields(scene))
  fact("Builds on", builds_on(context, scene))
  fact("Submitted", time(times.accepted) or time(times.intended))
  fact("Done", time(times.completed))
  fact("Fetched", time(times.fetched))
  fact("Generated in", wording.duration(scene.seconds))
  fact("Task", scene.task_id and h.code { class = "task", scene.task_id })
  return h.dl { class = "facts", rows }
end

---Returns the report's complete section about a scene.
---@param context omni.report.Context
---@param scene table
---@param number integer
local function article(context, scene, number)
  local state = wording.states[scene.status]
  local wrong, clips = trouble(scene, context.data), media(context, scene)
  return h.article { class = clips and "scene" or "scene bare", id = "scene-" .. number, aria_labelledby = "h-" .. number,
    h.header {
      h.h3 { id = "h-" .. number, dir = "auto", h.span { class = "number", number }, " ", scene.name },
      chip(state),
    },
    clips,
    h.div { class = "about",
      next(wrong) and h.div { class = "trouble " .. state.tone, wrong },
      warnings(scene),
      type(scene.prompt) == "string" and prompt(scene.prompt),
      references(context, scene),
    },
    facts(context, scene),
  }
end

return { article = article, chip = chip, icon = icon, trouble = trouble, video = video }
