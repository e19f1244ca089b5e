-- SPDX-License-Identifier: MIT
-- Runs busted with the interpreter that runs this file, whichever Lua the program `busted` was installed for.
require "busted.runner" { standalone = false }
