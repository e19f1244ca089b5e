// SPDX-License-Identifier: MIT
// Letters compared as ASCII, whatever the locale is: in a Turkish one strcasecmp tells "FAILED" from "failed".
#ifndef OMNI_ASCII_H
#define OMNI_ASCII_H

#include <stdbool.h>
#include <stddef.h>

static inline char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

// Whether the first `length` bytes are the same but for their case, or both texts end before.
static inline bool ascii_equal(const char *a, const char *b, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
    if (!a[i]) return true;
  }
  return true;
}

// Whether `text` is `word`, but for its case.
static inline bool ascii_is(const char *text, const char *word) {
  return ascii_equal(text, word, (size_t)-1);
}

#endif
