// SPDX-License-Identifier: MIT
// Parses any bytes as a response, as a task and as a callback. Checks for crashes, leaks and Lua errors, and checks the results'
// invariants.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/envelope.h"
#include "core/core_parts.h"
#include "core/task_parser.h"

// Compares the data of two responses, without the task's input.
static const char same_source[] =
    "local function same(a, b)"
    "  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b or a ~= a and b ~= b end"
    "  for k, v in pairs(a) do if not same(v, b[k]) then return false end end"
    "  for k in pairs(b) do if a[k] == nil then return false end end"
    "  return true "
    "end "
    "local function silence(data)"
    "  if type(data) == 'table' and type(data.param) == 'table' then data.param.input = nil end"
    "  return data "
    "end "
    "return function(a, b) return same(silence(a), silence(b)) end";

int luaopen_cjson(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

// parse_envelope(http_status, body) → data | nil, failure
static int parse_envelope(lua_State *L) {
  if (envelope_push(L, (long)luaL_checkinteger(L, 1), 2)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static lua_State *open_state(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "cjson", luaopen_cjson, 0);
  lua_newtable(L);
  envelope_open(L);
  task_open(L);
  lua_pushcfunction(L, parse_envelope);
  lua_setfield(L, -2, "parse_envelope");
  lua_setglobal(L, "core");
  if (luaL_dostring(L, same_source) != LUA_OK) abort();
  lua_setglobal(L, "same");
  lua_settop(L, 0);
  return L;
}

static void require_that(int fine) {
  if (!fine) abort();
}

// Checks the invariants of every task table.
static void check_task(lua_State *L, int task) {
  require_that(lua_getfield(L, task, "id") == LUA_TSTRING && task_id_valid(lua_tostring(L, -1), lua_rawlen(L, -1)));
  require_that(lua_getfield(L, task, "status") == LUA_TSTRING);
  const char *status = lua_tostring(L, -1);
  for (const char *at = status; *at; at++) require_that((unsigned char)*at >= ' ' && *at != 0x7f && !(*at >= 'A' && *at <= 'Z'));
  bool media = lua_getfield(L, task, "media") == LUA_TTABLE, error = lua_getfield(L, task, "error") == LUA_TTABLE;
  if (strcmp(status, "success") == 0) require_that(media != error);
  if (strcmp(status, "failed") == 0) require_that(error);
  lua_pop(L, 4);
}

// Calls one of the parser's functions with the bytes. A Lua error ends the fuzzing.
static void call(lua_State *L, const char *name, const uint8_t *bytes, size_t length, lua_Integer status) {
  lua_getglobal(L, "core");
  lua_getfield(L, -1, name);
  int count = 1;
  if (status) lua_pushinteger(L, status), count++;
  lua_pushlstring(L, (const char *)bytes, length);
  require_that(lua_pcall(L, count, 2, 0) == LUA_OK);
}

// Checks that skipping the task's input changes nothing else in a JSON text.
static void check_echo(lua_State *L, const uint8_t *bytes, size_t length, int status) {
  lua_pushlstring(L, (const char *)bytes, length);
  if (json_push(L, 1)) {
    lua_settop(L, 1);
    lua_getglobal(L, "same");
    bool fine = envelope_push(L, status, 1);
    require_that(envelope_push_without_input(L, status, 1) == fine);
    lua_call(L, 2, 1);
    require_that(lua_toboolean(L, -1));
  } else {
    envelope_push_without_input(L, status, 1);
  }
  lua_settop(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static lua_State *L;
  static unsigned turns;
  if (!L) L = open_state();
  static const int statuses[] = {200, 429, 500, 302, 404};
  int status = statuses[turns++ % 5];
  check_echo(L, bytes, length, status);
  call(L, "parse_envelope", bytes, length, status);
  if (lua_istable(L, -2)) {
    lua_newtable(L);
    if (task_fill(L, -3, lua_gettop(L), NULL, 0)) check_task(L, lua_gettop(L));
  } else if (lua_istable(L, -1)) {
    require_that(lua_getfield(L, -1, "code") == LUA_TSTRING && lua_getfield(L, -2, "message") == LUA_TSTRING);
  }
  lua_settop(L, 0);
  // A good response means the same when the task's input is skipped.
  lua_pushlstring(L, (const char *)bytes, length);
  bool whole = envelope_push(L, 200, 1), lean = envelope_push_without_input(L, 200, 1);
  require_that(lua_gettop(L) == 3);
  if (whole) require_that(lean && lua_type(L, 2) == lua_type(L, 3));
  lua_newtable(L);
  lua_newtable(L);
  if (whole && task_fill(L, 2, 4, NULL, 0)) {
    require_that(task_fill(L, 3, 5, NULL, 0));
    lua_getfield(L, 4, "id"), lua_getfield(L, 5, "id");
    lua_getfield(L, 4, "status"), lua_getfield(L, 5, "status");
    require_that(lua_compare(L, -1, -2, LUA_OPEQ) && lua_compare(L, -3, -4, LUA_OPEQ));
  }
  lua_settop(L, 0);
  call(L, "parse_callback", bytes, length, 0);
  if (lua_istable(L, -2)) check_task(L, lua_absindex(L, -2));
  lua_settop(L, 0);
  return 0;
}
