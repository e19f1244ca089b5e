// SPDX-License-Identifier: MIT
// A growable array of bytes.
#ifndef OMNI_BUFFER_H
#define OMNI_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

// A zeroed struct is an empty buffer. Only buffer.c changes `data` and `capacity`; a caller may reduce `length`.
typedef struct {
  char *data;
  size_t length, capacity; // in bytes
} buffer;

// Makes room for `more` bytes after `length`. Returns false and leaves the buffer unchanged when memory runs out.
bool buffer_reserve(buffer *b, size_t more);
// Appends a copy of the bytes. Returns false and leaves the buffer unchanged when memory runs out.
bool buffer_append(buffer *b, const void *data, size_t length);
// Frees the bytes and empties the buffer. Idempotent.
void buffer_free(buffer *b);

#endif
