// SPDX-License-Identifier: MIT
// The envelope, the task object and the callback's payload: hostile bytes in, one Lua table out.
// Decoding is lua-cjson's, by an instance of our own, so that nobody else's settings reach us; `core.json` is that instance.
#include "task.h"

#include <curl/curl.h>
#include <lauxlib.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "api_codes.h"
#include "core_parts.h"
#include "echo.h"
#include "system.h"

enum {
  MAX_ID = 256,       // bytes of a task id (docs/service.md, "Submit")
  MAX_DEPTH = 100,    // of nested arrays and objects; real answers have about 5
  MAX_WORD = 64,      // bytes of a status, as far as we show it
  MAX_MESSAGE = 2000, // bytes of a message of the service's
  MAX_URL = 8192,
  MAX_MEDIA = 1000, // URLs of one task
};

typedef struct {
  int number;
  const char *name;
  bool retry, refused;
  const char *meaning, *hint;
} api_code;

#define ROW(number, name, retry, refused, meaning, hint) {number, name, retry, refused, meaning, hint},
static const api_code api_codes[] = {API_CODES(ROW)};
#undef ROW

static const char decoder; // registry key of the decode function

static const api_code *find_code(long number) {
  for (size_t i = 0; i < sizeof api_codes / sizeof *api_codes; i++)
    if (api_codes[i].number == number) return &api_codes[i];
  return NULL;
}

static void push_clean(lua_State *L, int index, size_t max_bytes) {
  size_t length, plain = 0;
  const char *text = lua_tolstring(L, index, &length);
  while (plain < length && text[plain] >= ' ' && text[plain] <= '~') plain++;
  if (plain == length && length <= max_bytes) { // as nearly always
    lua_pushvalue(L, index);
    return;
  }
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  system_clean(&buffer, text, length, max_bytes);
  luaL_pushresult(&buffer);
}

// The field `name` of the table at index `object`, if it has the Lua type `type`; nothing is pushed otherwise.
static bool push_field(lua_State *L, int object, const char *name, int type) {
  if (lua_type(L, object) != LUA_TTABLE) return false;
  lua_pushstring(L, name);
  lua_rawget(L, object < 0 ? object - 1 : object);
  if (lua_type(L, -1) == type) return true;
  lua_pop(L, 1);
  return false;
}

// A field that is a whole number (lua-cjson's numbers are floats); false when it is anything else.
static bool whole_field(lua_State *L, int object, const char *name, lua_Integer *value) {
  if (!push_field(L, object, name, LUA_TNUMBER)) return false;
  int whole = 0;
  *value = lua_tointegerx(L, -1, &whole);
  lua_pop(L, 1);
  return whole;
}

void failure_push(lua_State *L, const char *code, const char *message, bool retry) {
  lua_createtable(L, 0, 6);
  lua_pushstring(L, code);
  lua_setfield(L, -2, "code");
  lua_pushstring(L, message);
  push_clean(L, -1, MAX_MESSAGE);
  lua_setfield(L, -3, "message");
  lua_pop(L, 1);
  lua_pushboolean(L, retry);
  lua_setfield(L, -2, "retry");
}

bool task_id_valid(const char *id, size_t length) {
  if (length < 1 || length > MAX_ID) return false;
  for (size_t i = 0; i < length; i++)
    if (id[i] <= ' ' || id[i] > '~') return false;
  return true;
}

// Decodes the string at index `text` and pushes the value; false with a message pushed when it isn't JSON.
static bool decode_push(lua_State *L, int text) {
  size_t length;
  const char *bytes = lua_tolstring(L, text, &length);
  if (length == 0) {
    lua_pushliteral(L, "it is empty");
    return false;
  }
  if (memchr(bytes, '\0', length)) { // lua-cjson would take the first NUL for the end
    lua_pushliteral(L, "it holds a NUL byte");
    return false;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &decoder);
  lua_pushvalue(L, text);
  int outcome = lua_pcall(L, 1, 1, 0);
  if (outcome == LUA_ERRMEM) lua_error(L);
  return outcome == LUA_OK;
}

// --- the envelope

static void push_refusal(lua_State *L, long number, const char *said) {
  const api_code *row = find_code(number);
  const char *meaning = row ? row->meaning : number >= 500 ? "the service failed" : "the service answered with a code that isn't documented";
  const char *code = row ? row->name : number >= 500 ? "server_error" : "unexpected_code";
  if (said && *said && strcmp(said, meaning) != 0)
    lua_pushfstring(L, "%s: %s", meaning, said);
  else
    lua_pushstring(L, meaning);
  failure_push(L, code, lua_tostring(L, -1), row ? row->retry : number >= 500);
  lua_remove(L, -2);
  lua_pushinteger(L, number);
  lua_setfield(L, -2, "status");
  lua_pushboolean(L, row && row->refused);
  lua_setfield(L, -2, "refused");
  if (row && row->hint) {
    lua_pushstring(L, row->hint);
    lua_setfield(L, -2, "hint");
  }
}

static void push_bad_answer(lua_State *L, long http_status, const char *why) {
  if (http_status)
    lua_pushfstring(L, "the answer (HTTP %d) can't be used: %s", (int)http_status, why);
  else
    lua_pushfstring(L, "it can't be used: %s", why);
  failure_push(L, "bad_answer", lua_tostring(L, -1), true);
  lua_remove(L, -2);
  if (http_status) {
    lua_pushinteger(L, http_status);
    lua_setfield(L, -2, "status");
  }
}

// An answer without a usable envelope: the HTTP status is all there is.
static void push_bare_status(lua_State *L, long http_status, const char *why) {
  if (find_code(http_status) || http_status >= 500)
    push_refusal(L, http_status, NULL);
  else if (http_status >= 300 && http_status < 400)
    push_bad_answer(L, http_status, "it is a redirect, which isn't followed");
  else
    push_bad_answer(L, http_status, why);
}

// Whether the value at the top is a task object whose generation is over (it can come under the envelope's code 501).
static bool is_final_task(lua_State *L) {
  if (!push_field(L, -1, "status", LUA_TSTRING)) return false;
  bool final = strcasecmp(lua_tostring(L, -1), "failed") == 0;
  lua_pop(L, 1);
  return final;
}

bool answer_push(lua_State *L, long http_status, int body) {
  int top = lua_gettop(L);
  bool fine = http_status >= 200 && http_status < 300;
  lua_Integer code = 0;
  if (!decode_push(L, body)) {
    push_bare_status(L, http_status, lua_tostring(L, -1));
  } else if (!whole_field(L, -1, "code", &code)) {
    push_bare_status(L, http_status, "it isn't the service's envelope");
  } else if (code == 200 && fine) {
    lua_getfield(L, -1, "data");
    lua_replace(L, top + 1);
    return true;
  } else if (code == 200) { // an error status that calls itself a success
    push_bare_status(L, http_status, "its code says success and its status doesn't");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "refused");
  } else {
    if (code == 501 && push_field(L, -1, "data", LUA_TTABLE)) {
      if (is_final_task(L)) {
        lua_replace(L, top + 1);
        return true;
      }
      lua_pop(L, 1);
    }
    const char *said = NULL;
    if (push_field(L, -1, "message", LUA_TSTRING)) said = lua_tostring(L, -1);
    if (code < 100 || code > 999) code = 0;
    push_refusal(L, (long)code, said);
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return false;
}

bool answer_push_without_echo(lua_State *L, long http_status, int body) {
  size_t length, start, end;
  const char *text = lua_tolstring(L, body, &length);
  if (!echo_find(text, length, &start, &end) || end - start < 32) return answer_push(L, http_status, body);
  luaL_Buffer shorter;
  luaL_buffinitsize(L, &shorter, length);
  luaL_addlstring(&shorter, text, start);
  luaL_addlstring(&shorter, "null", 4);
  luaL_addlstring(&shorter, text + end, length - end);
  luaL_pushresult(&shorter);
  bool fine = answer_push(L, http_status, lua_gettop(L));
  lua_remove(L, -2);
  return fine;
}

// --- the task object

// A URL that may be fetched: http or https, with a host, no user or password, no white space or control characters.
static bool usable_url(const char *url, size_t length) {
  if (length == 0 || length > MAX_URL) return false;
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)url[i] <= ' ' || url[i] == 0x7f || url[i] == '\\') return false;
  if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0) return false;
  CURLU *parts = curl_url();
  char *host = NULL, *user = NULL, *password = NULL;
  bool usable = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_USER, &user, 0) == CURLUE_NO_USER &&
                curl_url_get(parts, CURLUPART_PASSWORD, &password, 0) == CURLUE_NO_PASSWORD;
  curl_free(host), curl_free(user), curl_free(password);
  curl_url_cleanup(parts);
  return usable;
}

// Pushes the array of usable URLs in `object.media_urls`; nothing when there is none.
static bool push_media(lua_State *L, int object) {
  if (!push_field(L, object, "media_urls", LUA_TTABLE)) return false;
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
    if (url && usable_url(url, length))
      lua_rawseti(L, -2, ++count);
    else
      lua_pop(L, 1);
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
  if (!push_field(L, object, name, LUA_TNUMBER)) {
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
  if (push_field(L, result, "message", LUA_TSTRING)) said = lua_tostring(L, -1);
  bool own = said && *said && strcasecmp(said, "success") != 0;
  lua_pushfstring(L, own ? "%s: %s" : "%s", meaning, said);
  failure_push(L, code, lua_tostring(L, -1), false);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  const api_code *row = find_code(501);
  lua_Integer number;
  if (strcmp(code, row->name) == 0) {
    lua_pushstring(L, row->hint);
    lua_setfield(L, -2, "hint");
    if (whole_field(L, result, "code", &number) && number != 200) {
      lua_pushinteger(L, number);
      lua_setfield(L, -2, "status");
    }
  }
}

bool task_id_push(lua_State *L, int data) {
  if (!push_field(L, data, "task_id", LUA_TSTRING)) return false;
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
  push_clean(L, -1, MAX_WORD);
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
    push_bad_answer(L, 0, "there is no valid task id in it");
    return false;
  }
  size_t length;
  const char *id = lua_tolstring(L, -1, &length);
  if (expected && (length != expected_length || memcmp(id, expected, length) != 0)) {
    lua_pop(L, 1);
    push_bad_answer(L, 0, "it is about another task");
    return false;
  }
  if (!push_field(L, data, "status", LUA_TSTRING) || lua_rawlen(L, -1) == 0) {
    lua_settop(L, top);
    push_bad_answer(L, 0, "there is no status in it");
    return false;
  }
  push_status(L);
  lua_remove(L, -2);
  const char *status = lua_tostring(L, -1);
  bool success = strcmp(status, "success") == 0, failed = strcmp(status, "failed") == 0;
  set(L, into, "status");
  set(L, into, "id");

  if (push_field(L, data, "param", LUA_TTABLE)) {
    if (push_field(L, -1, "model", LUA_TSTRING)) {
      push_clean(L, -1, MAX_ID);
      set(L, into, "model");
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  fill_number(L, data, "create_at", into, "created_at", true);
  fill_number(L, data, "complete_at", into, "completed_at", true);
  fill_number(L, data, "duration_s", into, "duration", false);
  fill_number(L, data, "credits", into, "credits", false);

  if (!push_field(L, data, "result", LUA_TTABLE)) lua_pushnil(L);
  int result = lua_gettop(L);
  bool media = push_media(L, result) || push_media(L, data);
  if (!media) lua_pushnil(L);
  set(L, into, "media");
  if (failed)
    push_task_error(L, "generation_failed", find_code(501)->meaning, result);
  else if (success && !media)
    push_task_error(L, "broken_result", "the task succeeded without a media URL that can be fetched", result);
  else
    lua_pushnil(L);
  set(L, into, "error");
  lua_settop(L, top);
  return true;
}

// --- for Lua

// parse_answer(http_status, body) → data | nil, failure
static int parse_answer(lua_State *L) {
  lua_Integer status = luaL_checkinteger(L, 1);
  luaL_checkstring(L, 2);
  if (answer_push(L, (long)status, 2)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

// parse_callback(body) → task table with `raw` | nil, failure. The object comes bare, or wrapped in the envelope.
static int parse_callback(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  if (!decode_push(L, 1)) {
    push_bad_answer(L, 0, lua_tostring(L, -1));
  } else {
    if (!push_field(L, 2, "task_id", LUA_TSTRING) && push_field(L, 2, "data", LUA_TTABLE)) lua_replace(L, 2);
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

// decode(text) → value | nil, message
static int decode(lua_State *L) {
  luaL_checkstring(L, 1);
  if (decode_push(L, 1)) return 1;
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

static int is_usable_url(lua_State *L) {
  size_t length = 0;
  const char *url = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : "";
  lua_pushboolean(L, strlen(url) == length && usable_url(url, length));
  return 1;
}

static void set_option(lua_State *L, const char *name, lua_Integer value, bool boolean) {
  lua_getfield(L, -1, name);
  if (boolean)
    lua_pushboolean(L, (int)value);
  else
    lua_pushinteger(L, value);
  lua_call(L, 1, 0);
}

void task_open(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "cjson");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_call(L, 0, 1);
  lua_remove(L, -2);
  set_option(L, "decode_invalid_numbers", 0, true);
  set_option(L, "encode_invalid_numbers", 0, true);
  set_option(L, "decode_max_depth", MAX_DEPTH, false);
  set_option(L, "encode_max_depth", MAX_DEPTH, false);
  set_option(L, "encode_number_precision", 14, false);
  lua_getfield(L, -1, "decode");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &decoder);
  lua_setfield(L, -2, "json");

  static const luaL_Reg functions[] = {{"parse_answer", parse_answer}, {"parse_callback", parse_callback}, {"decode", decode},
                                       {"is_task_id", is_task_id},     {"is_usable_url", is_usable_url},   {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof api_codes / sizeof *api_codes; i++) {
    const api_code *row = &api_codes[i];
    lua_createtable(L, 0, 6);
    lua_pushstring(L, row->name), lua_setfield(L, -2, "name");
    lua_pushstring(L, row->meaning), lua_setfield(L, -2, "meaning");
    lua_pushstring(L, row->hint), lua_setfield(L, -2, "hint");
    lua_pushboolean(L, row->retry), lua_setfield(L, -2, "retry");
    lua_pushboolean(L, row->refused), lua_setfield(L, -2, "refused");
    lua_rawseti(L, -2, row->number);
  }
  lua_setfield(L, -2, "codes");
}
