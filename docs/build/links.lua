-- SPDX-License-Identifier: MIT
-- A filter for pandoc: links to pages of the docs lead to their HTML, and a page's title is its first heading.
local title

function Link(link)
  local path, anchor = link.target:match "^([^#:]+)%.md(#?.*)$"
  if path then link.target = path:gsub("README$", "index") .. ".html" .. anchor end
  return link
end

function Header(header)
  if header.level == 1 and not title then title = pandoc.utils.stringify(header) end
end

-- A wide table scrolls by itself, not the page.
function Table(content)
  return pandoc.Div({ content }, pandoc.Attr("", { "table" }))
end

function Meta(meta)
  local page = pandoc.utils.stringify(meta.page)
  meta.pagetitle = (title or page) .. (page == "README.md" and "" or " · omni")
  meta["at-" .. page:gsub("%.md$", ""):gsub("[^%w]", "-")] = true -- for the navigation
  meta.internals = page:find("docs/internals/", 1, true) ~= nil
  return meta
end
