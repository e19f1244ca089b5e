// SPDX-License-Identifier: MIT
// Decodes and checks the service's responses, and provides functions that read fields of these responses.
#ifndef OMNI_ENVELOPE_H
#define OMNI_ENVELOPE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct {
  int number;
  const char *name;
  bool retry, refused;
  const char *meaning, *hint;
} api_code;

// Returns the row for one of the service's codes (api_codes.h), or NULL if the code is unknown.
const api_code *api_code_find(long number);

// Pushes a failure: a table with code, message (cleaned by text_clean) and retry. The caller may add fields to the failure.
void failure_push(lua_State *L, const char *code, const char *message, bool retry);
// Pushes the failure "bad_answer". `http_status` is 0 for text that isn't an HTTP response.
void bad_answer_push(lua_State *L, long http_status, const char *why);

// Decodes the envelope in the string at index `body`. Pushes the envelope's `data` and returns true; or pushes a failure (code, message,
// status, retry, hint, refused) and returns false.
bool envelope_push(lua_State *L, long http_status, int body);
// Decodes the response to a query as envelope_push does, but skips the task's input: data.param.input is null.
bool envelope_push_without_input(lua_State *L, long http_status, int body);

// Decodes the string at index `text` and pushes the value; or pushes a message and returns false when the text isn't JSON.
bool json_push(lua_State *L, int text);
// If the field `name` of the table at index `object` has this Lua type, pushes the field and returns true; otherwise pushes nothing.
bool field_push(lua_State *L, int object, const char *name, int type);
// Reads a field that contains a whole number, either as an integer or as a float from lua-cjson. Returns false for any other value.
bool field_whole(lua_State *L, int object, const char *name, lua_Integer *value);
// Cleans the string at `index` with text_clean, shortens it to at most max_bytes, and pushes the result.
void clean_push(lua_State *L, int index, size_t max_bytes);

#endif
