// SPDX-License-Identifier: MIT
// The service's answers, decoded and checked, and what its other readers need for that.
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

// The row of a code (api_codes.h), or NULL.
const api_code *api_code_find(long number);

// Pushes a failure table: code, message (cleaned of what a terminal might obey), and the optional ones that the caller sets.
void failure_push(lua_State *L, const char *code, const char *message, bool retry);
// Pushes the failure "bad_answer"; http_status 0: it didn't come as an answer.
void bad_answer_push(lua_State *L, long http_status, const char *why);

// Decodes an answer's envelope; the body is the string at index `body`. Pushes `data` and returns true,
// or pushes a failure (code, message, status, retry, hint, refused) and returns false.
bool envelope_push(lua_State *L, long http_status, int body);
// The same for a query's answer, whose echo of the task's input is stepped over: data.param.input is then null.
bool envelope_push_without_input(lua_State *L, long http_status, int body);

// Decodes the string at index `text` and pushes the value; false with a message pushed when it isn't JSON.
bool json_push(lua_State *L, int text);
// Pushes the field `name` of the table at index `object`, if it has the Lua type `type`; else nothing, and false.
bool field_push(lua_State *L, int object, const char *name, int type);
// A field that is a whole number (lua-cjson's numbers are floats); false when it is anything else.
bool field_whole(lua_State *L, int object, const char *name, lua_Integer *value);
// Pushes the string at `index` without what a terminal might obey, of at most max_bytes.
void clean_push(lua_State *L, int index, size_t max_bytes);

#endif
