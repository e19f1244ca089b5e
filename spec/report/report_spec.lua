-- SPDX-License-Identifier: MIT
-- The content of report.html. Its looks are tested in browser_spec.lua.

local env = require "helper.env"
local next_command = require "omni.storyboard.next_command"
local page_of = require "helper.report_page"
local report = require "omni.report"

local T, data_of, elements, has, has_not = page_of.T, page_of.data_of, page_of.elements, page_of.has, page_of.has_not
local render, scene_of, seen = page_of.render, page_of.scene_of, page_of.seen

describe("the report", function()
  it("is one file with one script, which can load only files beside it", function()
    local page = render { scene_of { files = { "media/dawn.mp4" } } }
    assert.equal("<!DOCTYPE html>\n<html", page:sub(1, 21))
    assert.equal(1, elements(page).script)
    has_not(page, "style=")
    assert.is_nil(page:find(' on%a+='))
    local policy = page:match('content="([^"]*)" http%-equiv="Content%-Security%-Policy"'):gsub("&#39;", "'")
    assert.matches("^default%-src 'none'; img%-src 'self' file: data:; media%-src 'self' file:; style%-src 'sha256%-[%w+/]+=*'; "
      .. "script%-src 'sha256%-[%w+/]+=*'; base%-uri 'none'; form%-action 'none'$", policy)
    for address in page:gmatch(' src="([^"]*)"') do assert.equal("media/dawn.mp4", address) end
  end)

  it("allows its style sheet and its script by the hashes that a browser computes", function()
    local files <close> = env.directory()
    local page = render { scene_of() }
    for _, name in ipairs { "style", "script" } do
      env.write(files:file(name), page:match("<" .. name .. ">(.-)</" .. name .. ">"))
      local hash = env.output(("openssl dgst -sha256 -binary < %s | openssl base64"):format(env.quote(files:file(name))))
      has(page, name .. "-src &#39;sha256-" .. hash:gsub("\n", "") .. "&#39;")
    end
  end)

  it("has the same script whatever its data, so that no text from outside is ever part of a script", function()
    local function script(page) return page:match("<script>(.-)</script>") end
    assert.equal(script(render({})), script(render({ scene_of { name = "</script><script>a()", prompt = "`${a()}`" } })))
  end)

  it("gives the same bytes for the same data", function()
    local scenes = { scene_of { files = { "a.mp4" }, times = { intended = T, accepted = T + 1 }, input = { { "duration", "6" } } } }
    assert.equal(render(scenes), render(scenes))
  end)

  it("shows the title, the board, the time and the figures", function()
    local page = render({ scene_of { credits = 6 }, scene_of { name = "storm", status = "waiting" } },
      { spent = { run = 6, board = 64.5 }, balance = 1, film = { path = "film.mp4", seconds = 75 } })
    has(page, "<title>The Night · report</title>")
    has(page, '<time data-at="2026-11-23T14:15:00Z" data-part="0 19" datetime="2026-11-23T14:15:00Z" '
      .. 'title="2026-11-23 14:15:00 UTC">2026-11-23 14:15:00 UTC</time>')
    local text = seen(page)
    for _, part in ipairs { "night.lua · ", "The Night", "Scenes done 1 of 2", "This run 6 credits", "This board, all runs 64.5 credits",
      "Left in the account 1 credit ", "The film lasts 1 min 15 s" } do has(text, part) end
  end)

  it("marks a rehearsal, and counts sandbox credits", function()
    local text = seen(render({ scene_of { credits = 6 } }, { sandbox = true, spent = { run = 6 } }))
    has(text, "Sandbox run: no real credits were spent")
    has(text, "Cost 6 sandbox credits")
    has_not(seen(render { scene_of { credits = 6 } }), "sandbox")
  end)

  it("shows the film, or why there is none", function()
    has(render({}, { film = { path = "the film.mp4" } }), 'src="the%20film.mp4"')
    has(seen(render({}, { film_problem = "ffmpeg isn't there" })), "There is no film: ffmpeg isn't there")
    has(seen(render({})), "There is no film yet.")
  end)

  it("shows all known data of a scene", function()
    local text = seen(render { scene_of {
      take = 2, model = "google/gemini-omni", prompt = "A quiet sea.", action = "submit", why = "the prompt changed", credits = 6,
      task_id = "d695-2f17", seconds = 92, builds_on = { "dusk" }, input = { { "duration", "6" }, { "aspect_ratio", "9:16" } },
      references = { { label = "keeper", path = "refs/keeper.png" } }, files = { "media/dawn.mp4" },
      times = { intended = T, accepted = T + 1, completed = T + 95, fetched = T + 120 },
    }, scene_of { name = "dusk" } })
    for _, part in ipairs { "1 dawn Done", "A quiet sea.", "Plan submit: the prompt changed", "Take 2", "Cost 6 credits",
      "Model google/gemini-omni", "duration 6", "aspect_ratio 9:16", "Builds on dusk", "Submitted 2026-11-23 14:05:01 UTC",
      "Done 2026-11-23 14:06:35 UTC", "Fetched 2026-11-23 14:07:00 UTC", "Generated in 1 min 32 s", "Task d695-2f17", "References keeper",
      "media/dawn.mp4" } do has(text, part) end
  end)

  it("gives a player the clip's shape before the clip is loaded", function()
    local function shape(ratio)
      local page = render { scene_of { files = { "a.mp4" }, input = { { "aspect_ratio", ratio } } } }
      return page:match('<video[^>]* height="(%d+)"') .. " " .. page:match('<video[^>]* width="(%d+)"')
    end
    assert.equal("16 9", shape "9:16")
    assert.equal("9 16", shape "16:9")
    assert.equal("9 16", shape "wide")
    assert.equal("9 16", shape "0:0")
  end)

  it("plays sounds, shows pictures, and links files that it can't show", function()
    local page = render { scene_of { files = { "a.mp4", "b.WAV", "c.png", "d.bin" } } }
    local count = elements(page)
    assert.same({ 1, 1, 1 }, { count.video, count.audio, count.img })
    for _, path in ipairs { "a.mp4", "b.WAV", "c.png", "d.bin" } do has(page, ('href="%s"'):format(path)) end
  end)

  it("loads only the beginnings of the first clips", function()
    local scenes = {}
    for n = 1, 40 do scenes[n] = scene_of { name = "s" .. n, files = { n .. ".mp4" } } end
    local _, eager = render(scenes):gsub('preload="metadata"', "")
    local _, lazy = render(scenes):gsub('preload="none"', "")
    assert.same({ 6, 34 }, { eager, lazy })
  end)

  it("folds long prompts, and keeps their line breaks", function()
    has(render { scene_of { prompt = "one\r\ntwo\n\tthree" } }, ">one\ntwo\n\tthree</p>")
    has(seen(render { scene_of { prompt = ("é"):rep(2000) } }), "Prompt, 2000 characters")
  end)

  it("opens without any scene", function()
    has(seen(render({})), "Scenes done 0 of 0")
    elements(render {})
  end)
end)

describe("a problem", function()
  it("is near the top with its reason and what to do, and links to its scene", function()
    local page = render { scene_of(), scene_of { name = "storm", status = "failed",
      error = { code = "generation_failed", message = "it was refused", hint = "change the prompt" } } }
    local list = page:match('<section[^>]* id="problems">(.-)</section>')
    has(list, 'href="#scene-2"')
    has(seen("<body>" .. list .. "</body>"), "storm Failed it was refused generation_failed What to do: change the prompt")
    has_not(list, "dawn")
    local article = page:match('id="scene%-2">(.-)</article>')
    has(seen("<body>" .. article .. "</body>"), "What to do: change the prompt")
    assert.is_nil(render({ scene_of() }):find('id="problems"', 1, true))
  end)

  it("has advice even if the error has no hint", function()
    local text = seen(render { scene_of { status = "unknown" }, scene_of { name = "b", status = "interrupted" } })
    has(text, "It may have been charged, and omni doesn't submit it again on its own. Check your account.")
    has(text, "omni run night.lua continues from here, and submits nothing twice.")
  end)

  it("shows the commands that the terminal shows", function()
    local ways = next_command.ways_out({ board = "my films/night.lua", out = "out" }, "the storm", 7, "/l/ledger.db")
    local page = render({ scene_of { status = "unknown", ways = ways, error = { message = "?", hint = "look at the account" } },
      scene_of { name = "b", status = "failed" } }, { commands = { plan = "omni plan x --sandbox", run = "omni run x --sandbox" } })
    local text = seen(page:gsub('<span class="option">(.-)</span>', "%1"))
    for _, line in ipairs(next_command.lines(ways)) do has(text, (line:gsub(":  ", ": "))) end
    has(text, "omni plan x --sandbox shows what the next run would do.")
  end)

  it("doesn't hide the rest of the page if everything failed", function()
    local scenes = {}
    for n = 1, 300 do scenes[n] = scene_of { name = "s" .. n, status = "failed", error = { message = "no" } } end
    local page = render(scenes)
    local _, items = page:match('id="problems">(.-)</section>'):gsub("<li", "")
    assert.equal(20, items)
    has(seen(page), "And 280 scenes more")
  end)
end)

describe("the cost of a scene", function()
  for _, case in ipairs {
    { { credits = 6 }, "6 credits" },
    { { credits = 1 }, "1 credit" },
    { { credits = 2.5 }, "2.5 credits" },
    { { credits = 6, status = "reused" }, "6 credits, paid before" },
    { {}, "cost unknown" },
    { { estimate = 6 }, "cost unknown, about 6 credits" },
    { { status = "unknown" }, "cost unknown: it may have been charged" },
    { { status = "unknown", estimate = 6 }, "cost unknown: about 6 credits may have been charged" },
    { { status = "failed" }, "nothing charged" },
    { { status = "failed", task_id = "a" }, "cost unknown" },
    { { status = "refused" }, "nothing charged" },
    { { status = "waiting", estimate = 6 }, "nothing charged yet, about 6 credits expected" },
    { { credits = 0 / 0 }, "cost unknown" },
    { { credits = math.huge }, "cost unknown" },
  } do
    it("is said as: " .. case[2], function()
      local said = render({ scene_of(case[1]) }):match("<dt>Cost</dt><dd>(.-)</dd>")
      assert.equal(case[2], said)
    end)
  end
end)

describe("each state", function()
  it("is shown by a word and a sign, not only by a colour", function()
    local words = {}
    for _, status in ipairs { "reused", "fetched", "failed", "refused", "unknown", "interrupted", "waiting", "blocked", "invalid" } do
      local page = render { scene_of { status = status } }
      local chip = page:match('</h3>(<span class="chip.-</span>)')
      local sign, word = chip:match('href="#(i%-%a+)".*</svg>(.-)</span>')
      has(page, ('<symbol id="%s"'):format(sign))
      assert.is_nil(words[word])
      words[word] = true
    end
  end)

  it("must be a known one", function()
    local fine, message = pcall(report.render, data_of { scene_of { status = "fetchd" } })
    assert.is_false(fine)
    assert.matches("scene 1: unknown status 'fetchd'; did you mean 'fetched'?", message, 1, true)
  end)
end)

describe("misuse", function()
  for what, data in pairs {
    ["no scenes"] = { made_at = T }, ["no time"] = { scenes = {}, made_at = 0 / 0 },
    ["an unknown key"] = { scenes = {}, made_at = T, tittle = "" },
    ["a scene's unknown key"] = { scenes = { { name = "a", status = "fetched", cost = 1 } }, made_at = T },
    ["a scene's wrong type"] = { scenes = { { name = "a", status = "fetched", files = "a.mp4" } }, made_at = T },
    ["a scene without a name"] = { scenes = { { status = "fetched" } }, made_at = T },
  } do
    it("raises at the caller's line: " .. what, function()
      for _, call in ipairs { function() report.render(data) end, function() report.write("/nowhere/x", data) end } do
        local fine, message = pcall(call)
        assert.is_false(fine)
        assert.matches("^spec/report/report_spec%.lua:%d+: report%.%l+", message)
      end
    end)
  end
end)
