// SPDX-License-Identifier: MIT
// What a program says on a pipe: read without blocking, the tail of it kept.
#ifndef OMNI_PROCESS_OUTPUT_H
#define OMNI_PROCESS_OUTPUT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"

// The last `max` bytes are kept; older ones may lie before them for a while, so that they are moved rarely.
typedef struct {
  int fd; // -1: no pipe, or its end was reached
  buffer bytes;
  size_t max;
  size_t unread; // how many of the last bytes were not given yet
} process_output;

// Makes the pipe, watched by `poll_set`. *child is the other end, which the caller closes. False and errno on failure.
bool process_output_open(process_output *o, int poll_set, int *child);
// Reads at most `limit` bytes of what is there; false when there is no memory.
bool process_output_read(process_output *o, int poll_set, size_t limit);
// Reads what is there now and ends: others that hold the pipe's other end may write for ever.
bool process_output_read_rest(process_output *o, int poll_set);
// Pushes the last `wanted` bytes, or as many as are kept.
void process_output_push(lua_State *L, const process_output *o, size_t wanted);
// Closes and frees; may be called again.
void process_output_release(process_output *o, int poll_set);

#endif
