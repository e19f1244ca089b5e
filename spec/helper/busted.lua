-- SPDX-License-Identifier: MIT
-- Runs busted with the interpreter that runs this file, whichever Lua the program `busted` was installed for.
local folder = arg[0]:match "^(.*/)[^/]*$" or "./" -- a spec may run in another directory
arg[#arg + 1] = "--helper=" .. folder .. "unheard.lua" -- luacheck: ignore 122
require "busted.runner" { standalone = false }
