-- SPDX-License-Identifier: MIT
-- A pandoc filter: makes links to other documentation pages point to their HTML files, and uses a page's first heading as its title.
local title

function Link(link)
  local path, anchor = link.target:match "^([^#:]+)%.md(#?.*)$"
  if path then link.target = path:gsub("README$", "index") .. ".html" .. anchor end
  return link
end

function Header(header)
  if header.level == 1 and not title then title = pandoc.utils.stringify(header) end
end

-- Lets a wide table scroll instead of the whole page.
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
