-- SPDX-License-Identifier: MIT
-- report.html as text: what it says, what it never lets through, and how it is written. How it looks: report_browser_spec.lua.

local core = require "omni.core"
local embed = require "omni.report.embed"
local env = require "helper.env"
local mime = require "mime"
local report = require "omni.report"
local sessions = require "omni.report.sessions"

local T <const> = 1795442700 -- 2026-11-23 14:05:00 UTC

local function data_of(scenes, more)
  local data = { title = "The Night", board = "night.lua", made_at = T + 600, scenes = scenes }
  for name, value in pairs(more or {}) do data[name] = value end
  return data
end

local function scene_of(more)
  local scene = { name = "dawn", status = "fetched" }
  for name, value in pairs(more or {}) do scene[name] = value end
  return scene
end

local function render(scenes, more) return report.render(data_of(scenes, more)) end

local function has(text, part) assert.is_truthy(text:find(part, 1, true), "not there: " .. part) end

local function has_not(text, part) assert.is_nil(text:find(part, 1, true), "is there: " .. part) end

-- What a reader sees of the page's body: no tags, no entities, blanks as one.
local function seen(page)
  local text = page:match("<body>(.*)</body>"):gsub("<[^>]*>", "\1"):gsub("\1+", " "):gsub("%s+", " ")
  return (text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&#39;", "'"):gsub("&amp;", "&"))
end

-- The number of a page's elements of each name; fails when tags don't match or an attribute isn't quoted.
local function elements(page)
  local void = { meta = true, link = true, img = true, br = true }
  local open, count = {}, {}
  for close, name, attributes in page:gsub("<style>.-</style>", ""):gmatch("<(/?)(%a[%w]*)([^>]*)>") do
    if close == "/" then
      assert.equal(name, table.remove(open))
    else
      count[name] = (count[name] or 0) + 1
      local rest = attributes:gsub(' %a[%w-]*="[^"<]*"', ""):gsub(" controls", ""):gsub(" playsinline", "")
      assert.equal("", rest, "an attribute of " .. name)
      if not void[name] then open[#open + 1] = name end
    end
  end
  assert.same({}, open)
  return count
end

describe("the report", function()
  it("is one file without a script, which may load nothing but what lies beside it", function()
    local page = render { scene_of { files = { "media/dawn.mp4" } } }
    assert.equal("<!DOCTYPE html>\n<html", page:sub(1, 21))
    has_not(page, "<script")
    has_not(page, "style=")
    assert.is_nil(page:find(' on%a+='))
    local policy = page:match('content="([^"]*)" http%-equiv="Content%-Security%-Policy"'):gsub("&#39;", "'")
    assert.matches("^default%-src 'none'; img%-src 'self' file: data:; media%-src 'self' file:; style%-src 'sha256%-", policy)
    for address in page:gmatch(' src="([^"]*)"') do assert.equal("media/dawn.mp4", address) end
  end)

  it("allows its style sheet by the hash that a browser reckons", function()
    local files <close> = env.directory()
    local page = render { scene_of() }
    env.write(files:file "style", page:match("<style>(.-)</style>"))
    local hash = env.output(("openssl dgst -sha256 -binary < %s | openssl base64"):format(env.quote(files:file "style")))
    has(page, "&#39;sha256-" .. hash:gsub("\n", "") .. "&#39;")
  end)

  it("gives the same bytes for the same data", function()
    local scenes = { scene_of { files = { "a.mp4" }, times = { intended = T, accepted = T + 1 }, input = { { "duration", "6" } } } }
    assert.equal(render(scenes), render(scenes))
  end)

  it("says what it is about: title, board, when, figures", function()
    local page = render({ scene_of { credits = 6 }, scene_of { name = "storm", status = "waiting" } },
      { spent = { run = 6, board = 64.5 }, balance = 1, film = { path = "film.mp4", seconds = 75 } })
    has(page, "<title>The Night · report</title>")
    has(page, '<time datetime="2026-11-23T14:15:00Z">2026-11-23 14:15 UTC</time>')
    local text = seen(page)
    for _, part in ipairs { "night.lua · ", "The Night", "Scenes done 1 of 2", "This run 6 credits", "This board, all runs 64.5 credits",
      "Left in the account 1 credit ", "The film lasts 1 min 15 s" } do has(text, part) end
  end)

  it("says that a rehearsal was one, and counts sandbox credits", function()
    local text = seen(render({ scene_of { credits = 6 } }, { sandbox = true, spent = { run = 6 } }))
    has(text, "a rehearsal, no real credits were spent")
    has(text, "Cost 6 sandbox credits")
    has_not(seen(render { scene_of { credits = 6 } }), "sandbox")
  end)

  it("shows the film, or why there is none", function()
    has(render({}, { film = { path = "the film.mp4" } }), 'src="the%20film.mp4"')
    has(seen(render({}, { film_problem = "ffmpeg isn't there" })), "There is no film: ffmpeg isn't there")
    has(seen(render({})), "There is no film yet.")
  end)

  it("tells everything that is known of a scene", function()
    local text = seen(render { scene_of {
      take = 2, model = "google/gemini-omni", prompt = "A quiet sea.", action = "submit", why = "the prompt changed", credits = 6,
      task_id = "d695-2f17", seconds = 92, builds_on = { "dusk" }, input = { { "duration", "6" }, { "aspect_ratio", "9:16" } },
      references = { { label = "keeper", path = "refs/keeper.png" } }, files = { "media/dawn.mp4" },
      times = { intended = T, accepted = T + 1, completed = T + 95, fetched = T + 120 },
    }, scene_of { name = "dusk" } })
    for _, part in ipairs { "1 dawn Done", "A quiet sea.", "Plan submit: the prompt changed", "Take 2", "Cost 6 credits",
      "Model google/gemini-omni", "duration 6", "aspect_ratio 9:16", "Builds on dusk", "Submitted 2026-11-23 14:05 UTC",
      "Done 2026-11-23 14:06 UTC", "Fetched 2026-11-23 14:07 UTC", "Generated in 1 min 32 s", "Task d695-2f17", "References keeper",
      "media/dawn.mp4" } do has(text, part) end
  end)

  it("gives a player the shape of its clip before that is loaded", function()
    local function shape(ratio)
      local page = render { scene_of { files = { "a.mp4" }, input = { { "aspect_ratio", ratio } } } }
      return page:match('<video[^>]* height="(%d+)"') .. " " .. page:match('<video[^>]* width="(%d+)"')
    end
    assert.equal("16 9", shape "9:16")
    assert.equal("9 16", shape "16:9")
    assert.equal("9 16", shape "wide")
    assert.equal("9 16", shape "0:0")
  end)

  it("plays sounds, shows pictures, and offers what it can't show", function()
    local page = render { scene_of { files = { "a.mp4", "b.WAV", "c.png", "d.bin" } } }
    local count = elements(page)
    assert.same({ 1, 1, 1 }, { count.video, count.audio, count.img })
    for _, path in ipairs { "a.mp4", "b.WAV", "c.png", "d.bin" } do has(page, ('href="%s"'):format(path)) end
  end)

  it("loads the beginnings of the first clips only", function()
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

describe("what went wrong", function()
  it("stands near the top with its reason and what to do, linked to its scene", function()
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

  it("comes with advice even where the error brings none", function()
    local text = seen(render { scene_of { status = "unknown" }, scene_of { name = "b", status = "interrupted" } })
    has(text, "omni run night.lua --adopt SCENE TASK_ID if the task is there, --resubmit SCENE if it isn't.")
    has(text, "omni run night.lua goes on from here, and submits nothing twice.")
  end)

  it("doesn't bury the page when everything failed", function()
    local scenes = {}
    for n = 1, 300 do scenes[n] = scene_of { name = "s" .. n, status = "failed", error = { message = "no" } } end
    local page = render(scenes)
    local _, items = page:match('id="problems">(.-)</section>'):gsub("<li", "")
    assert.equal(20, items)
    has(seen(page), "And 280 scenes more")
  end)
end)

describe("what a scene cost", function()
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
    { { status = "waiting", estimate = 6 }, "nothing charged, about 6 credits to come" },
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
  it("is told by a word and a sign, and not by colour alone", function()
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

  it("has to be one that is known", function()
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
        assert.matches("^spec/report_spec%.lua:%d+: report%.%l+", message)
      end
    end)
  end
end)

describe("hostile text", function()
  local evil = [["'></title></style></script><script>a()</script><img src=x onerror=a()><svg/onload=a()>]]
    .. "\0\27[2J\u{202E}\xff--><!--&lt;"
  local path = evil:gsub("\0", "\1") -- what a file can be called
  local hostile = {
    title = evil, board = evil, film = { path = path .. ".mp4" }, film_problem = evil,
    scenes = {
      { name = evil, status = "failed", action = evil, take = 1, model = evil, prompt = evil,
        input = { { evil, evil }, { "aspect_ratio", evil } },
        references = { { label = evil, path = path }, { label = evil, url = "https://" .. evil }, { label = evil, url = evil },
          { label = evil, scene = evil } },
        builds_on = { evil, "no such scene" },
        files = { path .. ".mp4", path .. ".png", path .. ".wav", path, evil }, task_id = evil, why = evil,
        error = { code = evil, message = evil, hint = evil }, times = { intended = T, accepted = T } },
    },
  }
  local page = render(hostile.scenes, hostile)

  it("stays text, wherever it stands", function()
    local count = elements(page)
    assert.is_nil(count.script)
    assert.equal(1, count.img) -- the scene's own picture
    assert.equal(1, count.title)
    assert.is_nil(page:find("<!--", 1, true))
    for _, part in ipairs { "<script", "<svg/", "onerror=a()>" } do has_not(page, part) end
    has(page, "&lt;/script&gt;&lt;script&gt;a()&lt;/script&gt;&lt;img src=x onerror=a()&gt;")
    has(page, "--&gt;&lt;!--&amp;lt;")
  end)

  it("leaves no control characters, no bidi overrides and no broken UTF-8", function()
    assert.is_nil(page:find("[\0-\8\11-\31\127]"))
    has_not(page, "\u{202E}")
    assert.is_truthy(utf8.len(page))
  end)
end)

describe("addresses", function()
  local function reference(given)
    given.label = "L"
    local item = render({ scene_of { references = { given } } }):match('class="references">(.-)</ul>')
    return item:match('href="(.-)"') or false, item
  end

  it("lead into the web only by http and https", function()
    for url, address in pairs {
      ["https://a.example/b?c=d&e=f"] = "https://a.example/b?c=d&amp;e=f",
      ["HTTP://a.example"] = "HTTP://a.example",
      ['https://a.example/"><b> x'] = "https://a.example/%22%3E%3Cb%3E%20x", ["https://a.example/ü"] = "https://a.example/%C3%BC",
      ["javascript:alert(1)"] = false, [" javascript:alert(1)"] = false, ["java\nscript:alert(1)"] = false, ["data:text/html,x"] = false,
      ["file:///etc/passwd"] = false, ["//a.example"] = false, ["https://"] = false, ["https:///x"] = false, ["vbscript:x"] = false,
    } do
      local found, item = reference { url = url }
      assert.equal(address, found, url)
      if not address then assert.is_nil(item:find("<a", 1, true)) end
    end
  end)

  it("of files are relative, percent-encoded, and never another kind of address", function()
    for path, address in pairs {
      ["refs/a b.png"] = "refs/a%20b.png", ["../refs/k.png"] = "../refs/k.png", ["100%.png"] = "100%25.png",
      ["a?b#c.png"] = "a%3Fb%23c.png", ["é\n.png"] = "%C3%A9%0A.png",
      ["javascript:alert(1)"] = "javascript%3Aalert%281%29", ["https://a.example/x"] = "https%3A//a.example/x",
      ["/home/somebody/k.png"] = false, ["//a.example/x"] = false,
    } do assert.equal(address, (reference { path = path }), path) end
  end)

  it("don't tell where a file lies on this machine", function()
    local page = render { scene_of { references = { { label = "keeper", path = "/home/somebody/k.png" } } } }
    has(seen(page), "keeper k.png")
    has_not(page, "somebody")
  end)

  it("of clips never leave the folder", function()
    for _, path in ipairs { "../a.mp4", "media/../../a.mp4", "/a.mp4", "//a.example/a.mp4", "..", "" } do
      local page = render({ scene_of { files = { path } } }, { film = { path = path } })
      assert.is_nil(page:find("<video", 1, true), path)
    end
    has(render { scene_of { files = { "media/..a.mp4" } } }, 'src="media/..a.mp4"')
  end)

  it("lead from a scene to those that it builds on, or takes a frame from", function()
    local page = render { scene_of(), scene_of { name = "storm", builds_on = { "dawn", "gone" },
      references = { { label = "its last frame", scene = "dawn" } } } }
    local article = page:match('id="scene%-2">(.-)</article>')
    local _, links = article:gsub('href="#scene%-1"', "")
    assert.equal(2, links)
    has(seen("<body>" .. article .. "</body>"), "Builds on dawn , gone")
  end)
end)

describe("pictures", function()
  local files = env.directory()
  local jpeg = "\xFF\xD8\xFF\xE0" .. ("picture\0"):rep(400) .. "!"
  env.write(files:file "a.jpg", jpeg)

  local function poster(path) return render({ scene_of { files = { "a.mp4" }, poster = path } }):match(' poster="(.-)"') end

  it("are carried in the page, byte by byte", function()
    for extra = 0, 2 do
      local bytes = jpeg .. ("x"):rep(extra)
      env.write(files:file "b.jpg", bytes)
      local kind, text = poster(files:file "b.jpg"):match("^data:(image/jpeg);base64,(.*)$")
      assert.equal("image/jpeg", kind)
      assert.equal(bytes, (mime.unb64(text)))
    end
  end)

  it("are shown for references, too", function()
    local page = render { scene_of { references = { { label = "keeper", poster = files:file "a.jpg" } } } }
    assert.matches('<img[^>]* src="data:image/jpeg;base64,', page)
  end)

  it("are known by what is in them, and by nothing else", function()
    for bytes, kind in pairs {
      ["\x89PNG\r\n\x1A\nrest"] = "image/png", ["RIFF\1\2\3\4WEBPrest"] = "image/webp", ["GIF89arest"] = "image/gif",
    } do
      env.write(files:file "x.jpg", bytes)
      assert.matches("^data:" .. kind .. ";", poster(files:file "x.jpg"))
    end
    for _, bytes in ipairs { "", "<svg onload='a()'>", "GIF", "<html>" } do
      env.write(files:file "x.jpg", bytes)
      assert.is_nil(poster(files:file "x.jpg"))
    end
  end)

  it("are left out when they are too large, or can't be read, or aren't files", function()
    env.write(files:file "large.jpg", "\xFF\xD8\xFF" .. ("x"):rep(200 * 1024 - 2))
    assert.is_nil(poster(files:file "large.jpg"))
    env.write(files:file "fits.jpg", "\xFF\xD8\xFF" .. ("x"):rep(200 * 1024 - 3))
    assert.is_truthy(poster(files:file "fits.jpg"))
    for _, path in ipairs { files:file "none.jpg", files.path, "/dev/zero" } do assert.is_nil(poster(path)) end
  end)

  it("are left out when all of them together are too many", function()
    local picture = embed.embedder(2 * #jpeg + 1)
    local found = {}
    for n = 1, 3 do found[n] = picture(files:file "a.jpg") ~= nil end
    assert.same({ true, true, false }, found)
  end)
end)

describe("the time line", function()
  local function kinds(scene, now)
    local track = sessions.track(scene, now or T + 1000)
    if not track then return nil end
    local said = {}
    for index, phase in ipairs(track.phases) do said[index] = ("%s %d-%d"):format(phase.kind, phase.from - T, phase.to - T) end
    return table.concat(said, ", ")
  end

  it("tells submitting, generating and waiting to be fetched apart", function()
    local times = { intended = T, accepted = T + 2, completed = T + 100, fetched = T + 110 }
    assert.equal("sent 0-40, run 40-100, ready 100-110", kinds { status = "fetched", times = times, seconds = 60 })
    assert.equal("sent 0-2, run 2-100, ready 100-110", kinds { status = "fetched", times = times })
    assert.equal("sent 0-2, run 2-100, ready 100-110", kinds { status = "fetched", times = times, seconds = 500 })
    assert.equal("sent 0-2, run 2-110", kinds { status = "fetched", times = { intended = T, accepted = T + 2, fetched = T + 110 } })
    assert.equal("", kinds { status = "unknown", times = { intended = T } })
    assert.is_nil(kinds { status = "waiting" })
  end)

  it("shows what goes on at the service as going on", function()
    assert.equal("sent 0-2, open 2-1000", kinds { status = "interrupted", times = { intended = T, accepted = T + 2 } })
  end)

  it("never runs backwards, whatever the service's clock says", function()
    for _, completed in ipairs { T - 5000, T + 5000 } do
      local times = { intended = T, accepted = T + 2, completed = completed, fetched = T + 110 }
      local track = sessions.track({ status = "fetched", times = times, seconds = 60 }, T + 1000)
      local at = T
      for _, phase in ipairs(track.phases) do
        assert.equal(at, phase.from)
        assert.is_true(phase.to > phase.from)
        at = phase.to
      end
      assert.equal(T + 110, at)
    end
  end)

  it("leaves out times that are none", function()
    for _, wrong in ipairs { 0 / 0, math.huge, -math.huge, -1, 0, 1e300, "soon" } do
      assert.is_nil(kinds { status = "fetched", times = { intended = wrong, accepted = wrong, completed = wrong, fetched = wrong } })
      local page = render { scene_of { times = { intended = T, completed = wrong }, seconds = tonumber(wrong) } }
      has_not(page, "nan")
      has_not(page, "inf%")
    end
  end)

  it("ends a session where nothing ran for half an hour, and begins with the latest", function()
    local function shot(at) return { status = "fetched", times = { intended = T + at, accepted = T + at + 1, fetched = T + at + 60 } } end
    local list = sessions.sessions({ shot(0), shot(90000), shot(1700), shot(90030) }, T + 100000)
    local found = {}
    for index, session in ipairs(list) do
      local rows = {}
      for n, row in ipairs(session.rows) do rows[n] = row.index end
      found[index] = ("%d-%d: %s"):format(session.from - T, session.to - T, table.concat(rows, " "))
    end
    assert.same({ "90000-90090: 2 4", "0-1760: 1 3" }, found)
  end)

  it("doesn't stretch to the next morning over a clip that lay ready all night", function()
    local list = sessions.sessions({
      { status = "fetched", times = { intended = T, accepted = T + 1, completed = T + 100, fetched = T + 30000 } },
      { status = "fetched", times = { intended = T + 30000, accepted = T + 30001, completed = T + 30100, fetched = T + 30110 } },
    }, T + 31000)
    assert.equal(2, #list)
    assert.equal(110, list[1].to - list[1].from)
    assert.equal(100, list[2].to - list[2].from)
    assert.same({ 2, 1 }, { #list[1].rows, #list[2].rows })
  end)

  it("puts bars where they belong, and says the same in words", function()
    local page = render {
      scene_of { times = { intended = T, accepted = T + 1, completed = T + 50, fetched = T + 60 }, seconds = 49 },
      scene_of { name = "late", times = { intended = T + 50, accepted = T + 51, completed = T + 100, fetched = T + 100 }, seconds = 49 },
    }
    local bars = {}
    for x, width in page:match("<tbody>(.-)</tbody>"):gmatch('class="phase run"[^>]* width="([%d.]+)%%" x="([%d.]+)%%"') do
      bars[#bars + 1] = { x = tonumber(width), width = tonumber(x) }
    end
    assert.equal(2, #bars)
    assert.is_true(math.abs(bars[1].width - bars[2].width) < 0.1)
    assert.is_true(math.abs((bars[2].x - bars[1].x) / bars[1].width - 50 / 49) < 0.02)
    has(seen(page), "dawn Done 14:05:00 14:05:50 14:06:00 49 s")
    for _, tick in ipairs { "14:05:00", "14:05:30", "14:06:00", "14:06:30" } do has(page:match("<thead>.-</thead>"), ">" .. tick .. "<") end
  end)

  it("has few ticks over seconds, days and centuries", function()
    for _, span in ipairs { 0, 1, 7, 59, 600, 5000, 86400, 1e6, 1e9 } do
      local page = render { scene_of { times = { intended = T, fetched = T + span, accepted = T } } }
      local _, ticks = page:match("<thead>(.-)</thead>"):gsub("<text", "")
      assert.is_true(ticks >= 1 and ticks <= 7, ("%g s: %d"):format(span, ticks))
    end
  end)

  it("is left out when nothing is known", function()
    assert.is_nil(render({ scene_of() }):find('id="timeline"', 1, true))
  end)
end)

describe("writing the report", function()
  it("replaces the old one by a whole new one, and leaves nothing else behind", function()
    local files <close> = env.directory()
    local path = env.write(files:file "report.html", "old")
    assert.equal(path, report.write(path, data_of { scene_of() }))
    assert.equal(render { scene_of() }, env.read(path))
    assert.same({ "report.html" }, files:names())
  end)

  it("says so when it can't be written, and leaves what was there", function()
    local files <close> = env.directory()
    assert(core.make_directory(files:file "report.html"))
    for _, path in ipairs { files:file "report.html", files:file "none/report.html" } do
      local done, problem = report.write(path, data_of {})
      assert.is_nil(done)
      assert.equal("io", problem.code)
      assert.matches("report can't be written", problem.message)
    end
    assert.same({ "report.html" }, files:names())
  end)

  it("takes a moment for 1,000 scenes", function()
    local scenes = {}
    for n = 1, 1000 do
      scenes[n] = scene_of { name = "scene " .. n, files = { n .. ".mp4" }, prompt = ("A quiet sea, with <gulls>. "):rep(20), credits = 6,
        times = { intended = T + n, accepted = T + n, completed = T + n + 60, fetched = T + n + 61 } }
    end
    local before = os.clock()
    local page = render(scenes)
    assert.is_true(os.clock() - before < env.seconds(2))
    assert.equal(1000, elements(page).article)
  end)
end)
