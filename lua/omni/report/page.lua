-- SPDX-License-Identifier: MIT
-- Builds the report's page: the head, the film, the key figures, the problems, and the sections that other modules build.

local html = require "omni.report.html"
local scene_name = require "omni.report.scene_name"
local sessions = require "omni.report.sessions"
local scene_part = require "omni.report.scene"
local style = require "omni.report.style"
local timeline = require "omni.report.timeline"
local times = require "omni.report.times"
local version = require "omni.version"
local wording = require "omni.report.wording"

local h = html.tag

local max_problems <const> = 20 -- maximum number of problems listed near the top; each problem is also shown with its scene

-- The Content-Security-Policy allows files next to the page, embedded pictures, and the page's own style sheet and script. It forbids the
-- network.
local policy = "default-src 'none'; img-src 'self' file: data:; media-src 'self' file:; style-src 'sha256-%s'; script-src 'sha256-%s'; "
  .. "base-uri 'none'; form-action 'none'"

local function head(title, hash)
  return h.head {
    h.meta { charset = "utf-8" },
    h.meta { http_equiv = "Content-Security-Policy", content = policy:format(hash(style.sheet), hash(times.script)) },
    h.meta { name = "referrer", content = "no-referrer" },
    h.meta { name = "viewport", content = "width=device-width, initial-scale=1" },
    h.meta { name = "color-scheme", content = "light dark" },
    h.link { rel = "icon", href = "data:," },
    h.title { title },
    h.style { html.raw(style.sheet) },
  }
end

local function film(context)
  local data = context.data
  if not data.film then
    return h.p { class = "nofilm", data.film_problem and { "There is no film: ", data.film_problem } or "There is no film yet." }
  end
  local address = html.relative(data.film.path, true)
  return {
    address and scene_part.video(context, address, "The film: " .. context.title, context.embed(data.film.poster)),
    h.p { class = "path", address and h.a { href = address, data.film.path } or data.film.path },
    data.film_problem and h.p { class = "nofilm", data.film_problem },
  }
end

local function stage(context)
  local data = context.data
  return h.header { class = "stage",
    h.div { class = "wide",
      h.p { class = "eyebrow", data.board and { h.span { dir = "auto", data.board }, " · " }, times.time(data.made_at),
        data.sandbox and { " · ", h.strong { "Sandbox run: no real credits were spent" } } },
      h.h1 { dir = "auto", context.title },
      film(context),
    },
  }
end

-- --- figures

local function count(data, wanted)
  local n = 0
  for _, scene in ipairs(data.scenes) do
    if wanted(wording.states[scene.status], scene) then n = n + 1 end
  end
  return n
end

-- Returns the run's duration: the time from the first submit to the last fetched file in the latest session.
local function run_time(data)
  local made = {}
  for _, scene in ipairs(data.scenes) do
    if scene.status ~= "reused" then made[#made + 1] = scene end
  end
  local latest = sessions.sessions(made, data.made_at)[1]
  return latest and wording.duration(latest.to - latest.from)
end

local function figures(data)
  local items = {}
  local function figure(label, value)
    if not value then return end
    local number, unit = value:match("^([%d.-]+) (%a[%a ]*)$")
    items[#items + 1] = h.div { h.dt { label }, h.dd { number and { number, h.span { class = "unit", " ", unit } } or value } }
  end
  local spent = data.spent or {}
  local done = count(data, function(state) return state.tone == "done" end)
  figure("Scenes done", ("%d of %d"):format(done, #data.scenes))
  figure("This run", wording.credits(spent.run, data.sandbox))
  figure("This board, all runs", wording.credits(spent.board, data.sandbox))
  if (spent.estimated or 0) > 0 then figure("Not yet reported, about", wording.credits(spent.estimated, data.sandbox)) end
  figure("Left in the account", wording.credits(data.balance, data.sandbox))
  figure("The run took", run_time(data))
  figure("The film lasts", data.film and wording.exact_duration(data.film.seconds))
  return h.section { aria_labelledby = "h-figures",
    h.h2 { id = "h-figures", class = "hidden", "Summary" },
    h.dl { class = "figures", items } }
end

-- --- problems

local function problems(data)
  local items, more = {}, 0
  for number, scene in ipairs(data.scenes) do
    local state = wording.states[scene.status]
    if state.advice and #items == max_problems then
      more = more + 1
    elseif state.advice then
      items[#items + 1] = h.li { class = state.tone,
        h.p { h.a { href = "#scene-" .. number, dir = "auto", scene.name }, " ", scene_part.chip(state) },
        scene_part.trouble(scene, data) }
    end
  end
  if #items == 0 then return nil end
  return h.section { id = "problems", aria_labelledby = "h-problems",
    h.h2 { id = "h-problems", "What you need to do" },
    h.ul { class = "problems", items },
    more > 0 and h.p { ("And %s more, each with its reason below."):format(wording.count(more, "scene")) },
  }
end

local function glance(data)
  local items = {}
  for number, scene in ipairs(data.scenes) do
    local state = wording.states[scene.status]
    items[number] = h.li { h.a { class = "chip " .. state.tone, href = "#scene-" .. number, scene_part.icon(state),
      h.span { class = "hidden", state.word .. ": " }, scene_name.shortened(scene.name) } }
  end
  return h.nav { aria_labelledby = "h-glance", h.h2 { id = "h-glance", "Scenes at a glance" }, h.ol { class = "glance", items } }
end

local function scenes(context)
  local articles = {}
  for number, scene in ipairs(context.data.scenes) do articles[number] = scene_part.article(context, scene, number) end
  return h.section { id = "scenes", tabindex = -1, aria_labelledby = "h-scenes", h.h2 { id = "h-scenes", "Scenes" }, articles }
end

-- --- the page

-- Returns the symbols for all states of a scene. Other parts of the page show a symbol by referring to the symbol's id.
local function signs()
  local symbols = {}
  for index, sign in ipairs(style.signs) do
    symbols[index] = h.symbol { id = "i-" .. sign[1], viewBox = "0 0 16 16", h.path { d = sign[2] } }
  end
  return h.svg { class = "hidden", aria_hidden = "true", width = 0, height = 0, symbols }
end

---Returns the page as HTML.
---@param data table        checked (omni.report.render)
---@param embed fun(path?: string, most?: integer): string|nil
---@param hash fun(text: string): string  returns the SHA-256 of a text, in base64
---@return string
local function page(data, embed, hash)
  local context = { data = data, embed = embed, players = 0, numbers = {}, title = data.title or data.board or "Film" }
  for number, scene in ipairs(data.scenes) do context.numbers[scene.name] = number end
  return "<!DOCTYPE html>\n" .. html.render(h.html { lang = "en",
    head(context.title .. " · report", hash),
    h.body {
      h.a { class = "skip", href = "#scenes", "Skip to the scenes" },
      signs(),
      stage(context),
      h.main { class = "wide",
        figures(data),
        problems(data),
        #data.scenes > 0 and glance(data),
        timeline.section(data),
        #data.scenes > 0 and scenes(context),
      },
      h.footer { class = "wide", h.p { "Made by omni " .. version .. ". ", times.sentence(data.made_at) } },
      h.script { html.raw(times.script) },
    },
  }) .. "\n"
end

return { page = page }
