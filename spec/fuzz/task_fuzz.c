// SPDX-License-Identifier: MIT
// Parses any bytes as a response and as a callback. Checks for crashes, leaks and Lua errors, checks the results' invariants, and compares
// the JSON reader with lua-cjson.
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/envelope.h"
#include "core/core_parts.h"
#include "core/task_parser.h"

int luaopen_cjson(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

// parse_envelope(http_status, body) → a task table | nil, failure
static int parse_envelope(lua_State *L) {
  json_document d;
  uint32_t data;
  if (envelope_read(L, (long)luaL_checkinteger(L, 1), 2, &d, &data)) {
    lua_newtable(L);
    if (task_fill(L, &d, data, lua_gettop(L), NULL, 0)) return 1;
  }
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

// Checks that the value is the one at the top of the stack, which lua-cjson has decoded, and pops that.
static void check_value(lua_State *L, const json_document *d, uint32_t value) {
  static const int types[] = {LUA_TLIGHTUSERDATA, LUA_TBOOLEAN, LUA_TBOOLEAN, LUA_TNUMBER, LUA_TSTRING, LUA_TTABLE, LUA_TTABLE};
  const json_value *v = &d->values[value];
  luaL_checkstack(L, 8, "JSON");
  require_that(lua_type(L, -1) == types[v->type]);
  switch (v->type) {
  case JSON_FALSE: case JSON_TRUE: require_that(lua_toboolean(L, -1) == (v->type == JSON_TRUE)); break;
  case JSON_NUMBER: lua_pushnumber(L, json_number(d, value)); require_that(lua_rawequal(L, -1, -2)); lua_pop(L, 1); break;
  case JSON_STRING: json_push_string(L, d, value); require_that(lua_rawequal(L, -1, -2)); lua_pop(L, 1); break;
  case JSON_ARRAY: {
    lua_Integer count = 0;
    for (uint32_t at = json_first(d, value); at != JSON_NONE; at = json_next(d, value, at)) {
      lua_rawgeti(L, -1, ++count);
      check_value(L, d, at);
    }
    require_that((lua_Integer)lua_rawlen(L, -1) == count);
    break;
  }
  case JSON_OBJECT:
    for (lua_pushnil(L); lua_next(L, -2);) {
      const char *name = lua_tostring(L, -2);
      bool found = strlen(name) == lua_rawlen(L, -2); // json_member's names contain no NUL
      uint32_t member = found ? json_member(d, value, name) : JSON_NONE;
      if (member == JSON_NONE) {
        require_that(!found || lua_rawlen(L, -2) > 20);
        lua_pop(L, 1);
      } else {
        check_value(L, d, member);
      }
    }
    for (uint32_t at = value + 1; at < v->next; at = d->values[at + 1].next) {
      json_push_string(L, d, at);
      require_that(lua_rawget(L, -2) != LUA_TNIL);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

// Checks that the reader and lua-cjson agree.
static void check_reader(lua_State *L, const uint8_t *bytes, size_t length) {
  json_document d;
  lua_pushlstring(L, (const char *)bytes, length);
  bool fine = json_read(L, lua_tostring(L, 1), length, &d);
  require_that(lua_gettop(L) == 2 && json_push(L, 1) == fine);
  if (fine) check_value(L, &d, 0);
  lua_settop(L, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static lua_State *L;
  static unsigned turns;
  if (!L) L = open_state();
  static const int statuses[] = {200, 429, 500, 302, 404};
  int status = statuses[turns++ % 5];
  check_reader(L, bytes, length);
  call(L, "parse_envelope", bytes, length, status);
  if (lua_istable(L, -2))
    check_task(L, lua_absindex(L, -2));
  else
    require_that(lua_getfield(L, -1, "code") == LUA_TSTRING && lua_getfield(L, -2, "message") == LUA_TSTRING);
  lua_settop(L, 0);
  call(L, "parse_callback", bytes, length, 0);
  if (lua_istable(L, -2)) check_task(L, lua_absindex(L, -2));
  lua_settop(L, 0);
  return 0;
}
