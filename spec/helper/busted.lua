-- SPDX-License-Identifier: MIT
-- Runs busted with the interpreter that runs this file, whichever Lua the program `busted` was installed for.
arg[#arg + 1] = "--helper=spec/helper/unheard.lua" -- luacheck: ignore 122
require "busted.runner" { standalone = false }
