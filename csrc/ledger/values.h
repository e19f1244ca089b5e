// SPDX-License-Identifier: MIT
// A list of SQL values outside Lua, used to pass parameters to the ledger's thread and rows back to Lua.
#ifndef OMNI_LEDGER_VALUES_H
#define OMNI_LEDGER_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"

typedef struct {
  enum { VALUE_NULL, VALUE_INTEGER, VALUE_REAL, VALUE_TEXT } kind;
  union {
    int64_t integer;
    double real;
    struct {
      size_t at, length; // the string's position and length in the list's `text`; a NUL follows the string
    } text;
  } as;
} value;

// A zeroed struct is an empty list.
typedef struct {
  buffer items, text;  // `items`: the values; `text`: the bytes of all strings among them
  const char *problem; // the reason why values are missing at the list's end; NULL: no value is missing
} values;

// Each of the functions values_add_... appends one value to the list. If a values_add_... function fails, it sets the list's `problem`, and
// the list stays unchanged from then on.
void values_add_null(values *v);
void values_add_integer(values *v, int64_t number);
void values_add_real(values *v, double number);
void values_add_text(values *v, const char *bytes, size_t length);

size_t values_count(const values *v);
// Returns the value at `index`, counting from 0. The pointer is valid until the list grows.
const value *values_get(const values *v, size_t index);
// Returns the bytes of a VALUE_TEXT, followed by a NUL. The pointer is valid until the list grows.
const char *values_text(const values *v, const value *text);
// Frees the list's memory and empties it. Idempotent.
void values_free(values *v);

#endif
