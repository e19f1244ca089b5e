// SPDX-License-Identifier: MIT
// Checks a task object and converts it to Lua values.
#ifndef OMNI_TASK_PARSER_H
#define OMNI_TASK_PARSER_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/json_reader.h"

// Converts the task object `data` to fields of the table at index `into` and returns true; or pushes a failure and returns false. `data` may
// be JSON_NONE. `expected` is the id of the task that was queried, or NULL.
bool task_fill(lua_State *L, const json_document *d, uint32_t data, int into, const char *expected, size_t expected_length);

// Pushes the task id from a submit response's data and returns true; or pushes nothing and returns false if the id is missing or invalid.
bool task_id_push(lua_State *L, const json_document *d, uint32_t data);

// Returns whether a string can be a task id: 1 to 256 printable ASCII characters without spaces.
bool task_id_valid(const char *id, size_t length);

#endif
