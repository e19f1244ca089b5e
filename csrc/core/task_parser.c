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
  MAX_VALUES = 10000, // the search for URLs visits at most this many values in a result
  MAX_NAMES = 200,   // the search for URLs visits at most this many members of one object
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

// Pops the URL at the top of the stack and appends it, normalised, to the array at index `media`. Skips a URL that is invalid or, if `once`
// is true, already in the array.
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

// Appends the valid URLs of `object.media_urls`, which is an array of strings, or of objects with a `url`.
static void add_media_urls(lua_State *L, const json_document *d, uint32_t object, int media) {
  uint32_t urls = json_member(d, object, "media_urls"), at = json_first(d, urls);
  for (int i = 0; at != JSON_NONE && i < MAX_MEDIA; i++, at = json_next(d, urls, at)) {
    uint32_t url = json_is(d, at, JSON_STRING) ? at : json_member_of(d, at, "url", JSON_STRING);
    if (url == JSON_NONE) continue;
    json_push_string(L, d, url);
    add_url(L, media, false);
  }
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

// Appends each valid URL in the value at index `value` to the array at index `media`, but no URL twice. Searches the elements of arrays in
// order, and the members of objects sorted by name. Visits at most `*left` values. The recursion is bounded, since the decoder limits the
// nesting depth.
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

static void search_urls(lua_State *L, const json_document *d, uint32_t value, int media, int *left) {
  if (!json_is(d, value, JSON_ARRAY) && !json_is(d, value, JSON_OBJECT)) return;
  if (json_push_value(L, d, value)) add_all_urls(L, lua_gettop(L), media, left);
  lua_pop(L, 1);
}

// Pushes the array of a task's valid media URLs and returns true; or pushes nothing and returns false when there are none. Takes the URLs
// from `media_urls` in the result and in the task. If a successful task has no URLs in `media_urls`, searches the whole result,
// `media_info` and `suno_data`.
static bool push_media(lua_State *L, const json_document *d, uint32_t data, uint32_t result, bool success) {
  static const char *const others[] = {"media_info", "suno_data"};
  bool listed = json_member(d, result, "media_urls") != JSON_NONE || json_member(d, data, "media_urls") != JSON_NONE;
  if (!listed && !success) return false; // allocates no table for a task without URLs, such as a running task
  lua_newtable(L);
  int media = lua_gettop(L);
  add_media_urls(L, d, result, media);
  if (lua_rawlen(L, media) == 0) add_media_urls(L, d, data, media);
  if (success && lua_rawlen(L, media) == 0) {
    int left = MAX_VALUES;
    search_urls(L, d, result, media, &left);
    for (size_t i = 0; i < sizeof others / sizeof *others && lua_rawlen(L, media) == 0; i++)
      search_urls(L, d, json_member(d, data, others[i]), media, &left);
  }
  if (lua_rawlen(L, media) > 0) return true;
  lua_pop(L, 1);
  return false;
}

// Pops the value at the top of the stack into a field of the table at index `into`, without calling metamethods.
static void set(lua_State *L, int into, const char *name) {
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_rawset(L, into);
}

static void fill_number(lua_State *L, const json_document *d, uint32_t object, const char *name, int into, const char *as, bool whole) {
  uint32_t found = json_member_of(d, object, name, JSON_NUMBER);
  double number = found != JSON_NONE ? json_number(d, found) : -1;
  lua_Integer integer;
  if (!isfinite(number) || number < 0)
    lua_pushnil(L);
  else if (json_whole(d, found, &integer))
    lua_pushinteger(L, integer);
  else if (whole)
    lua_pushnil(L);
  else
    lua_pushnumber(L, number);
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

// Pushes the reason why a task ended: the result's `message`, or else the task's `message`, or else a `reason`, or else "". Skips a reason
// that only repeats the status. Returns whether any of the reasons mentions moderation by the service.
static bool push_reason(lua_State *L, const json_document *d, uint32_t data, uint32_t result) {
  const struct {
    uint32_t object;
    const char *name;
  } places[] = {{result, "message"}, {data, "message"}, {data, "reason"}, {result, "reason"}};
  static const char *const empty[] = {"", "success", "failed", "failure", "ok", "error"};
  int reason = 0;
  bool moderation = false;
  lua_pushliteral(L, "");
  int top = lua_gettop(L);
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    uint32_t found = json_member_of(d, places[i].object, places[i].name, JSON_STRING);
    if (found == JSON_NONE) continue;
    json_push_string(L, d, found);
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

static void push_task_error(lua_State *L, bool failed, const json_document *d, uint32_t data, uint32_t result) {
  const api_code *row = api_code_find(501);
  bool moderation = push_reason(L, d, data, result) && failed;
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

bool task_id_push(lua_State *L, const json_document *d, uint32_t data) {
  uint32_t found = json_member_of(d, data, "task_id", JSON_STRING);
  if (found == JSON_NONE) return false;
  json_push_string(L, d, found);
  size_t length;
  const char *id = lua_tolstring(L, -1, &length);
  if (task_id_valid(id, length)) return true;
  lua_pop(L, 1);
  return false;
}

// Pushes a lower-case copy of the status at the top of the stack.
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

// Pushes a task's id and status and returns true; or pushes a failure and returns false. The parameters `data`, `expected` and
// `expected_length` have the same meaning as in task_fill.
static bool push_head(lua_State *L, const json_document *d, uint32_t data, const char *expected, size_t expected_length) {
  int top = lua_gettop(L);
  if (!task_id_push(L, d, data)) {
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
  uint32_t word = json_member_of(d, data, "status", JSON_STRING);
  if (word == JSON_NONE || d->values[word].start == d->values[word].end) {
    lua_settop(L, top);
    bad_answer_push(L, 0, "there is no status in it");
    return false;
  }
  json_push_string(L, d, word);
  push_status(L);
  lua_remove(L, -2);
  return true;
}

bool task_fill(lua_State *L, const json_document *d, uint32_t data, int into, const char *expected, size_t expected_length) {
  into = lua_absindex(L, into);
  int top = lua_gettop(L);
  if (!push_head(L, d, data, expected, expected_length)) return false;
  const char *status = lua_tostring(L, -1);
  bool success = strcmp(status, "success") == 0, failed = strcmp(status, "failed") == 0;
  set(L, into, "status");
  set(L, into, "id");

  uint32_t model = json_member_of(d, json_member(d, data, "param"), "model", JSON_STRING);
  if (model != JSON_NONE) {
    json_push_string(L, d, model);
    clean_push(L, -1, MAX_ID);
    set(L, into, "model");
  }
  fill_number(L, d, data, "create_at", into, "created_at", true);
  fill_number(L, d, data, "complete_at", into, "completed_at", true);
  fill_number(L, d, data, "duration_s", into, "duration", false);
  // Once the task is over, the credits are its final cost; until then, the credits are only reserved.
  bool over = success || failed;
  fill_number(L, d, data, "credits", into, over ? "credits" : "reserved_credits", false);
  lua_pushnil(L);
  set(L, into, over ? "reserved_credits" : "credits");

  uint32_t result = json_member(d, data, "result");
  bool media = push_media(L, d, data, result, success);
  if (!media) lua_pushnil(L);
  set(L, into, "media");
  if (failed || (success && !media))
    push_task_error(L, failed, d, data, result);
  else
    lua_pushnil(L);
  set(L, into, "error");
  lua_settop(L, top);
  return true;
}

// --- Lua functions

// Reads the callback's body at index 1, and sets `data` to its task object. Pushes the value that json_read pushes and returns true; or
// leaves a failure at the top of the stack and returns false.
static bool read_callback(lua_State *L, json_document *d, uint32_t *data) {
  size_t length;
  const char *body = luaL_checklstring(L, 1, &length);
  lua_settop(L, 1);
  if (!json_read(L, body, length, d)) {
    lua_pushfstring(L, "it isn't JSON: %s at byte %I", d->why, (lua_Integer)d->at + 1);
    bad_answer_push(L, 0, lua_tostring(L, -1));
    return false;
  }
  *data = json_callback_task(d);
  return true;
}

static int fail(lua_State *L) {
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

// parse_callback(body) → task table | nil, failure
static int parse_callback(lua_State *L) {
  json_document d;
  uint32_t data;
  if (!read_callback(L, &d, &data)) return fail(L);
  lua_newtable(L);
  if (!task_fill(L, &d, data, 3, NULL, 0)) return fail(L);
  lua_settop(L, 3);
  return 1;
}

// callback_head(body) → task id, status | nil, failure. For the receiver, which gets everything else from a query.
static int callback_head(lua_State *L) {
  json_document d;
  uint32_t data;
  return read_callback(L, &d, &data) && push_head(L, &d, data, NULL, 0) ? 2 : fail(L);
}

static int is_task_id(lua_State *L) {
  size_t length = 0;
  const char *id = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : "";
  lua_pushboolean(L, task_id_valid(id, length));
  return 1;
}

void task_open(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"parse_callback", parse_callback}, {"callback_head", callback_head}, {"is_task_id", is_task_id}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
