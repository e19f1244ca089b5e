// SPDX-License-Identifier: MIT
// Finds the task's input in a response to a query. The input is by far the longest part of the response, and omni doesn't need it while it
// waits for a task. Skipping the input is much faster than decoding it.
#include "core/input_echo.h"

#include <string.h>

typedef struct {
  const char *at, *end;
} cursor;

static bool skip_blanks(cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t')) c->at++;
  return c->at < c->end;
}

// Moves the cursor from the first character of a string to the character after its closing quote.
static bool skip_string(cursor *c) {
  while (c->at < c->end) {
    const char *quote = memchr(c->at, '"', (size_t)(c->end - c->at));
    if (!quote) return false;
    size_t backslashes = 0;
    while (quote - backslashes > c->at && quote[-1 - (ptrdiff_t)backslashes] == '\\') backslashes++;
    c->at = quote + 1;
    if (backslashes % 2 == 0) return true;
  }
  return false;
}

static bool skip_value(cursor *c) {
  size_t depth = 0;
  if (!skip_blanks(c)) return false;
  do {
    char byte = *c->at++;
    if (byte == '"') {
      if (!skip_string(c)) return false;
    } else if (byte == '{' || byte == '[') {
      depth++;
    } else if (byte == '}' || byte == ']') {
      if (depth == 0) return false;
      depth--;
    } else if (depth == 0) { // the value is a number, true, false or null
      while (c->at < c->end && !strchr(",}] \n\r\t", *c->at)) c->at++;
    }
  } while (depth > 0 && c->at < c->end);
  return depth == 0;
}

// Moves the cursor from an object's start to the value of its member `name`.
static bool enter(cursor *c, const char *name) {
  size_t name_length = strlen(name);
  if (!skip_blanks(c) || *c->at++ != '{') return false;
  for (;;) {
    if (!skip_blanks(c) || *c->at++ != '"') return false;
    const char *key = c->at;
    if (!skip_string(c)) return false;
    size_t length = (size_t)(c->at - 1 - key);
    if (!skip_blanks(c) || *c->at++ != ':' || !skip_blanks(c)) return false;
    if (length == name_length && memcmp(key, name, length) == 0) return true;
    if (!skip_value(c) || !skip_blanks(c) || *c->at++ != ',') return false;
  }
}

bool input_echo_find(const char *text, size_t length, size_t *start, size_t *end) {
  cursor c = {text, text + length};
  if (!enter(&c, "data") || !enter(&c, "param") || !enter(&c, "input")) return false;
  *start = (size_t)(c.at - text);
  if (!skip_value(&c)) return false;
  *end = (size_t)(c.at - text);
  return true;
}
