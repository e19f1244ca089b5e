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

// Decodes the string at index `text` and pushes the value; or pushes a message and returns false when the text isn't JSON.
bool json_push(lua_State *L, int text);
// Pushes a value from a response, decoded by lua-cjson, and returns true; or pushes a message and returns false.
bool json_push_value(lua_State *L, const json_document *d, uint32_t value);
// Reads a whole number that fits into a lua_Integer. Returns false if the number has a fraction or doesn't fit.
bool json_whole(const json_document *d, uint32_t value, lua_Integer *whole);
// Cleans the string at `index` with text_clean, shortens it to at most max_bytes, and pushes the result.
void clean_push(lua_State *L, int index, size_t max_bytes);

#endif
