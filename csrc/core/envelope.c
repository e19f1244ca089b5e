// SPDX-License-Identifier: MIT
// Converts the untrusted bytes of a response to the data in the response's envelope, or to a failure. Reads the envelope in place, and
// decodes only the data that Lua needs. Uses a separate instance of lua-cjson (core.json), so that no other module can change that
// instance's settings.
#include "core/envelope.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "core/api_codes.h"
#include "core/core_parts.h"
#include "core/number.h"
#include "core/text.h"
#include "shared/ascii.h"
#include "shared/field.h"

enum {
  MAX_MESSAGE = 2000, // maximum size of a failure's message in bytes; each text that the service sent may take up half of it
  MAX_ERRORS = 10,    // maximum number of a refusal's `errors` that omni includes in the failure's message
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

bool json_push_value(lua_State *L, const json_document *d, uint32_t value) {
  if (d->values[value].type == JSON_STRING) {
    json_push_string(L, d, value);
    return true;
  }
  json_push_text(L, d, value);
  bool fine = json_push(L, lua_gettop(L));
  lua_remove(L, -2);
  return fine;
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

// Pops the text at the top of the stack and appends it to the message below, unless the message already contains the text. Puts ": " before
// the text if `*first` is true, and "; " otherwise.
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

// Cleans a string from the response and pushes it; pushes "" if there is no string.
static void push_clean(lua_State *L, const json_document *d, uint32_t text, size_t max_bytes) {
  if (text != JSON_NONE)
    json_push_string(L, d, text);
  else
    lua_pushliteral(L, "");
  clean_push(L, -1, max_bytes);
  lua_remove(L, -2);
}

// Appends the envelope's `message` and each of its `errors` to the message at the top of the stack. Each error is a string, or an object
// with a `msg` or a `message`.
static void add_reasons(lua_State *L, const json_document *d) {
  bool first = true;
  push_clean(L, d, json_member_of(d, 0, "message", JSON_STRING), MAX_MESSAGE / 2);
  append_text(L, &first);
  uint32_t errors = json_member(d, 0, "errors"), at = json_first(d, errors);
  first = true;
  for (int i = 0; at != JSON_NONE && i < MAX_ERRORS; i++, at = json_next(d, errors, at)) {
    uint32_t text = json_member_of(d, at, "msg", JSON_STRING);
    if (text == JSON_NONE) text = json_is(d, at, JSON_STRING) ? at : json_member_of(d, at, "message", JSON_STRING);
    push_clean(L, d, text, MAX_MESSAGE / 2);
    append_text(L, &first);
  }
}

// If the service's response contains the account's balance, adds the fields `balance` and `hint` to the failure that reports a lack of
// credits.
static void add_balance(lua_State *L, const json_document *d) {
  uint32_t found = json_member_of(d, json_member(d, 0, "data"), "balance", JSON_NUMBER);
  double balance = found != JSON_NONE ? json_number(d, found) : -1;
  if (!(balance >= 0 && balance < 1e15)) return;
  field_set_number(L, "balance", balance);
  push_credits(L, balance);
  lua_pushfstring(L, "the account has %s credits; %s", lua_tostring(L, -1), api_code_find(402)->hint);
  lua_setfield(L, -3, "hint");
  lua_pop(L, 1);
}

// `d` is the response that contains the envelope, or NULL if there is no envelope.
static void push_refusal(lua_State *L, long number, const json_document *d) {
  const api_code *row = api_code_find(number);
  const char *meaning = row ? row->meaning : number >= 500 ? "the service failed" : "the service responded with an undocumented code";
  const char *code = row ? row->name : number >= 500 ? "server_error" : "unexpected_code";
  lua_pushstring(L, meaning);
  if (d) add_reasons(L, d);
  failure_push(L, code, lua_tostring(L, -1), row ? row->retry : number >= 500);
  lua_remove(L, -2);
  field_set_integer(L, "status", number);
  field_set_boolean(L, "refused", row && row->refused);
  if (row && row->hint) field_set_string(L, "hint", row->hint);
  if (number == 402 && d) add_balance(L, d);
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
    push_refusal(L, http_status, NULL);
  else if (http_status >= 300 && http_status < 400)
    bad_answer_push(L, http_status, "it is a redirect, which omni doesn't follow here");
  else
    bad_answer_push(L, http_status, why);
}

// Returns whether the value is the task object of a failed task. The service may send a failed task in an envelope with the code 501.
static bool is_final_task(lua_State *L, const json_document *d, uint32_t value) {
  uint32_t status = json_member_of(d, value, "status", JSON_STRING);
  if (status == JSON_NONE) return false;
  json_push_string(L, d, status);
  bool final = ascii_is(lua_tostring(L, -1), "failed");
  lua_pop(L, 1);
  return final;
}

bool json_whole(const json_document *d, uint32_t value, lua_Integer *whole) {
  double number = json_number(d, value);
  const double limit = 9223372036854775808.0; // 2^63
  bool fits = number >= -limit && number < limit && number == floor(number);
  if (fits) *whole = (lua_Integer)number;
  return fits;
}

bool envelope_read(lua_State *L, long http_status, const char *body, size_t length, json_document *d, uint32_t *data) {
  bool fine = http_status >= 200 && http_status < 300;
  lua_Integer code = 0;
  uint32_t found;
  if (!json_read(L, body, length, d)) {
    lua_pushfstring(L, "it isn't JSON: %s at byte %I", d->why, (lua_Integer)d->at + 1);
    push_bare_status(L, http_status, lua_tostring(L, -1));
    lua_remove(L, -2);
  } else if ((found = json_member_of(d, 0, "code", JSON_NUMBER)) == JSON_NONE || !json_whole(d, found, &code)) {
    push_bare_status(L, http_status, "it isn't the service's envelope");
  } else if (code == 200 && fine) {
    *data = json_member(d, 0, "data");
    return true;
  } else if (code == 200) { // the HTTP status reports an error, but the envelope's code reports success
    push_bare_status(L, http_status, "its code reports success, but its HTTP status doesn't");
    field_set_boolean(L, "refused", 0);
  } else {
    *data = json_member(d, 0, "data");
    if (code == 501 && is_final_task(L, d, *data)) return true;
    if (code < 100 || code > 999) code = 0;
    push_refusal(L, (long)code, d);
  }
  return false;
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
  set_option(L, "decode_max_depth", JSON_MAX_DEPTH, false);
  set_option(L, "encode_max_depth", JSON_MAX_DEPTH, false);
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
