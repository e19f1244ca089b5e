// SPDX-License-Identifier: MIT
#include "ledger/values.h"

enum { MAX_TEXT = 64 << 20, MAX_VALUES = 4 << 20 }; // limits for data from a database, which may be damaged or hostile

// Makes room for `more` bytes. Returns false and sets the list's `problem` on failure.
static bool reserve(values *v, buffer *b, size_t more, size_t max) {
  if (v->problem) return false;
  if (more > max - b->length) v->problem = "too many or too large values";
  else if (!buffer_reserve(b, more)) v->problem = "not enough memory";
  return !v->problem;
}

static void add(values *v, value item) {
  if (reserve(v, &v->items, sizeof item, MAX_VALUES * sizeof item)) buffer_append(&v->items, &item, sizeof item);
}

void values_add_null(values *v) {
  add(v, (value){.kind = VALUE_NULL});
}

void values_add_integer(values *v, int64_t number) {
  add(v, (value){.kind = VALUE_INTEGER, .as.integer = number});
}

void values_add_real(values *v, double number) {
  add(v, (value){.kind = VALUE_REAL, .as.real = number});
}

void values_add_text(values *v, const char *bytes, size_t length) {
  if (!reserve(v, &v->text, length + 1, MAX_TEXT)) return;
  add(v, (value){.kind = VALUE_TEXT, .as.text = {v->text.length, length}});
  buffer_append(&v->text, bytes, length);
  buffer_append(&v->text, "", 1);
}

size_t values_count(const values *v) {
  return v->items.length / sizeof(value);
}

const value *values_get(const values *v, size_t index) {
  return (const value *)(const void *)v->items.data + index;
}

const char *values_text(const values *v, const value *text) {
  return v->text.data + text->as.text.at;
}

void values_free(values *v) {
  buffer_free(&v->items);
  buffer_free(&v->text);
  v->problem = NULL;
}
