-- SPDX-License-Identifier: MIT
-- The safety of report.html: it escapes hostile text, and embeds only pictures.

local embed = require "omni.report.embedded_images"
local env = require "helper.env"
local mime = require "mime"
local page_of = require "helper.report_page"

local T, elements, has, has_not = page_of.T, page_of.elements, page_of.has, page_of.has_not
local render, scene_of, seen = page_of.render, page_of.scene_of, page_of.seen

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

  it("stays text everywhere", function()
    local count = elements(page)
    assert.equal(1, count.script) -- the report's own
    assert.equal(1, count.img) -- the scene's own picture
    assert.equal(1, elements(page:match "<head>.-</head>").title)
    assert.is_nil(page:find("<!--", 1, true))
    for _, part in ipairs { "<script>a", "<svg/", "onerror=a()>" } do has_not(page, part) end
    has(page, "&lt;/script&gt;&lt;script&gt;a()&lt;/script&gt;&lt;img src=x onerror=a()&gt;")
    has(page, "--&gt;&lt;!--&amp;lt;")
  end)

  it("leaves no control characters, no bidi overrides and no invalid UTF-8", function()
    assert.is_nil(page:find("[\0-\8\11-\31\127]"))
    has_not(page, "\u{202E}")
    assert.is_truthy(utf8.len(page))
  end)
end)

describe("links", function()
  local function reference(given)
    given.label = "L"
    local item = render({ scene_of { references = { given } } }):match('class="references">(.-)</ul>')
    return item:match('href="(.-)"') or false, item
  end

  it("lead to the web only by http and https", function()
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

  it("to files are relative, percent-encoded, and never have another scheme", function()
    for path, address in pairs {
      ["refs/a b.png"] = "refs/a%20b.png", ["../refs/k.png"] = "../refs/k.png", ["100%.png"] = "100%25.png",
      ["a?b#c.png"] = "a%3Fb%23c.png", ["é\n.png"] = "%C3%A9%0A.png",
      ["javascript:alert(1)"] = "javascript%3Aalert%281%29", ["https://a.example/x"] = "https%3A//a.example/x",
      ["/home/somebody/k.png"] = false, ["//a.example/x"] = false,
    } do assert.equal(address, (reference { path = path }), path) end
  end)

  it("don't show where a file is on this machine", function()
    local page = render { scene_of { references = { { label = "keeper", path = "/home/somebody/k.png" } } } }
    has(seen(page), "keeper k.png")
    has_not(page, "somebody")
  end)

  it("to clips never leave the folder", function()
    for _, path in ipairs { "../a.mp4", "media/../../a.mp4", "/a.mp4", "//a.example/a.mp4", "..", "" } do
      local page = render({ scene_of { files = { path } } }, { film = { path = path } })
      assert.is_nil(page:find("<video", 1, true), path)
    end
    has(render { scene_of { files = { "media/..a.mp4" } } }, 'src="media/..a.mp4"')
  end)

  it("lead from a scene to the scenes on which it builds", function()
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

  it("are embedded in the page byte by byte", function()
    for extra = 0, 2 do
      local bytes = jpeg .. ("x"):rep(extra)
      env.write(files:file "b.jpg", bytes)
      local kind, text = poster(files:file "b.jpg"):match("^data:(image/jpeg);base64,(.*)$")
      assert.equal("image/jpeg", kind)
      assert.equal(bytes, (mime.unb64(text)))
    end
  end)

  it("are also shown for references", function()
    local page = render { scene_of { references = { { label = "keeper", poster = files:file "a.jpg" } } } }
    assert.matches('<img[^>]* src="data:image/jpeg;base64,', page)
  end)

  it("are recognised only by their content", function()
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

  it("are left out if they are too large, can't be read, or aren't files", function()
    env.write(files:file "large.jpg", "\xFF\xD8\xFF" .. ("x"):rep(512 * 1024 - 2))
    assert.is_nil(poster(files:file "large.jpg"))
    env.write(files:file "fits.jpg", "\xFF\xD8\xFF" .. ("x"):rep(512 * 1024 - 3))
    assert.is_truthy(poster(files:file "fits.jpg"))
    for _, path in ipairs { files:file "none.jpg", files.path, "/dev/zero" } do assert.is_nil(poster(path)) end
  end)

  it("of references are left out above 200 KiB, since many scenes can have the same one", function()
    env.write(files:file "wide.jpg", "\xFF\xD8\xFF" .. ("x"):rep(200 * 1024 - 2))
    local page = render { scene_of { poster = files:file "wide.jpg", files = { "a.mp4" },
      references = { { label = "keeper", poster = files:file "wide.jpg" } } } }
    has(page, ' poster="data:image/jpeg')
    has_not(page, "<img")
  end)

  it("are left out if all of them together are too large", function()
    local picture = embed.embedder(2 * #jpeg + 1)
    local found = {}
    for n = 1, 3 do found[n] = picture(files:file "a.jpg") ~= nil end
    assert.same({ true, true, false }, found)
  end)
end)
