std = "lua54"
max_line_length = 140
files["spec"] = { std = "+busted" }
files["examples"] = { globals = { "omni" }, read_globals = { "storyboard", "scene" } }
files["**/*.d.lua"] = { only = { "0" } } -- declarations only: everything in them is unused
