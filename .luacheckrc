std = "lua54"
max_line_length = 140
files["spec"] = { std = "+busted" }
files["examples"] = { globals = { "omni" }, read_globals = {
  "storyboard", "scene", "windows", "file", "url", "last_frame", "clip" } }
files["**/*.d.lua"] = { only = { "0" } } -- declarations only: everything in them is unused
files["docs/build/links.lua"] = { globals = { "Link", "Header", "Table", "Meta" }, read_globals = { "pandoc" } } -- pandoc's
