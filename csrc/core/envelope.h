// SPDX-License-Identifier: MIT
// Reads and checks the service's responses.
#ifndef OMNI_ENVELOPE_H
#define OMNI_ENVELOPE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/json_reader.h"

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

// Reads the response text `body`, which must end with a NUL and stay unchanged, as json_read requires. Returns true if the response's
// envelope reports success, and sets `data` to the envelope's data, which may be JSON_NONE. If the envelope doesn't report success, pushes
// a failure (code, message, status, retry, hint, refused) and returns false. Before anything else, always pushes the value that json_read
// pushes.
bool envelope_read(lua_State *L, long http_status, const char *body, size_t length, json_document *d, uint32_t *data);

// Decodes the JSON text at index `text`, pushes its value and returns true; if the text isn't valid JSON, pushes a message and returns
// false.
bool json_push(lua_State *L, int text);
// Decodes a value in a response with lua-cjson, pushes the result and returns true; on failure, pushes a message and returns false.
bool json_push_value(lua_State *L, const json_document *d, uint32_t value);
// Reads a whole number that fits into a lua_Integer. Returns false if the number has a fraction or doesn't fit into a lua_Integer.
bool json_whole(const json_document *d, uint32_t value, lua_Integer *whole);
// Cleans the string at `index` with text_clean, shortens it to at most max_bytes, and pushes the result.
void clean_push(lua_State *L, int index, size_t max_bytes);

#endif
