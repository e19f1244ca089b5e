// SPDX-License-Identifier: MIT
// Checks a task object or a callback's payload, and turns it into a Lua table.
#include "core/task_parser.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/envelope.h"
#include "shared/ascii.h"
#include "shared/field.h"
#include "core/core_parts.h"
#include "core/url.h"

enum {
  MAX_ID = 256,   // maximum length of a task id in bytes (docs/service.md, "Submit")
  MAX_WORD = 64,  // maximum length of a status in bytes
  MAX_MEDIA = 1000, // maximum number of a task's URLs
  MAX_REASON = 1000, // maximum number of bytes that omni keeps from a failure's reason
  MAX_VALUES = 10000, // the search for URLs visits at most this many values of a result
  MAX_NAMES = 200,   // the search for URLs visits at most this many names of one object
};

bool task_id_valid(const char *id, size_t length) {
  if (length < 1 || length > MAX_ID) return false;
  for (size_t i = 0; i < length; i++)
    if (id[i] <= ' ' || id[i] > '~') return false;
  return true;
}

static bool holds(lua_State *L, int array, int value) {
  for (lua_Integer i = 1; lua_rawgeti(L, array, i) != LUA_TNIL; i++) {
    bool same = lua_rawequal(L, -1, value);
    lua_pop(L, 1);
    if (same) return true;
  }
  lua_pop(L, 1);
  return false;
}

// Pops the URL at the top of the stack and appends it, normalised, to the array at index `media`. Skips a URL that is invalid or, with
// `once`, already in the array.
static void add_url(lua_State *L, int media, bool once) {
  size_t length = 0, count = lua_rawlen(L, media);
  const char *why, *url = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  char *normal = url && count < MAX_MEDIA ? url_normalize(url, length, &why) : NULL;
  lua_pop(L, 1);
  if (!normal) return;
  lua_pushstring(L, normal);
  free(normal);
  if (once && holds(L, media, lua_gettop(L)))
    lua_pop(L, 1);
  else
    lua_rawseti(L, media, (lua_Integer)count + 1);
}

// Appends the valid URLs of `object.media_urls`: an array of strings, or of objects with a `url`.
static void add_media_urls(lua_State *L, int object, int media) {
  if (!field_push(L, object, "media_urls", LUA_TTABLE)) return;
  int urls = lua_gettop(L);
  for (int i = 1; i <= MAX_MEDIA; i++) {
    int type = lua_rawgeti(L, urls, i);
    if (type == LUA_TNIL) break;
    if (type == LUA_TTABLE && field_push(L, -1, "url", LUA_TSTRING)) lua_remove(L, -2);
    add_url(L, media, false);
  }
  lua_settop(L, urls - 1);
}

// Pushes a sorted array of the string keys of the table at index `object`.
static void push_sorted_names(lua_State *L, int object) {
  lua_newtable(L);
  int names = lua_gettop(L);
  lua_Integer count = 0;
  for (lua_pushnil(L); lua_next(L, object); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || count >= MAX_NAMES) continue;
    lua_Integer at = ++count;
    for (; at > 1; at--) { // uses insertion sort, since real objects have about a dozen names
      lua_rawgeti(L, names, at - 1);
      if (strcmp(lua_tostring(L, -1), lua_tostring(L, -3)) <= 0) {
        lua_pop(L, 1);
        break;
      }
      lua_rawseti(L, names, at);
    }
    lua_pushvalue(L, -2);
    lua_rawseti(L, names, at);
  }
}

// Appends each valid URL in the value at index `value` once: in array order, and in the order of objects' sorted names. Visits at most
// `*left` values. The recursion is bounded, since the decoder limits the nesting depth.
static void add_all_urls(lua_State *L, int value, int media, int *left) {
  if (--*left < 0) return;
  if (lua_type(L, value) == LUA_TSTRING) {
    lua_pushvalue(L, value);
    add_url(L, media, true);
  } else if (lua_type(L, value) == LUA_TTABLE) {
    luaL_checkstack(L, 16, "media");
    lua_Integer length = (lua_Integer)lua_rawlen(L, value);
    for (lua_Integer i = 1; i <= length && *left > 0; i++) {
      lua_rawgeti(L, value, i);
      add_all_urls(L, lua_gettop(L), media, left);
      lua_pop(L, 1);
    }
    push_sorted_names(L, value);
    int names = lua_gettop(L);
    for (lua_Integer i = 1; *left > 0 && lua_rawgeti(L, names, i) == LUA_TSTRING; i++) {
      lua_rawget(L, value);
      add_all_urls(L, lua_gettop(L), media, left);
      lua_pop(L, 1);
    }
    lua_settop(L, names - 1);
  }
}

// Pushes the array of a task's valid media URLs and returns true; or pushes nothing and returns false when there are none. Takes the URLs
// from `media_urls` in the result and in the task. If a successful task has no URLs in these places, searches the whole result,
// `media_info` and `suno_data`.
static bool push_media(lua_State *L, int data, int result, bool success) {
  static const char *const others[] = {"media_info", "suno_data"};
  lua_newtable(L);
  int media = lua_gettop(L);
  add_media_urls(L, result, media);
  if (lua_rawlen(L, media) == 0) add_media_urls(L, data, media);
  if (success && lua_rawlen(L, media) == 0) {
    int left = MAX_VALUES;
    add_all_urls(L, result, media, &left);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
      if (lua_rawlen(L, media) > 0 || !field_push(L, data, others[i], LUA_TTABLE)) continue;
      add_all_urls(L, lua_gettop(L), media, &left);
      lua_pop(L, 1);
    }
  }
  if (lua_rawlen(L, media) > 0) return true;
  lua_pop(L, 1);
  return false;
}

// Pops the value at the top of the stack into a field of the table at index `into`, without metamethods.
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

// Returns whether the service's message reports that moderation stopped the task.
static bool is_moderation(const char *text) {
  static const char *const words[] = {"moderation", "moderated", "content policy", "content_policy", "safety filter", "safety system",
                                      "sensitive content", "prohibited content"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (strcasestr(text, words[i])) return true;
  return false;
}

// Pushes the reason why a task ended: the result's `message`, else the task's `message`, else `reason`, else "". Skips a reason that only
// repeats the status. Returns whether any of these reasons mentions the service's moderation.
static bool push_reason(lua_State *L, int data, int result) {
  const struct {
    int object;
    const char *name;
  } places[] = {{result, "message"}, {data, "message"}, {data, "reason"}, {result, "reason"}};
  static const char *const empty[] = {"", "success", "failed", "failure", "ok", "error"};
  int reason = 0;
  bool moderation = false;
  lua_pushliteral(L, "");
  int top = lua_gettop(L);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    if (!field_push(L, places[i].object, places[i].name, LUA_TSTRING)) continue;
    clean_push(L, -1, MAX_REASON);
    bool says = true;
    for (size_t k = 0; k < sizeof empty / sizeof *empty; k++) says = says && !ascii_is(lua_tostring(L, -1), empty[k]);
    moderation = moderation || is_moderation(lua_tostring(L, -1));
    if (says && !reason) {
      lua_replace(L, top);
      reason = top;
    }
    lua_settop(L, top);
  }
  return moderation;
}

static void push_task_error(lua_State *L, bool failed, int data, int result) {
  const api_code *row = api_code_find(501);
  bool moderation = push_reason(L, data, result) && failed;
  const char *reason = lua_tostring(L, -1);
  const char *meaning = moderation ? "the service's moderation refused it"
                        : failed   ? row->meaning
                                   : "the task succeeded without a media URL that can be fetched";
  lua_pushfstring(L, *reason ? "%s: %s" : "%s", meaning, reason);
  failure_push(L, moderation ? "moderation_refused" : failed ? row->name : "broken_result", lua_tostring(L, -1), false);
  lua_replace(L, -3);
  lua_pop(L, 1);
  if (failed) {
    field_set_string(L, "hint", moderation ? "change the prompt or the references: the same input will be refused again" : row->hint);
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
    if (ascii_is(lua_tostring(L, -1), known[i])) {
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
  // Once the task is over, the credits are its final cost; until then, they are only reserved.
  bool over = success || failed;
  fill_number(L, data, "credits", into, over ? "credits" : "reserved_credits", false);
  lua_pushnil(L);
  set(L, into, over ? "reserved_credits" : "credits");

  if (!field_push(L, data, "result", LUA_TTABLE)) lua_pushnil(L);
  int result = lua_gettop(L);
  bool media = push_media(L, data, result, success);
  if (!media) lua_pushnil(L);
  set(L, into, "media");
  if (failed || (success && !media))
    push_task_error(L, failed, data, result);
  else
    lua_pushnil(L);
  set(L, into, "error");
  lua_settop(L, top);
  return true;
}

// --- Lua functions

// parse_callback(body) → task table with `raw` | nil, failure. Accepts the task object alone or in the envelope.
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
