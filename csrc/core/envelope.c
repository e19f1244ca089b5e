// SPDX-License-Identifier: MIT
// Converts a response's untrusted bytes to the envelope's data or to a failure. Decodes JSON with an instance of lua-cjson that belongs to
// omni (core.json), so no other module can change its settings.
#include "core/envelope.h"

#include <lauxlib.h>
#include <string.h>

#include "core/api_codes.h"
#include "core/core_parts.h"
#include "core/input_echo.h"
#include "core/number.h"
#include "core/text.h"
#include "shared/ascii.h"
#include "shared/field.h"

enum {
  MAX_DEPTH = 100,    // maximum nesting depth of arrays and objects; real responses have about 5 levels
  MAX_MESSAGE = 2000, // maximum number of bytes that omni keeps from a message that the service sent
  MAX_ERRORS = 10,    // maximum number of a refusal's `errors` that omni includes in its message
};

#define ROW(number, name, retry, refused, meaning, hint) {number, name, retry, refused, meaning, hint},
static const api_code api_codes[] = {API_CODES(ROW)};
#undef ROW

static const char decoder; // this variable's address is the decode function's key in the registry

const api_code *api_code_find(long number) {
  for (size_t i = 0; i < sizeof api_codes / sizeof *api_codes; i++)
    if (api_codes[i].number == number) return &api_codes[i];
  return NULL;
}

void clean_push(lua_State *L, int index, size_t max_bytes) {
  size_t length, plain = 0;
  const char *text = lua_tolstring(L, index, &length);
  while (plain < length && text[plain] >= ' ' && text[plain] <= '~') plain++;
  if (plain == length && length <= max_bytes) { // the common case
    lua_pushvalue(L, index);
    return;
  }
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  text_clean(&buffer, text, length, max_bytes);
  luaL_pushresult(&buffer);
}

bool field_push(lua_State *L, int object, const char *name, int type) {
  if (lua_type(L, object) != LUA_TTABLE) return false;
  lua_pushstring(L, name);
  lua_rawget(L, object < 0 ? object - 1 : object);
  if (lua_type(L, -1) == type) return true;
  lua_pop(L, 1);
  return false;
}

bool field_whole(lua_State *L, int object, const char *name, lua_Integer *value) {
  if (!field_push(L, object, name, LUA_TNUMBER)) return false;
  int whole = 0;
  *value = lua_tointegerx(L, -1, &whole);
  lua_pop(L, 1);
  return whole;
}

void failure_push(lua_State *L, const char *code, const char *message, bool retry) {
  lua_createtable(L, 0, 6);
  field_set_string(L, "code", code);
  lua_pushstring(L, message);
  clean_push(L, -1, MAX_MESSAGE);
  lua_setfield(L, -3, "message");
  lua_pop(L, 1);
  field_set_boolean(L, "retry", retry);
}

bool json_push(lua_State *L, int text) {
  size_t length;
  const char *bytes = lua_tolstring(L, text, &length);
  bool marked = length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0; // a byte order mark
  if (length == (marked ? 3 : 0)) {
    lua_pushliteral(L, "it is empty");
    return false;
  }
  if (memchr(bytes, '\0', length)) { // lua-cjson would stop reading at the first NUL
    lua_pushliteral(L, "it contains a NUL byte");
    return false;
  }
  text = lua_absindex(L, text);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &decoder);
  number_neutral(L, text, marked ? 3 : 0);
  int outcome = number_pcall(L, 1);
  if (outcome == LUA_ERRMEM) lua_error(L);
  return outcome == LUA_OK;
}

// --- the envelope

// Pushes a number of credits as text, with up to two decimal places. Doesn't use printf, whose decimal point depends on the locale.
static void push_credits(lua_State *L, double credits) {
  lua_Integer hundredths = (lua_Integer)(credits * 100 + 0.5);
  if (hundredths % 100 == 0)
    lua_pushfstring(L, "%I", hundredths / 100);
  else
    lua_pushfstring(L, "%I.%d%d", hundredths / 100, (int)(hundredths / 10 % 10), (int)(hundredths % 10));
}

// Pops the text at the top of the stack and appends it to the message below, unless the message already contains the text. Separates the
// first reason from the message by ": ", and every later reason by "; ".
static void append_text(lua_State *L, bool *first) {
  const char *message = lua_tostring(L, -2), *text = lua_tostring(L, -1);
  if (*text == '\0' || strstr(message, text)) {
    lua_pop(L, 1);
    return;
  }
  lua_pushfstring(L, "%s%s%s", message, *first ? ": " : "; ", text);
  lua_replace(L, -3);
  lua_pop(L, 1);
  *first = false;
}

// Appends the envelope's `message` and each of its `errors` to the message at the top of the stack. Each error is a string, or an object
// with a `msg` or a `message`.
static void add_reasons(lua_State *L, int envelope) {
  bool first = true;
  if (field_push(L, envelope, "message", LUA_TSTRING)) {
    clean_push(L, -1, MAX_MESSAGE / 2);
    lua_remove(L, -2);
    append_text(L, &first);
  }
  if (!field_push(L, envelope, "errors", LUA_TTABLE)) return;
  int errors = lua_gettop(L);
  lua_pushvalue(L, errors - 1); // the message
  first = true;
  for (int i = 1; i <= MAX_ERRORS; i++) {
    int item = lua_gettop(L) + 1, type = lua_rawgeti(L, errors, i);
    if (type == LUA_TTABLE && (field_push(L, item, "msg", LUA_TSTRING) || field_push(L, item, "message", LUA_TSTRING)))
      lua_replace(L, item);
    if (lua_type(L, item) == LUA_TSTRING) {
      clean_push(L, item, MAX_MESSAGE / 2);
      lua_remove(L, item);
      append_text(L, &first);
    } else {
      lua_settop(L, item - 1);
    }
    if (type == LUA_TNIL) break;
  }
  lua_replace(L, errors - 1);
  lua_pop(L, 1);
}

// Adds two fields to the failure for missing credits: the account's `balance`, if the service reports it, and a hint that contains the
// balance.
static void add_balance(lua_State *L, int envelope) {
  int failure = lua_gettop(L);
  if (field_push(L, envelope, "data", LUA_TTABLE) && field_push(L, -1, "balance", LUA_TNUMBER)) {
    double balance = lua_tonumber(L, -1);
    if (balance >= 0 && balance < 1e15) {
      lua_setfield(L, failure, "balance");
      push_credits(L, balance);
      lua_pushfstring(L, "the account has %s credits; %s", lua_tostring(L, -1), api_code_find(402)->hint);
      lua_setfield(L, failure, "hint");
    }
  }
  lua_settop(L, failure);
}

// `envelope` is the stack index of the response's envelope, or 0 if there is none.
static void push_refusal(lua_State *L, long number, int envelope) {
  const api_code *row = api_code_find(number);
  const char *meaning = row ? row->meaning : number >= 500 ? "the service failed" : "the service responded with an undocumented code";
  const char *code = row ? row->name : number >= 500 ? "server_error" : "unexpected_code";
  lua_pushstring(L, meaning);
  if (envelope) add_reasons(L, envelope);
  failure_push(L, code, lua_tostring(L, -1), row ? row->retry : number >= 500);
  lua_remove(L, -2);
  field_set_integer(L, "status", number);
  field_set_boolean(L, "refused", row && row->refused);
  if (row && row->hint) field_set_string(L, "hint", row->hint);
  if (number == 402 && envelope) add_balance(L, envelope);
}

void bad_answer_push(lua_State *L, long http_status, const char *why) {
  if (http_status)
    lua_pushfstring(L, "the response (HTTP %d) can't be used: %s", (int)http_status, why);
  else
    lua_pushfstring(L, "it can't be used: %s", why);
  failure_push(L, "bad_answer", lua_tostring(L, -1), true);
  lua_remove(L, -2);
  if (http_status) field_set_integer(L, "status", http_status);
}

// Pushes the failure for a response without a usable envelope. The HTTP status determines the failure's code.
static void push_bare_status(lua_State *L, long http_status, const char *why) {
  if (api_code_find(http_status) || http_status >= 500)
    push_refusal(L, http_status, 0);
  else if (http_status >= 300 && http_status < 400)
    bad_answer_push(L, http_status, "it is a redirect, which omni doesn't follow here");
  else
    bad_answer_push(L, http_status, why);
}

// Returns whether the value at the top of the stack is the task object of a failed task. The service may send a failed task in an envelope
// with the code 501.
static bool is_final_task(lua_State *L) {
  if (!field_push(L, -1, "status", LUA_TSTRING)) return false;
  bool final = ascii_is(lua_tostring(L, -1), "failed");
  lua_pop(L, 1);
  return final;
}

bool envelope_push(lua_State *L, long http_status, int body) {
  int top = lua_gettop(L);
  bool fine = http_status >= 200 && http_status < 300;
  lua_Integer code = 0;
  if (!json_push(L, body)) {
    push_bare_status(L, http_status, lua_tostring(L, -1));
  } else if (!field_whole(L, -1, "code", &code)) {
    push_bare_status(L, http_status, "it isn't the service's envelope");
  } else if (code == 200 && fine) {
    lua_getfield(L, -1, "data");
    lua_replace(L, top + 1);
    return true;
  } else if (code == 200) { // the HTTP status reports an error, but the envelope's code is success
    push_bare_status(L, http_status, "its code reports success, but its HTTP status doesn't");
    field_set_boolean(L, "refused", 0);
  } else {
    if (code == 501 && field_push(L, -1, "data", LUA_TTABLE)) {
      if (is_final_task(L)) {
        lua_replace(L, top + 1);
        return true;
      }
      lua_pop(L, 1);
    }
    if (code < 100 || code > 999) code = 0;
    push_refusal(L, (long)code, lua_gettop(L));
  }
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return false;
}

bool envelope_push_without_input(lua_State *L, long http_status, int body) {
  size_t length, start, end;
  const char *text = lua_tolstring(L, body, &length);
  if (!input_echo_find(text, length, &start, &end) || end - start < 32) return envelope_push(L, http_status, body);
  luaL_Buffer shorter;
  luaL_buffinitsize(L, &shorter, length);
  luaL_addlstring(&shorter, text, start);
  luaL_addlstring(&shorter, "null", 4);
  luaL_addlstring(&shorter, text + end, length - end);
  luaL_pushresult(&shorter);
  bool fine = envelope_push(L, http_status, lua_gettop(L));
  lua_remove(L, -2);
  return fine;
}

// --- for Lua

// decode(text) → value | nil, message
static int decode(lua_State *L) {
  luaL_checkstring(L, 1);
  if (json_push(L, 1)) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

static void set_option(lua_State *L, const char *name, lua_Integer value, bool boolean) {
  lua_getfield(L, -1, name);
  if (boolean)
    lua_pushboolean(L, (int)value);
  else
    lua_pushinteger(L, value);
  lua_call(L, 1, 0);
}

void envelope_open(lua_State *L) {
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

  static const luaL_Reg functions[] = {{"decode", decode}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  lua_newtable(L);
  for (size_t i = 0; i < sizeof api_codes / sizeof *api_codes; i++) {
    const api_code *row = &api_codes[i];
    lua_createtable(L, 0, 6);
    field_set_string(L, "name", row->name);
    field_set_string(L, "meaning", row->meaning);
    field_set_string(L, "hint", row->hint);
    field_set_boolean(L, "retry", row->retry);
    field_set_boolean(L, "refused", row->refused);
    lua_rawseti(L, -2, row->number);
  }
  lua_setfield(L, -2, "codes");
  lua_createtable(L, 0, 2);
  field_set_string(L, "keys", KEYS_PAGE);
  field_set_string(L, "billing", BILLING_PAGE);
  lua_setfield(L, -2, "pages");
}
