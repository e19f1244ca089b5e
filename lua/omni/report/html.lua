-- SPDX-License-Identifier: MIT
-- Writes HTML from a tree of tables. Escapes every string in the tree, so a string becomes text or an attribute's value, but never markup.
-- An element's list of children can have holes, since nil and false are skipped.
--
--   html.render { h.p { class = "x", "1 < 2, ", h.a { href = "#a", "more" } } }

local core = require "omni.core"

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local void = { br = true, meta = true, img = true, link = true }

---Cleans a string for display: returns valid UTF-8 without control characters or bidi overrides. Keeps line breaks ("\n") and tabs.
---@param text string
---@return string
local function clean(text)
  if not text:find("[^\t\n\32-\126]") then return text end
  return (text:gsub("\r\n?", "\n"):gsub("[^\n\t]+", core.clean))
end

-- Escapes a value for use as text or in a double-quoted attribute, in HTML and SVG.
local function escape(value)
  local kind = type(value)
  if kind == "number" then return core.format("%.14g", value) end
  if kind ~= "string" then error("html: expected a string or a number, got a " .. kind) end
  if not value:find("[^\t\n !#$%%(-;=?-~]") then return value end -- most strings need no cleaning or escaping
  return (clean(value):gsub("[&<>\"']", entities))
end

local Element_mt = { __name = "omni.report.element" }
local Raw_mt = { __name = "omni.report.raw" }

---Creates HTML elements by name, for example `h.p { class = "x", "text", h.em { "more" } }`. An attribute's value is a string, a number, or
---true for an attribute without a value. A "_" in an attribute's name becomes "-"; for example, aria_label becomes aria-label.
---@type table<string, fun(content: table): table>
local tag = setmetatable({}, {
  __index = function(tags, name)
    local function element(content)
      content[0] = name
      return setmetatable(content, Element_mt)
    end
    tags[name] = element
    return element
  end,
})

---Marks a string as omni's own markup, which isn't escaped. Never use `raw` for text from an external source.
---@param markup string
local function raw(markup)
  return setmetatable({ markup }, Raw_mt)
end

local write

-- Maps an attribute's name in the tree to the beginning of the HTML attribute: a space and the attribute's name in HTML.
local starts = setmetatable({}, {
  __index = function(self, name)
    local start = " " .. name:gsub("_", "-")
    self[name] = start
    return start
  end,
})

-- Writes an element's attributes in alphabetical order, so that the same data always results in the same output. Also returns the index of
-- the element's last child.
local function write_attributes(out, element)
  local names, count, last = nil, 0, 0
  for key, value in next, element do
    if type(key) == "number" then
      if key > last then last = key end
    elseif value then
      names, count = names or {}, count + 1
      names[count] = key
    end
  end
  if count > 1 then table.sort(names) end
  for index = 1, count do
    local name, at = names[index], #out
    local value = element[name]
    out[at + 1] = starts[name]
    if value ~= true then out[at + 2], out[at + 3], out[at + 4] = '="', escape(value), '"' end
  end
  return last
end

local function write_element(out, element)
  local name, at = element[0], #out
  out[at + 1], out[at + 2] = "<", name
  local last = write_attributes(out, element)
  out[#out + 1] = ">"
  for index = 1, last do write(out, element[index]) end
  if void[name] then return end
  at = #out
  out[at + 1], out[at + 2], out[at + 3] = "</", name, ">"
end

function write(out, node)
  if not node then return end
  local kind = getmetatable(node)
  if kind == Element_mt then return write_element(out, node) end
  if kind == Raw_mt then
    out[#out + 1] = node[1]
  elseif type(node) == "table" then
    local last = 0
    for key in next, node do
      if key > last then last = key end
    end
    for index = 1, last do write(out, node[index]) end
  else
    out[#out + 1] = escape(node)
  end
end

---Returns a node as HTML text.
---@param node any  an element, a string, a number, or a list of these
---@return string
local function render(node)
  local out = {}
  write(out, node)
  return table.concat(out)
end

-- --- URLs

local function percent(character) return ("%%%02X"):format(character:byte()) end

---Converts a relative path to a URL. Returns nil for an absolute path.
---@param path string
---@param inside? boolean  also returns nil for a path that leaves the report's folder
---@return string|nil
local function relative(path, inside)
  if path == "" or path:find("^/") or path:find("\0", 1, true) then return nil end
  if inside and ("/" .. path .. "/"):find("/../", 1, true) then return nil end
  return (path:gsub("[^%w%-%._~/]", percent))
end

---Returns an http or https URL for a link, and nil for any other URL ("javascript:", "data:", "file:").
---@param url string
---@return string|nil
local function web(url)
  if not url:find("^[Hh][Tt][Tt][Pp][Ss]?://[^%s%c/]") then return nil end
  return (url:gsub('[%c%s"<>\\^`{|}\127-\255]', percent))
end

return { clean = clean, raw = raw, relative = relative, render = render, tag = tag, web = web }
