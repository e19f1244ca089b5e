-- SPDX-License-Identifier: MIT
-- report.html as people see it: in Chromium, from disk. With OMNI_SCREENSHOTS=DIR, screenshots are stored in that folder.

local browser = require "helper.browser"
local env = require "helper.env"
local many = require("helper.report_page").many
local media = require "omni.sandbox.drawing"
local report = require "omni.report"

if not browser.program() then
  describe("the report in a browser", function() pending("all is skipped: there is no Chromium (Debian: chromium)") end)
  return
end

local T <const> = 1795442700
local evil <const> = "'\"></p></script><script>window.pwned = 1</script><img src=x onerror=\"window.pwned = 2\">"
  .. "<svg onload=pwned=3>&lt;\n  <!--"
local odd_name <const> = "a clip's 100% #1?.mp4"

local files, chromium

local function scenes_of(count, more)
  local states = { "fetched", "failed", "unknown", "interrupted", "reused", "blocked", "invalid", "waiting", "refused" }
  local scenes = {}
  for n = 1, count do
    local status = states[(n - 1) % #states + 1]
    local done = status == "fetched" or status == "reused"
    scenes[n] = {
      name = "scene " .. n, status = status, prompt = "A quiet sea at dawn.\n\nThe camera rises.", model = "google/gemini-omni", take = 1,
      input = { { "duration", "6" } }, estimate = 6, credits = done and 6 or nil, files = done and { "media/clip.mp4" } or nil,
      poster = done and files:file "poster.jpg" or nil, task_id = "d6956973-2f17-43d4-8514-af6cc3a2f55d",
      times = { intended = T + n, accepted = T + n + 1, completed = done and T + n + 60 or nil, fetched = done and T + n + 65 or nil },
      error = not done and { code = "some_code", message = "it went wrong", hint = "try --another" } or nil,
    }
    for name, value in pairs(more or {}) do scenes[n][name] = value end
  end
  return scenes
end

local function write(name, scenes, more)
  local data = { title = "The Night", board = "night.lua", made_at = T + 300, scenes = scenes, sandbox = true,
    spent = { run = 12, board = 64.5 }, balance = 400, film = { path = "media/clip.mp4", seconds = 1, poster = files:file "poster.jpg" } }
  for key, value in pairs(more or {}) do data[key] = value end
  return assert(report.write(files:file(name), data))
end

setup(function()
  files = env.directory()
  assert(require "omni.core".make_directory(files:file "media"))
  for _, name in ipairs { "clip.mp4", odd_name } do
    assert(media.clip({ prompt = "x", seconds = 1, builtin = true }, files:file("media/" .. name)))
  end
  env.output(("ffmpeg -v error -f lavfi -i testsrc=s=320x180 -frames:v 1 %s"):format(env.quote(files:file "poster.jpg")))
  chromium = browser.open()
end)

teardown(function()
  chromium:close()
  files:close()
end)

-- Opens a report, and returns its page; what it must never do is checked when that is closed.
local Visit_mt = { __index = function(visit, name)
  return function(_, ...) return visit.page[name](visit.page, ...) end
end }

function Visit_mt:__close()
  local page = self.page
  for _, address in ipairs(page.requests) do
    local inside = address:sub(1, #files.path + 8) == "file://" .. files.path .. "/"
    assert.is_true(inside or address:find("^data:") ~= nil, "the page asked for " .. address:sub(1, 200))
  end
  assert.same({}, page.console)
  page:close()
end

local function visit(path, options)
  local page = chromium:page(options)
  page:open(path)
  return setmetatable({ page = page }, Visit_mt)
end

-- In the page: waits until a player knows its clip, or why it doesn't.
local known <const> = [[function known(video) {
  return new Promise(done => {
    const tell = () => done([video.readyState >= 1, video.duration, video.videoWidth, video.error && video.error.message].join(" "));
    if (video.readyState >= 1 || video.error) return tell();
    video.onloadedmetadata = video.onerror = tell;
    video.load();
  });
}]]

describe("the report in a browser", function()
  it("plays its film and its clips, whatever the names of the files", function()
    local scenes = scenes_of(3, { status = "fetched", files = { "media/clip.mp4", "media/" .. odd_name } })
    local page <close> = visit(write("players.html", scenes))
    local found = page:evaluate(("(async () => { %s; const all = []; for (const v of document.querySelectorAll('video')) "
      .. "all.push(await known(v)); return all.join('\\n') })()"):format(known))
    local count = 0
    for line in found:gmatch("[^\n]+") do
      assert.matches("^true 1%.?%d* 160 $", line)
      count = count + 1
    end
    assert.equal(7, count)
    assert.is_true(page:evaluate "[...document.querySelectorAll('video')].every(v => !v.autoplay && v.controls)")
    assert.equal(1, page:evaluate [[new Promise(done => {
      const v = document.querySelector('main video');
      v.muted = true;
      v.ontimeupdate = () => v.currentTime > 0 && done(1);
      v.play();
    })]])
  end)

  it("shows its embedded pictures", function()
    local scenes = scenes_of(1, { references = { { label = "keeper", poster = files:file "poster.jpg" } } })
    local page <close> = visit(write("pictures.html", scenes))
    assert.equal(320, page:evaluate [[(async () => {
      const image = document.querySelector('.references img');
      await image.decode();
      return image.naturalWidth;
    })()]])
    assert.equal(320, page:evaluate [[new Promise(done => {
      const image = new Image();
      image.onload = () => done(image.naturalWidth);
      image.src = document.querySelector('.scene video').poster;
    })]])
  end)

  it("shows hostile text as text everywhere", function()
    local scenes = scenes_of(2, {
      name = evil, status = "failed", prompt = evil, why = evil, task_id = evil, model = evil, input = { { evil, evil } },
      files = { "media/" .. evil:gsub("/", "|") },
      references = { { label = evil, path = evil }, { label = evil, url = "javascript:window.pwned = 4" },
        { label = evil, url = "http://a.example/" .. evil } },
      builds_on = { evil }, error = { code = evil, message = evil, hint = evil },
    })
    local page <close> = visit(write("hostile.html", scenes, { title = evil, board = evil, film_problem = evil }))
    assert.equal(evil, page:evaluate "document.querySelector('.prompt').textContent")
    assert.equal(evil:gsub("%s+", " "), (page:evaluate("document.title"):gsub(" · report$", "")))
    assert.equal("undefined", page:evaluate "typeof window.pwned")
    assert.equal(0, page:evaluate [[document.querySelectorAll('body > script ~ *, script:not(body > script), iframe, object, embed, '
      + 'form, base, main img, svg[onload]').length]])
    assert.equal("", page:evaluate [[ [...document.querySelectorAll('*')].flatMap(e => [...e.attributes]).map(a => a.name)
      .filter(n => n.startsWith('on') || n === 'style').join() ]])
    assert.equal("", page:evaluate "[...document.links].filter(l => !['file:', 'http:'].includes(l.protocol)).map(l => l.href).join()")
  end)

  it("can't load anything from outside or run a script, because of its policy", function()
    local page = chromium:page()
    page:open(write("policy.html", scenes_of(1)))
    local stopped = page:evaluate [[(async () => {
      const seen = [];
      document.addEventListener('securitypolicyviolation', e => seen.push(e.effectiveDirective));
      const add = (name, set) => document.body.append(Object.assign(document.createElement(name), set));
      add('img', { src: 'http://127.0.0.1:9/x' }); add('video', { src: 'http://127.0.0.1:9/x' });
      add('script', { textContent: 'window.ran = 1' }); add('style', { textContent: 'body { display: none }' });
      add('iframe', { src: 'http://127.0.0.1:9/x' });
      fetch('http://127.0.0.1:9/x').catch(() => 0);
      for (const end = Date.now() + 5000; seen.length < 6 && Date.now() < end;) await new Promise(done => setTimeout(done, 1));
      return seen.sort().join(' ') + ' ' + typeof window.ran;
    })()]]
    assert.equal("connect-src frame-src img-src media-src script-src-elem style-src-elem undefined", stopped)
    page:close()
  end)

  it("is a valid page: headings, names, links that lead somewhere", function()
    local page <close> = visit(write("order.html", scenes_of(9)))
    assert.equal("", page:evaluate [[(() => {
      const wrong = [], all = s => [...document.querySelectorAll(s)];
      let level = 0;
      for (const h of all('h1, h2, h3, h4')) {
        const n = +h.tagName[1];
        if (n > level + 1) wrong.push('after h' + level + ' comes ' + h.outerHTML);
        level = n;
      }
      if (all('h1').length !== 1 || all('main').length !== 1) wrong.push('not one h1, one main');
      const ids = all('[id]').map(e => e.id);
      if (new Set(ids).size !== ids.length) wrong.push('an id twice');
      for (const e of all('[href^="#"]')) if (!document.getElementById(e.getAttribute('href').slice(1))) wrong.push(e.outerHTML);
      for (const e of all('[aria-labelledby]')) if (!document.getElementById(e.getAttribute('aria-labelledby'))) wrong.push(e.outerHTML);
      for (const e of all('img')) if (!e.hasAttribute('alt')) wrong.push(e.outerHTML);
      for (const e of all('video, audio')) if (!e.getAttribute('aria-label')) wrong.push(e.outerHTML);
      if (document.documentElement.lang !== 'en' || document.compatMode !== 'CSS1Compat') wrong.push('lang, mode');
      return wrong.join('\n');
    })()]])
  end)

  it("can be used with the keyboard: a link to the scenes comes first, and the focus is visible", function()
    local page <close> = visit(write("keys.html", scenes_of(9)))
    page:press "Tab"
    assert.equal("Skip to the scenes", page:evaluate "document.activeElement.textContent")
    assert.is_true(page:evaluate "document.activeElement.getBoundingClientRect().top >= 0")
    assert.equal("solid", page:evaluate "getComputedStyle(document.activeElement).outlineStyle")
    page:press "Enter"
    assert.equal("scenes", page:evaluate "document.activeElement.id")
    page:press "Tab"
    assert.equal("VIDEO", page:evaluate "document.activeElement.tagName")
    local passed = {}
    for _ = 1, 80 do
      page:press "Tab"
      local tag, style = page:evaluate("document.activeElement.tagName + ' ' + getComputedStyle(document.activeElement).outlineStyle")
        :match("^(%S+) (%S+)$")
      passed[tag] = true
      if tag ~= "BODY" and tag ~= "VIDEO" then assert.not_equal("none", style, tag) end
    end
    assert.is_true(passed.A and passed.VIDEO)
    assert.equal(0, page:evaluate "[...document.querySelectorAll('.scroll')].filter(e => e.tabIndex !== 0).length")
  end)

  -- Returns the contrast of each text with its background, as WCAG computes it.
  local contrast <const> = [[(() => {
    const rgb = text => { const n = text.match(/[\d.]+/g).map(Number); return n.length > 3 && n[3] === 0 ? null : n };
    const light = c => c.slice(0, 3).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const wrong = []; let seen = 0;
    for (const e of document.body.querySelectorAll('*')) {
      if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || e.closest('.hidden, video, symbol')) continue;
      const style = getComputedStyle(e), colour = rgb(e.tagName === 'text' ? style.fill : style.color);
      let ground = null;
      for (let at = e; at && !ground; at = at.parentElement) ground = rgb(getComputedStyle(at).backgroundColor);
      const [a, b] = [light(colour), light(ground)].sort((x, y) => y - x);
      seen++;
      if ((a + .05) / (b + .05) < 4.5) wrong.push(((a + .05) / (b + .05)).toFixed(2) + ' ' + e.outerHTML.slice(0, 120));
    }
    return seen < 100 ? 'only ' + seen : [...new Set(wrong)].join('\n');
  })()]]

  -- How light a screenshot is, from 0 to 255.
  local function brightness(page, name)
    local picture = env.write(files:file "shot.png", page:screenshot())
    local keep = os.getenv "OMNI_SCREENSHOTS"
    if keep then env.write(("%s/report-%s.png"):format(keep, name), env.read(picture)) end
    return env.output(("ffmpeg -v error -i %s -vf scale=1:1:flags=area,format=gray -f rawvideo -"):format(env.quote(picture))):byte()
  end

  for scheme, wanted in pairs { light = { 170, 255 }, dark = { 5, 80 } } do
    for device, size in pairs { desk = { 1280, 900 }, phone = { 390, 844 } } do
      it(("is %s where that is liked, and its text stands out (%s)"):format(scheme, device), function()
        local page <close> = visit(write("looks.html", scenes_of(9)),
          { scheme = scheme, width = size[1], height = size[2], mobile = device == "phone" })
        brightness(page, scheme .. "-" .. device)
        assert.equal("", page:evaluate(contrast))
        page:evaluate "document.querySelector('#problems').scrollIntoView()"
        local found = brightness(page, scheme .. "-" .. device .. "-2")
        assert.is_true(found >= wanted[1] and found <= wanted[2], "brightness " .. found)
      end)
    end
  end

  it("fits any width from 320 pixels on; only the time line scrolls sideways, in its own box", function()
    local scenes = scenes_of(9, { builds_on = { "scene 1", ("long"):rep(60) }, references = { { label = ("long"):rep(60) } },
      input = { { "negative_prompt", ("x"):rep(300) } } })
    scenes[2].name, scenes[2].prompt = ("name"):rep(50), ("prompt"):rep(100)
    local path = write("narrow.html", scenes, { title = ("Title"):rep(20), film_problem = ("why"):rep(50) })
    for _, width in ipairs { 320, 390, 768, 1280, 1920 } do
      local page <close> = visit(path, { width = width, mobile = width < 700 })
      assert.equal(width, page:evaluate "document.documentElement.scrollWidth")
      assert.equal(width, page:evaluate "innerWidth")
      local box = "document.querySelector('.scroll')"
      if width == 320 then assert.is_true(page:evaluate(box .. ".scrollWidth > " .. box .. ".clientWidth")) end
      assert.equal("", page:evaluate [[[...document.querySelectorAll('.scene > *, .scene dd, .problems li, .figures > *')]
        .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 100)).join()]])
    end
  end)

  -- Returns the texts of all times of a page, and the text that the mouse shows for each.
  local function times_of(path, zone, scripts)
    local page <close> = visit(path, { zone = zone, scripts = scripts })
    local list = page:evaluate [[ [...document.querySelectorAll('time')].map(e => e.textContent + ' (' + e.title + ')').join('\n') ]]
    local axis = page:evaluate [[ [...document.querySelectorAll('.axis g > text')].map(e => e.textContent + ' ('
      + e.parentNode.querySelector('title').textContent + ')').join('\n') ]]
    return list, axis, page:evaluate "document.querySelector('footer').textContent",
      page:evaluate "document.querySelector('#timeline h3').textContent"
  end

  it("shows times in the reader's time zone, and in UTC below the mouse", function()
    local path = write("zone.html", scenes_of(1))
    local list, axis, footer, heading = times_of(path, "Asia/Kolkata")
    assert.matches("^2026%-11%-23 19:40:00 %(2026%-11%-23 14:10:00 UTC%)\n", list) -- made at
    assert.matches("\n19:36:01 %(2026%-11%-23 14:06:01 UTC%)\n", list) -- done, in the time line
    assert.matches("\n2026%-11%-23 19:36:01 %(2026%-11%-23 14:06:01 UTC%)\n", list) -- done, with the scene
    assert.matches("19:35:30 %(2026%-11%-23 14:05:30 UTC%)", axis)
    assert.matches("Times are in your time zone %(Asia/[%a]+, UTC%+5:30%)", footer)
    assert.equal("2026-11-23 19:35 to 19:36 UTC+5:30", heading)
    assert.matches("UTC%-5%)", (select(3, times_of(path, "America/New_York"))))
  end)

  it("shows the date of a time on another day, as the reader's calendar has it", function()
    local scenes = scenes_of(1)
    scenes[1].times = { intended = T + 33000, accepted = T + 33001, completed = T + 33300, fetched = T + 34000 } -- 23:15 to 23:31 UTC
    local path = write("midnight.html", scenes)
    assert.equal("2026-11-23 23:15 to 23:31 UTC", (select(4, times_of(path, "Etc/UTC"))))
    assert.equal("2026-11-24 04:45 to 05:01 UTC+5:30", (select(4, times_of(path, "Asia/Kolkata"))))
    scenes[1].times.completed, scenes[1].times.fetched = T + 35900, T + 36000 -- 00:05 UTC
    path = write("midnight.html", scenes)
    assert.equal("2026-11-23 23:15 to 2026-11-24 00:05 UTC", (select(4, times_of(path, "Etc/UTC"))))
    assert.equal("2026-11-24 04:45 to 05:35 UTC+5:30", (select(4, times_of(path, "Asia/Kolkata"))))
  end)

  it("shows times in UTC without scripts", function()
    local list, axis, footer, heading = times_of(write("still.html", scenes_of(1)), "Asia/Kolkata", false)
    assert.matches("^2026%-11%-23 14:10:00 UTC %(2026%-11%-23 14:10:00 UTC%)\n", list)
    assert.matches("14:05:30 %(", axis)
    assert.matches("Times are in UTC%.", footer)
    assert.equal("2026-11-23 14:05 to 14:06 UTC", heading)
  end)

  it("keeps the end of a long name, which often distinguishes scenes", function()
    local scenes = scenes_of(2)
    for n, scene in ipairs(scenes) do scene.name = ("the keeper of the lighthouse on the black headland "):rep(3) .. "take " .. n end
    local path = write("names.html", scenes)
    for _, width in ipairs { 390, 1200 } do
      local page <close> = visit(path, { width = width, mobile = width < 700 })
      assert.equal("", page:evaluate [[[...document.querySelectorAll('.glance .name, .timeline .name')].map(name => {
        const box = name.parentNode.getBoundingClientRect(), end = name.lastChild, at = end.getBoundingClientRect();
        const shown = at.width > 0 && at.left >= box.left && at.right <= box.right + 1 && end.scrollWidth <= at.width + 1;
        return shown && /take \d$/.test(end.textContent) && name.textContent.length > 100 ? '' : name.outerHTML;
      }).join('')]])
    end
  end)

  it("scrolls its time line sideways on a phone, and says so", function()
    local path = write("sideways.html", scenes_of(9))
    for width, wanted in pairs { [390] = true, [768] = true, [1200] = false } do
      local page <close> = visit(path, { width = width, mobile = width < 700 })
      assert.equal(wanted, page:evaluate "document.querySelector('.sideways').checkVisibility()")
      assert.equal(wanted, page:evaluate [[(() => {
        const box = document.querySelector('.scroll'), name = box.querySelector('tbody th'), left = name.getBoundingClientRect().left;
        box.scrollLeft = 100;
        return box.scrollLeft === 100 && Math.abs(name.getBoundingClientRect().left - left) < 1; // the names stay in sight
      })()]])
    end
  end)

  it("prints completely, with folded parts open and nothing cut off", function()
    local long = ("A quiet sea at dawn. "):rep(100)
    local page <close> = visit(write("paper.html", scenes_of(9, { prompt = long })), { media = "print", scheme = "dark", width = 760 })
    assert.is_true(page:evaluate "document.querySelector('.fold .prompt').getBoundingClientRect().height > 100")
    assert.equal("visible", page:evaluate "getComputedStyle(document.querySelector('.scroll')).overflowX")
    assert.equal("rgb(255, 255, 255)", page:evaluate "getComputedStyle(document.querySelector('.stage')).backgroundColor")
    assert.equal("", page:evaluate(contrast))
  end)

  it("opens 1,000 scenes without drawing those out of sight, and jumps to any of them", function()
    local page <close> = visit(write("many.html", scenes_of(many)))
    local id = "scene-" .. many * 9 // 10
    local in_sight = ("document.querySelector('#%s dl').checkVisibility({ contentVisibilityAuto: true })"):format(id)
    assert.is_false(page:evaluate(in_sight)) -- neither laid out nor drawn
    page:evaluate(("new Promise(done => { location.hash = '#%s'; requestAnimationFrame(() => requestAnimationFrame(done)) })"):format(id))
    local top = page:evaluate(("document.getElementById('%s').getBoundingClientRect().top"):format(id))
    assert.is_true(top >= 0 and top < 200, "it is at " .. top)
    assert.is_true(page:evaluate(in_sight))
    local clips = 0
    for _, address in ipairs(page.page.requests) do
      if address:find("%.mp4$") then clips = clips + 1 end
    end
    assert.is_true(clips < 30, clips .. " requests for clips")
  end)
end)
