// SPDX-License-Identifier: MIT
// Compares ASCII letters in the same way in every locale. In a Turkish locale, strcasecmp reports that "FAILED" and "failed" differ.
#ifndef OMNI_ASCII_H
#define OMNI_ASCII_H

#include <stdbool.h>
#include <stddef.h>

static inline char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

// Returns whether the first `length` bytes of two strings are equal, ignoring case. If a string has fewer than `length` bytes, both strings
// must be equal up to their ends.
static inline bool ascii_equal(const char *a, const char *b, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (ascii_lower(a[i]) != ascii_lower(b[i])) return false;
    if (!a[i]) return true;
  }
  return true;
}

// Returns whether `text` equals `word`, ignoring case.
static inline bool ascii_is(const char *text, const char *word) {
  return ascii_equal(text, word, (size_t)-1);
}

#endif
