// SPDX-License-Identifier: MIT
// Reads a program's output from a pipe without blocking, and keeps the end of the output.
#ifndef OMNI_PROCESS_OUTPUT_H
#define OMNI_PROCESS_OUTPUT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"

// Keeps the last `max` bytes of a program's output, and temporarily some older bytes, so that bytes rarely have to be moved.
typedef struct {
  int fd; // the pipe's read end; -1: there is no pipe, or all output has been read
  buffer bytes;
  size_t max;
  size_t unread; // the number of bytes at the end of the output that `read` hasn't returned to Lua yet
} process_output;

// Creates the pipe and adds it to the poll set. Sets *child to the pipe's other end, which the caller closes. Returns false with errno set
// on failure.
bool process_output_open(process_output *o, int poll_set, int *child);
// Reads at most `limit` of the available bytes. Returns false when memory runs out.
bool process_output_read(process_output *o, int poll_set, size_t limit);
// Reads the bytes that are available now and closes the pipe, since other processes may hold the pipe's other end and write to it forever.
// Returns false when memory runs out.
bool process_output_read_rest(process_output *o, int poll_set);
// Pushes the last `wanted` bytes of the output, or all of the output if it is shorter.
void process_output_push(lua_State *L, const process_output *o, size_t wanted);
// Closes the pipe and frees the bytes. Idempotent.
void process_output_release(process_output *o, int poll_set);

#endif
