// SPDX-License-Identifier: MIT
// What a program says on a pipe: read without blocking, the tail of it kept.
#ifndef OMNI_OUTPUT_H
#define OMNI_OUTPUT_H

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
} output;

// Makes the pipe, watched by `readiness`. *child is the other end, which the caller closes. False and errno on failure.
bool output_open(output *o, int readiness, int *child);
// Reads at most `limit` bytes of what is there; false when there is no memory.
bool output_read(output *o, int readiness, size_t limit);
// Reads what is there now and ends: others that hold the pipe's other end may write for ever.
bool output_read_rest(output *o, int readiness);
// Pushes the last `wanted` bytes, or as many as are kept.
void output_push(lua_State *L, const output *o, size_t wanted);
// Closes and frees; may be called again.
void output_release(output *o, int readiness);

#endif
