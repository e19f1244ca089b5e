// SPDX-License-Identifier: MIT
// A function of ours that runs in a process of its own, as a pollable like those of core.process.
#ifndef OMNI_PROCESS_H
#define OMNI_PROCESS_H

#include <lua.h>
#include <stddef.h>

// Pushes the process, in which `inside` runs (see spawn.h); what it writes to descriptor 1 is the result's `stdout`. On failure
// pushes nil and a message. Returns how many values were pushed.
int process_push_inside(lua_State *L, int (*inside)(const void *), const void *argument, size_t max_output);

#endif
