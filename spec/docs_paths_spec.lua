-- SPDX-License-Identifier: MIT
-- The docs name only files that exist: paths of the source tree, links between pages, and headings behind a "#".
local env = require "helper.env"

local pages = {}
for path in env.output("ls README.md CHANGELOG.md docs/*.md docs/internals/*.md"):gmatch("[^\n]+") do
  pages[path] = env.read(path)
end

local function exists(path)
  return os.execute(("test -e %s"):format(env.quote(path))) == true
end

-- "A heading, with `code`" → "a-heading-with-code", as GitHub and pandoc make it.
local function anchor_of(heading)
  return (heading:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-"))
end

local function has_anchor(page, anchor)
  for heading in ("\n" .. page):gmatch("\n#+ ([^\n]+)") do
    if anchor_of(heading) == anchor then return true end
  end
  return false
end

-- A path relative to the folder of a page, without "..".
local function resolve(page, link)
  local path = page:match("^(.*/)") or ""
  path = path .. link
  repeat
    local count
    path, count = path:gsub("[^/]+/%.%./", "", 1)
  until count == 0
  return path
end

describe("the documentation", function()
  for path, text in pairs(pages) do
    if path ~= "CHANGELOG.md" then -- it names files as they were
      it("names only files that exist, in " .. path, function()
        for _, root in ipairs { "lua/omni", "csrc", "spec", "docs", "bench", "examples" } do
          for named in text:gmatch("`(" .. root .. "/[%w_./-]+)`") do
            assert.is_true(exists(named) or named:find("%.omni$") ~= nil, ("%s names %s"):format(path, named)) -- .omni: a run makes it
          end
        end
      end)
    end

    it("links only to pages and headings that exist, in " .. path, function()
      local prose = text:gsub("```.-```", "")
      for link in prose:gmatch("%]%(([^)%s]+)%)") do
        if not link:find("^https?:") then
          local file, anchor = link:match("^([^#]*)#?(.*)$")
          local target = file == "" and path or resolve(path, file)
          assert.is_true(exists(target), ("%s links to %s"):format(path, link))
          if anchor ~= "" then
            assert.is_true(has_anchor(pages[target] or env.read(target), anchor), ("%s links to %s"):format(path, link))
          end
        end
      end
    end)
  end

  it("has each page in the navigation of the HTML site", function()
    local template = env.read("docs/build/page.html")
    for path in pairs(pages) do
      local page = path == "README.md" and "index" or path:gsub("%.md$", "")
      assert.truthy(template:find(('href="$root$%s.html"'):format(page), 1, true), path)
    end
  end)

  it("exists where comments of the source refer to it", function()
    local found = env.output("grep -rhoE 'docs/[a-z/-]+\\.md' lua csrc examples bench Makefile | sort -u")
    for path in found:gmatch("[^\n]+") do assert.is_true(exists(path), path) end
  end)
end)
