// SPDX-License-Identifier: MIT
// The allocating functions of libc. Each fails with ENOMEM when it is the failing call's turn.
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

static bool refused(const char *name, const void *caller) {
  if (!fault_here(FAULT_MEMORY, name, caller)) return false;
  errno = ENOMEM;
  return true;
}

// Serves the allocations before this library's constructor has run. libasan's constructor runs first, and can't serve its own yet.
static char early[1 << 20];
static size_t early_used;
static bool begun;

__attribute__((constructor)) static void begin(void) {
  begun = true;
}

static void *early_allocate(size_t size) {
  size_t at = (early_used + 15) & ~(size_t)15;
  if (size > sizeof early - at) abort();
  early_used = at + size;
  return early + at;
}

static bool is_early(const void *block) {
  return (const char *)block >= early && (const char *)block < early + sizeof early;
}

#define FIND(type, name) \
  static type found; \
  static __thread bool finding; \
  if (begun && !found && !finding) { \
    finding = true; \
    found = (type)fault_next(name); \
    finding = false; \
  }

typedef void *(*malloc_function)(size_t);
typedef void *(*calloc_function)(size_t, size_t);
typedef void *(*realloc_function)(void *, size_t);
typedef void (*free_function)(void *);
typedef int (*posix_memalign_function)(void **, size_t, size_t);

EXPORT void *malloc(size_t size) {
  FIND(malloc_function, "malloc")
  if (!found) return early_allocate(size);
  return refused("malloc", CALLER) ? NULL : found(size);
}

EXPORT void *calloc(size_t count, size_t size) {
  FIND(calloc_function, "calloc")
  if (!found) return early_allocate(count * size);
  return refused("calloc", CALLER) ? NULL : found(count, size);
}

EXPORT void *realloc(void *block, size_t size) {
  FIND(realloc_function, "realloc")
  if (!found || is_early(block)) {
    void *moved = malloc(size);
    if (moved && block) memcpy(moved, block, size);
    return moved;
  }
  return size > 0 && refused("realloc", CALLER) ? NULL : found(block, size);
}

EXPORT void free(void *block) {
  FIND(free_function, "free")
  if (found && !is_early(block)) found(block);
}

EXPORT int posix_memalign(void **block, size_t alignment, size_t size) {
  FIND(posix_memalign_function, "posix_memalign")
  return refused("posix_memalign", CALLER) ? ENOMEM : found(block, alignment, size);
}

// libc's own calls of malloc can't be told from each other, so these functions are counted for the module that calls them.

static char *copy(const char *text, size_t length) {
  char *made = malloc(length + 1);
  if (!made) return NULL;
  memcpy(made, text, length);
  made[length] = '\0';
  return made;
}

EXPORT char *strdup(const char *text) {
  return refused("strdup", CALLER) ? NULL : copy(text, strlen(text));
}

EXPORT char *strndup(const char *text, size_t most) {
  return refused("strndup", CALLER) ? NULL : copy(text, strnlen(text, most));
}

static int print(char **text, const char *format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  if (length < 0 || !(*text = malloc((size_t)length + 1))) return -1;
  return vsnprintf(*text, (size_t)length + 1, format, arguments);
}

EXPORT int vasprintf(char **text, const char *format, va_list arguments) {
  return refused("vasprintf", CALLER) ? -1 : print(text, format, arguments);
}

EXPORT int asprintf(char **text, const char *format, ...) {
  if (refused("asprintf", CALLER)) return -1;
  va_list arguments;
  va_start(arguments, format);
  int length = print(text, format, arguments);
  va_end(arguments);
  return length;
}
