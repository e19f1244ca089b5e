-- SPDX-License-Identifier: MIT
-- Makes reports for specs, and finds the text, the elements and the parts of a page.

local env = require "helper.env"
local luassert = require "luassert"
local report = require "omni.report"

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

local function has(text, part) luassert.is_truthy(text:find(part, 1, true), "not there: " .. part) end

local function has_not(text, part) luassert.is_nil(text:find(part, 1, true), "is there: " .. part) end

-- What a reader sees of the page's body: no tags, no entities, blanks as one.
local function seen(page)
  local body = page:match("<body>(.*)</body>"):gsub("<script>.-</script>", "")
  local text = body:gsub("<[^>]*>", "\1"):gsub("\1+", " "):gsub("%s+", " ")
  return (text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&#39;", "'"):gsub("&amp;", "&"))
end

-- The number of a page's elements of each name; fails when tags don't match or an attribute isn't quoted.
local function elements(page)
  local void = { meta = true, link = true, img = true, br = true }
  local open, count = {}, {}
  local markup = page:gsub("(<style>).-(</style>)", "%1%2"):gsub("(<script>).-(</script>)", "%1%2")
  for close, name, attributes in markup:gmatch("<(/?)(%a[%w]*)([^>]*)>") do
    if close == "/" then
      luassert.equal(name, table.remove(open))
    else
      count[name] = (count[name] or 0) + 1
      local rest = attributes:gsub(' %a[%w-]*="[^"<]*"', ""):gsub(" controls", ""):gsub(" playsinline", "")
      luassert.equal("", rest, "an attribute of " .. name)
      if not void[name] then open[#open + 1] = name end
    end
  end
  luassert.same({}, open)
  return count
end

-- Scenes of a large board; fewer where the garbage collector never rests.
local many <const> = env.is_slow and 60 or 1000

return {
  T = T, data_of = data_of, elements = elements, has = has, has_not = has_not, many = many, render = render, scene_of = scene_of,
  seen = seen,
}
