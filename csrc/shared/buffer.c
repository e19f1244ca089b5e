// SPDX-License-Identifier: MIT
#include "shared/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 512 }; // bytes

bool buffer_reserve(buffer *b, size_t more) {
  if (b->capacity - b->length >= more) return true;
  size_t needed = b->length + more, capacity = b->capacity ? 2 * b->capacity : FIRST_CAPACITY;
  if (needed < more) return false;
  if (capacity < needed) capacity = needed;
  char *data = realloc(b->data, capacity);
  if (!data) return false;
  b->data = data;
  b->capacity = capacity;
  return true;
}

bool buffer_append(buffer *b, const void *data, size_t length) {
  if (!buffer_reserve(b, length)) return false;
  if (length > 0) memcpy(b->data + b->length, data, length);
  b->length += length;
  return true;
}

void buffer_free(buffer *b) {
  free(b->data);
  *b = (buffer){.data = NULL};
}
