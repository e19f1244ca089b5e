-- SPDX-License-Identifier: MIT
-- For LuaRocks on Debian 12: the rocks that the packages lua-cjson and lua-argparse stand for, so that none is fetched.
--   LUAROCKS_CONFIG=rockspec/debian.lua luarocks --lua-version=5.4 make
rocks_provided = {
  ["lua-cjson"] = "2.1.0-1",
  argparse = "0.7.1-1",
}
