// SPDX-License-Identifier: MIT
#include "core/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

// Returns the value of the `digits` hexadecimal digits at `at`, or -1 if there are fewer digits.
static int hex(const char *at, const char *end, int digits) {
  int value = 0;
  if (end - at < digits) return -1;
  for (int i = 0; i < digits; i++) {
    unsigned char byte = (unsigned char)at[i];
    if (!isxdigit(byte)) return -1;
    value = value * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
  }
  return value;
}

static size_t backslashes(const char *at, const char *end) {
  const char *from = at;
  while (at < end && *at == '\\') at++;
  return (size_t)(at - from);
}

// Returns how many bytes at `at` encode the character, or 0 if these bytes encode something else. An escape may have several backslashes,
// as in JSON within a JSON string.
static size_t stands_for(const char *at, const char *end, char character) {
  size_t run = backslashes(at, end);
  const char *next = at + run;
  if (run > 0) {
    if (next < end && *next == 'u' && hex(next + 1, end, 4) == (unsigned char)character) return run + 5;
    if (character == '\\') return run < 2 ? 1 : 2;
    return next < end && *next == character && (character == '/' || character == '"') ? run + 1 : 0;
  }
  if (at < end && *at == '%' && hex(at + 1, end, 2) == (unsigned char)character) return 3;
  return at < end && *at == character;
}

static size_t match(const char *at, const char *end, const char *secret) {
  const char *from = at;
  for (; *secret; secret++) {
    size_t taken = stands_for(at, end, *secret);
    if (taken == 0) return 0;
    at += taken;
  }
  return (size_t)(at - from);
}

void redact(char *text, size_t length, const char *secret) {
  char *at = text, *end = text + length;
  bool plain = !memchr(text, '\\', length) && !memchr(text, '%', length); // the text contains no encoded characters
  if (plain && !memmem(text, length, secret, strlen(secret))) return;      // the usual case: the text doesn't contain the secret
  while (at < end) {
    if (*at != *secret && *at != '\\' && *at != '%') {
      at++;
      continue;
    }
    size_t found = match(at, end, secret), run = backslashes(at, end);
    if (found) memset(at, '*', found);
    at += found ? found : run ? run + run % 2 : 1; // skips all backslashes and, if their number is odd, the escaped character
  }
}
