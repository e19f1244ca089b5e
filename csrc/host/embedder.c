// SPDX-License-Identifier: MIT
// Runs embed.lua during the build. Uses the same Lua library as omni, since compiled Lua code works only with the version of Lua that
// compiled it.
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

int main(int count, char **arguments) {
  lua_State *L = luaL_newstate();
  if (!L || count < 2) return 2;
  luaL_openlibs(L);
  lua_createtable(L, count, 0);
  for (int i = 1; i < count; i++) {
    lua_pushstring(L, arguments[i]);
    lua_rawseti(L, -2, i - 1);
  }
  lua_setglobal(L, "arg");
  int outcome = luaL_dofile(L, arguments[1]);
  if (outcome != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return outcome == LUA_OK ? 0 : 1;
}
