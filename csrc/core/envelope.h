// SPDX-License-Identifier: MIT
// Decodes and checks the service's responses, and has helpers for reading their fields.
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

// Returns the row of the service's code (api_codes.h), or NULL for an unknown code.
const api_code *api_code_find(long number);

// Pushes a failure: a table with code, message (cleaned by text_clean) and retry. The caller may add fields to the table.
void failure_push(lua_State *L, const char *code, const char *message, bool retry);
// Pushes the failure "bad_answer". `http_status` is 0 for text that isn't an HTTP response.
void bad_answer_push(lua_State *L, long http_status, const char *why);

// Decodes the envelope in the string at index `body`. Pushes its `data` and returns true; or pushes a failure (code, message, status,
// retry, hint, refused) and returns false.
bool envelope_push(lua_State *L, long http_status, int body);
// Decodes the response to a query as envelope_push does, but skips the task's input: data.param.input is null.
bool envelope_push_without_input(lua_State *L, long http_status, int body);

// Decodes the string at index `text` and pushes the value; or pushes a message and returns false when the text isn't JSON.
bool json_push(lua_State *L, int text);
// Pushes the field `name` of the table at index `object` and returns true if it has this Lua type; else pushes nothing.
bool field_push(lua_State *L, int object, const char *name, int type);
// Reads a field that holds a whole number, as an integer or as one of lua-cjson's floats. Returns false for any other value.
bool field_whole(lua_State *L, int object, const char *name, lua_Integer *value);
// Pushes the string at `index`, cleaned by text_clean to at most max_bytes.
void clean_push(lua_State *L, int index, size_t max_bytes);

#endif
