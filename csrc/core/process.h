// SPDX-License-Identifier: MIT
// Runs a C function of omni in a child process, which Lua sees as an object like that of core.process.
#ifndef OMNI_PROCESS_H
#define OMNI_PROCESS_H

#include <lua.h>
#include <stddef.h>

// Pushes a process that runs the function `inside` (see process_start.h). The result's `stdout` is everything that the function writes to
// stdout. On failure pushes nil and a message. Returns the number of values.
int process_push_inside(lua_State *L, int (*inside)(const void *), const void *argument, size_t max_output);

#endif
