// SPDX-License-Identifier: MIT
// Fuzzes a parser that is written in Lua: the one in parsers.lua that the environment variable FUZZ_PARSER names. libFuzzer learns which
// lines of Lua code an input reaches, because a debug hook counts each line in a table that libFuzzer watches.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int luaopen_cjson(lua_State *L);
int luaopen_omni_core(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { COUNTERS = 1 << 16, CHECK = 1 };

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[COUNTERS];

static void count_line(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "Sl", ar);
  uint32_t hash = (uint32_t)ar->currentline;
  for (const char *at = ar->source; *at; at++) hash = hash * 31 + (unsigned char)*at;
  if (counters[hash % COUNTERS] < 255) counters[hash % COUNTERS]++;
}

// Opens a state. Its stack contains only the parser's function, at index CHECK.
static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "cjson", luaopen_cjson, 0);
  luaL_requiref(L, "omni.core", luaopen_omni_core, 0);
  lua_settop(L, 0);
  const char *name = getenv("FUZZ_PARSER");
  if (luaL_dofile(L, "spec/fuzz/parsers.lua") != LUA_OK || lua_getfield(L, 1, name ? name : "") != LUA_TFUNCTION) {
    fprintf(stderr, "FUZZ_PARSER=%s: %s\n", name ? name : "", lua_isstring(L, -1) ? lua_tostring(L, -1) : "there is no such parser");
    abort();
  }
  lua_replace(L, CHECK);
  lua_settop(L, CHECK);
  lua_sethook(L, count_line, LUA_MASKLINE, 0);
  return L;
}

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static lua_State *L;
  if (!L) L = open_state();
  lua_pushcfunction(L, traceback);
  lua_pushvalue(L, CHECK);
  lua_pushlstring(L, (const char *)bytes, length);
  if (lua_pcall(L, 1, 0, CHECK + 1) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  lua_settop(L, CHECK);
  return 0;
}
