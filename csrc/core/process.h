// SPDX-License-Identifier: MIT
// Runs one of omni's C functions in a child process. In Lua, the child process is represented by an object like those that core.process
// returns.
#ifndef OMNI_PROCESS_H
#define OMNI_PROCESS_H

#include <lua.h>
#include <stddef.h>

// Pushes a process that runs the function `inside` (see process_start.h). When the process has ended, the field `stdout` of its result
// contains everything that `inside` has written to stdout. On failure, pushes nil and a message. Returns the number of pushed values.
int process_push_inside(lua_State *L, int (*inside)(const void *), const void *argument, size_t max_output);

#endif
