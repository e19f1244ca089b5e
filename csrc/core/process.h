// SPDX-License-Identifier: MIT
// Runs one of our C functions in a child process, as a pollable like those of core.process.
#ifndef OMNI_PROCESS_H
#define OMNI_PROCESS_H

#include <lua.h>
#include <stddef.h>

// Pushes a process that runs `inside` (see process_start.h); what it writes to stdout becomes the result's `stdout`. On failure pushes nil and a
// message. Returns the number of values.
int process_push_inside(lua_State *L, int (*inside)(const void *), const void *argument, size_t max_output);

#endif
