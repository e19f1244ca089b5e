// SPDX-License-Identifier: MIT
// A list of values in plain memory.
#include "ledger/values.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 64 << 20, MOST_CELLS = 4 << 20 }; // a damaged or hostile file must not take all memory

// Makes *room hold `wanted` items of `size` bytes. False, with the sheet's trouble set, when that can't be.
static bool reserve(sheet *s, void **items, size_t *room, size_t wanted, size_t size, size_t most) {
  if (s->trouble) return false;
  if (wanted <= *room) return true;
  size_t next = *room ? *room : 32;
  while (next < wanted) next *= 2;
  void *grown = wanted <= most ? realloc(*items, next * size) : NULL;
  if (!grown) {
    s->trouble = wanted <= most ? "not enough memory" : "the answer is too large";
    return false;
  }
  *items = grown;
  *room = next;
  return true;
}

static void add(sheet *s, cell c) {
  void *cells = s->cells;
  if (!reserve(s, &cells, &s->room, s->count + 1, sizeof c, MOST_CELLS)) return;
  s->cells = cells;
  s->cells[s->count++] = c;
}

void sheet_empty(sheet *s) {
  add(s, (cell){.kind = EMPTY});
}

void sheet_integer(sheet *s, int64_t value) {
  add(s, (cell){.kind = INTEGER, .as.integer = value});
}

void sheet_real(sheet *s, double value) {
  add(s, (cell){.kind = REAL, .as.real = value});
}

void sheet_text(sheet *s, const char *bytes, size_t length) {
  void *text = s->text;
  if (!reserve(s, &text, &s->capacity, s->length + length + 1, 1, MOST_TEXT)) return;
  s->text = text;
  memcpy(s->text + s->length, bytes, length);
  s->text[s->length + length] = '\0';
  add(s, (cell){.kind = TEXT, .as.text = {s->length, length}});
  s->length += length + 1;
}

const char *sheet_bytes(const sheet *s, const cell *c) {
  return s->text + c->as.text.at;
}

void sheet_release(sheet *s) {
  free(s->cells);
  free(s->text);
  *s = (sheet){.cells = NULL};
}
