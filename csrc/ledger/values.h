// SPDX-License-Identifier: MIT
// A list of values in plain memory: what goes to SQLite's thread, and what comes back.
#ifndef OMNI_LEDGER_SHEET_H
#define OMNI_LEDGER_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  enum { EMPTY, INTEGER, REAL, TEXT } kind;
  union {
    int64_t integer;
    double real;
    struct {
      size_t at, length; // in the sheet's text; a NUL follows
    } text;
  } as;
} cell;

// All zeroes is an empty one.
typedef struct {
  cell *cells;
  char *text;
  size_t count, room;      // of cells
  size_t length, capacity; // of text, in bytes
  const char *trouble;     // why the last cells are missing: memory, or more than a sheet may hold; NULL: none are
} sheet;

void sheet_empty(sheet *s);
void sheet_integer(sheet *s, int64_t value);
void sheet_real(sheet *s, double value);
void sheet_text(sheet *s, const char *bytes, size_t length);
// The bytes of a TEXT cell, with a NUL behind them; until something is added.
const char *sheet_bytes(const sheet *s, const cell *c);
// Frees what it holds; it is empty then.
void sheet_release(sheet *s);

#endif
