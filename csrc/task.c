// SPDX-License-Identifier: MIT
// The task object and the callback's payload: checked, and turned into one Lua table.
#include "task.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"
#include "core_parts.h"
#include "url.h"

enum {
  MAX_ID = 256,   // bytes of a task id (docs/service.md, "Submit")
  MAX_WORD = 64,  // bytes of a status, as far as we show it
  MAX_MEDIA = 1000, // URLs of one task
};

bool task_id_valid(const char *id, size_t length) {
  if (length < 1 || length > MAX_ID) return false;
  for (size_t i = 0; i < length; i++)
    if (id[i] <= ' ' || id[i] > '~') return false;
  return true;
}

// Pushes the array of usable URLs in `object.media_urls`; nothing when there is none.
static bool push_media(lua_State *L, int object) {
  if (!field_push(L, object, "media_urls", LUA_TTABLE)) return false;
  int urls = lua_gettop(L), count = 0;
  lua_createtable(L, 1, 0);
  for (int i = 1; i <= MAX_MEDIA; i++) {
    int type = lua_rawgeti(L, urls, i);
    if (type == LUA_TNIL) {
      lua_pop(L, 1);
      break;
    }
    size_t length = 0;
    const char *url = type == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
    const char *why;
    char *normal = url ? url_normalize(url, length, &why) : NULL;
    lua_pop(L, 1);
    if (!normal) continue;
    lua_pushstring(L, normal);
    free(normal);
    lua_rawseti(L, -2, ++count);
  }
  lua_remove(L, urls);
  if (count == 0) lua_pop(L, 1);
  return count > 0;
}

// Sets a field of the table at index `into` to the value at the top, past any metatable.
static void set(lua_State *L, int into, const char *name) {
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_rawset(L, into);
}

static void fill_number(lua_State *L, int object, const char *name, int into, const char *as, bool whole) {
  if (!field_push(L, object, name, LUA_TNUMBER)) {
    lua_pushnil(L);
  } else {
    int is_whole = 0;
    double number = lua_tonumber(L, -1);
    lua_Integer integer = lua_tointegerx(L, -1, &is_whole);
    lua_pop(L, 1);
    if (!isfinite(number) || number < 0 || (whole && !is_whole))
      lua_pushnil(L);
    else if (is_whole)
      lua_pushinteger(L, integer);
    else
      lua_pushnumber(L, number);
  }
  set(L, into, as);
}

static void push_task_error(lua_State *L, const char *code, const char *meaning, int result) {
  const char *said = NULL;
  int top = lua_gettop(L);
  if (field_push(L, result, "message", LUA_TSTRING)) said = lua_tostring(L, -1);
  bool own = said && *said && strcasecmp(said, "success") != 0;
  lua_pushfstring(L, own ? "%s: %s" : "%s", meaning, said);
  failure_push(L, code, lua_tostring(L, -1), false);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  const api_code *row = api_code_find(501);
  lua_Integer number;
  if (strcmp(code, row->name) == 0) {
    lua_pushstring(L, row->hint);
    lua_setfield(L, -2, "hint");
    if (field_whole(L, result, "code", &number) && number != 200) {
      lua_pushinteger(L, number);
      lua_setfield(L, -2, "status");
    }
  }
}

bool task_id_push(lua_State *L, int data) {
  if (!field_push(L, data, "task_id", LUA_TSTRING)) return false;
  size_t length;
  const char *id = lua_tolstring(L, -1, &length);
  if (task_id_valid(id, length)) return true;
  lua_pop(L, 1);
  return false;
}

// Pushes the status at the top of the stack in lower case.
static void push_status(lua_State *L) {
  static const char *const known[] = {"pending", "running", "success", "failed"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcasecmp(lua_tostring(L, -1), known[i]) == 0) {
      lua_pushstring(L, known[i]);
      return;
    }
  }
  clean_push(L, -1, MAX_WORD);
  size_t length;
  const char *word = lua_tolstring(L, -1, &length);
  luaL_Buffer buffer;
  char *lower = luaL_buffinitsize(L, &buffer, length);
  for (size_t i = 0; i < length; i++) lower[i] = word[i] >= 'A' && word[i] <= 'Z' ? (char)(word[i] + 32) : word[i];
  luaL_pushresultsize(&buffer, length);
  lua_remove(L, -2);
}

bool task_fill(lua_State *L, int data, int into, const char *expected, size_t expected_length) {
  data = lua_absindex(L, data), into = lua_absindex(L, into);
  int top = lua_gettop(L);
  if (!task_id_push(L, data)) {
    bad_answer_push(L, 0, "there is no valid task id in it");
    return false;
  }
  size_t length;
  const char *id = lua_tolstring(L, -1, &length);
  if (expected && (length != expected_length || memcmp(id, expected, length) != 0)) {
    lua_pop(L, 1);
    bad_answer_push(L, 0, "it is about another task");
    return false;
  }
  if (!field_push(L, data, "status", LUA_TSTRING) || lua_rawlen(L, -1) == 0) {
    lua_settop(L, top);
    bad_answer_push(L, 0, "there is no status in it");
    return false;
  }
  push_status(L);
  lua_remove(L, -2);
  const char *status = lua_tostring(L, -1);
  bool success = strcmp(status, "success") == 0, failed = strcmp(status, "failed") == 0;
  set(L, into, "status");
  set(L, into, "id");

  if (field_push(L, data, "param", LUA_TTABLE)) {
    if (field_push(L, -1, "model", LUA_TSTRING)) {
      clean_push(L, -1, MAX_ID);
      set(L, into, "model");
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  fill_number(L, data, "create_at", into, "created_at", true);
  fill_number(L, data, "complete_at", into, "completed_at", true);
  fill_number(L, data, "duration_s", into, "duration", false);
  fill_number(L, data, "credits", into, "credits", false);

  if (!field_push(L, data, "result", LUA_TTABLE)) lua_pushnil(L);
  int result = lua_gettop(L);
  bool media = push_media(L, result) || push_media(L, data);
  if (!media) lua_pushnil(L);
  set(L, into, "media");
  if (failed)
    push_task_error(L, "generation_failed", api_code_find(501)->meaning, result);
  else if (success && !media)
    push_task_error(L, "broken_result", "the task succeeded without a media URL that can be fetched", result);
  else
    lua_pushnil(L);
  set(L, into, "error");
  lua_settop(L, top);
  return true;
}

// --- for Lua

// parse_callback(body) → task table with `raw` | nil, failure. The object comes bare, or wrapped in the envelope.
static int parse_callback(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  if (!json_push(L, 1)) {
    bad_answer_push(L, 0, lua_tostring(L, -1));
  } else {
    if (!field_push(L, 2, "task_id", LUA_TSTRING) && field_push(L, 2, "data", LUA_TTABLE)) lua_replace(L, 2);
    lua_settop(L, 2);
    lua_newtable(L);
    if (task_fill(L, 2, 3, NULL, 0)) {
      lua_pushvalue(L, 2);
      lua_setfield(L, 3, "raw");
      lua_settop(L, 3);
      return 1;
    }
  }
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static int is_task_id(lua_State *L) {
  size_t length = 0;
  const char *id = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : "";
  lua_pushboolean(L, task_id_valid(id, length));
  return 1;
}

void task_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"parse_callback", parse_callback}, {"is_task_id", is_task_id}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
