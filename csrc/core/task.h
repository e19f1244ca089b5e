// SPDX-License-Identifier: MIT
// The task object, checked and turned into Lua values.
#ifndef OMNI_TASK_H
#define OMNI_TASK_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

// Turns the task object at index `data` into fields of the table at index `into`. True, or false with a failure pushed.
// expected: the task id asked for, or NULL.
bool task_fill(lua_State *L, int data, int into, const char *expected, size_t expected_length);

// Pushes the task id of a submit's data and returns true, or false (nothing pushed) when there is no valid one.
bool task_id_push(lua_State *L, int data);

// A task id: 1 to 256 printable ASCII characters without spaces.
bool task_id_valid(const char *id, size_t length);

#endif
