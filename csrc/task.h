// SPDX-License-Identifier: MIT
// What the service says, checked and turned into Lua values.
#ifndef OMNI_TASK_H
#define OMNI_TASK_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

// Pushes a failure table: code, message (cleaned of what a terminal might obey), and the optional ones that the caller sets.
void failure_push(lua_State *L, const char *code, const char *message, bool retry);

// Decodes an answer's envelope; the body is the string at index `body`. Pushes `data` and returns true,
// or pushes a failure (code, message, status, retry, hint, refused) and returns false.
bool answer_push(lua_State *L, long http_status, int body);

// The same for a query's answer, whose echo of the task's input is stepped over: data.param.input is then null.
bool answer_push_without_echo(lua_State *L, long http_status, int body);

// Turns the task object at index `data` into fields of the table at index `into`. True, or false with a failure pushed.
// expected: the task id asked for, or NULL.
bool task_fill(lua_State *L, int data, int into, const char *expected, size_t expected_length);

// Pushes the task id of a submit's data and returns true, or false (nothing pushed) when there is no valid one.
bool task_id_push(lua_State *L, int data);

// A task id: 1 to 256 printable ASCII characters without spaces.
bool task_id_valid(const char *id, size_t length);

#endif
