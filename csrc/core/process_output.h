// SPDX-License-Identifier: MIT
// Reads a program's output from a pipe without blocking, and keeps its tail.
#ifndef OMNI_PROCESS_OUTPUT_H
#define OMNI_PROCESS_OUTPUT_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"

// Keeps the last `max` bytes. Older bytes may stay before them for a while, so that bytes are moved rarely.
typedef struct {
  int fd; // -1: no pipe, or the end was reached
  buffer bytes;
  size_t max;
  size_t unread; // how many of the last bytes `read` hasn't returned yet
} process_output;

// Makes the pipe and adds it to the poll set. *child is the other end, which the caller closes. Returns false and errno on failure.
bool process_output_open(process_output *o, int poll_set, int *child);
// Reads at most `limit` available bytes. Returns false without memory.
bool process_output_read(process_output *o, int poll_set, size_t limit);
// Reads what is available now and closes the pipe: other processes may hold the pipe's other end and write forever. Returns false without
// memory.
bool process_output_read_rest(process_output *o, int poll_set);
// Pushes the last `wanted` bytes, or as many as there are.
void process_output_push(lua_State *L, const process_output *o, size_t wanted);
// Closes the pipe and frees the bytes. Idempotent.
void process_output_release(process_output *o, int poll_set);

#endif
