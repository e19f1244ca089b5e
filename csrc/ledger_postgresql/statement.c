// SPDX-License-Identifier: MIT
#include "ledger_postgresql/statement.h"

#include <endian.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger_postgresql/text.h"

static const double TWO_TO_63 = 9223372036854775808.0;

// The object ids of PostgreSQL's types (pg_type.dat).
enum { TYPE_BOOL = 16, TYPE_INT8 = 20, TYPE_INT4 = 23, TYPE_TEXT = 25, TYPE_FLOAT8 = 701 };

enum { LONGEST_TEXT = 16 << 20 }; // as in SQLite's ledgers

// --- the SQL

// Returns a parameter's type, which is the type of the column to which the verbs compare the parameter. The default is text.
static Oid type_of(const char *name) {
  static const char *const integers[] = {"id", "sandbox", "take", "in_flight", "instead_of", "after", "created_at", "completed_at", "media",
    "number", "size", "submit", "rehearsals", "last", "last_submit", "scenes",
    "finished", "_session", "_verb", "_connection"};
  static const char *const reals[] = {"estimate", "balance_before", "balance_after", "budget", "credits", "seconds", "since", "at", "intended_at",
    "answered_at", "ended_at", "interval", "submitted_at", "taken_at"};
  for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
    if (strcmp(integers[i], name) == 0) return TYPE_INT8;
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
    if (strcmp(reals[i], name) == 0) return TYPE_FLOAT8;
  return TYPE_TEXT;
}

static bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// Returns a parameter's number, counting from 1. Adds the parameter to the statement if the statement doesn't contain it yet. Returns 0 if
// there are too many parameters.
static int number_of(statement *s, const char *name, size_t length) {
  for (int i = 0; i < s->count; i++)
    if (strlen(s->names[i]) == length && memcmp(s->names[i], name, length) == 0) return i + 1;
  if (s->count == MOST_PARAMETERS || length > LONGEST_NAME) return 0;
  memcpy(s->names[s->count], name, length);
  s->types[s->count] = type_of(s->names[s->count]);
  return ++s->count;
}

bool statement_make(statement *s, const char *sql) {
  buffer out = {0};
  bool fine = true, quoted = false;
  while (fine && *sql) {
    if (*sql == '\'') quoted = !quoted;
    bool is_cast = sql[0] == ':' && sql[1] == ':';
    if (quoted || is_cast || *sql != ':' || !is_name(sql[1])) {
      size_t length = is_cast ? 2 : 1;
      fine = buffer_append(&out, sql, length);
      sql += length;
      continue;
    }
    size_t length = 0;
    while (is_name(sql[1 + length])) length++;
    char number[16];
    int at = number_of(s, sql + 1, length), digits = snprintf(number, sizeof number, "$%d", at);
    fine = at > 0 && buffer_append(&out, number, (size_t)digits);
    sql += 1 + length;
  }
  fine = fine && buffer_append(&out, "", 1);
  s->sql = out.data;
  if (!fine) statement_free(s);
  return fine;
}

void statement_free(statement *s) {
  free(s->sql);
  *s = (statement){0};
}

// --- values to PostgreSQL

static bool add_integer(buffer *b, int64_t number) {
  uint64_t big = htobe64((uint64_t)number);
  return buffer_append(b, &big, sizeof big);
}

static bool add_real(buffer *b, double number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  bits = htobe64(bits);
  return buffer_append(b, &bits, sizeof bits);
}

// Appends a number as text, in the form in which SQLite writes it into a text column.
static bool add_number_as_text(buffer *b, const value *v) {
  char text[40];
  int length = v->kind == VALUE_INTEGER ? snprintf(text, sizeof text, "%lld", (long long)v->as.integer)
                                        : snprintf(text, sizeof text, "%.14g", v->as.real);
  char *comma = strchr(text, ','); // NULL unless the program's locale uses a decimal comma
  if (comma) *comma = '.';
  return buffer_append(b, text, (size_t)length);
}

// Appends one value. Returns NULL on success, or the reason why the value can't be used.
static const char *add(buffer *b, Oid type, const value *v, const values *all) {
  bool fine = true;
  if (type == TYPE_TEXT) {
    if (v->kind != VALUE_TEXT) fine = add_number_as_text(b, v);
    else if (v->as.text.length > LONGEST_TEXT) return "string or blob too big";
    else fine = text_encode(b, values_text(all, v), v->as.text.length);
  } else if (v->kind == VALUE_TEXT) {
    return type == TYPE_INT8 ? "cannot store TEXT value in INTEGER column" : "cannot store TEXT value in REAL column";
  } else if (type == TYPE_FLOAT8) {
    fine = add_real(b, v->kind == VALUE_REAL ? v->as.real : (double)v->as.integer);
  } else if (v->kind == VALUE_INTEGER) {
    fine = add_integer(b, v->as.integer);
  } else {
    double whole = floor(v->as.real);
    if (whole != v->as.real || whole < -TWO_TO_63 || whole >= TWO_TO_63) return "cannot store REAL value in INTEGER column";
    fine = add_integer(b, (int64_t)v->as.real);
  }
  return fine ? NULL : "not enough memory";
}

const char *statement_bind(const statement *s, const request *r, const own_parameters *own, bindings *b) {
  size_t starts[MOST_PARAMETERS] = {0};
  bool given[MOST_PARAMETERS] = {false};
  const char *problem = NULL;
  for (int i = 0; !problem && i < s->count; i++) {
    const char *name = s->names[i];
    starts[i] = b->bytes.length;
    int64_t number = strcmp(name, "_session") == 0 ? own->session : strcmp(name, "_verb") == 0 ? own->verb : own->connection;
    value mine = {.kind = VALUE_INTEGER, .as.integer = number};
    const value *v = *name == '_' ? &mine : request_parameter(r, name);
    given[i] = v && v->kind != VALUE_NULL;
    if (given[i]) problem = add(&b->bytes, s->types[i], v, &r->parameters);
    b->lengths[i] = (int)(b->bytes.length - starts[i]);
    b->formats[i] = 1;
  }
  // allocates memory even for zero bytes, so that `bytes` has an address
  if (!problem && !buffer_append(&b->bytes, "", 1)) problem = "not enough memory";
  for (int i = 0; !problem && i < s->count; i++) b->values[i] = given[i] ? b->bytes.data + starts[i] : NULL;
  return problem;
}

void bindings_free(bindings *b) {
  buffer_free(&b->bytes);
}

// --- values from PostgreSQL

static uint64_t big_endian(const char *bytes, int length) {
  uint64_t number = 0;
  for (int i = 0; i < length; i++) number = number << 8 | (unsigned char)bytes[i];
  return number;
}

static void take_text(const char *bytes, int length, values *rows) {
  buffer plain = {0};
  if (text_decode(&plain, bytes, (size_t)length)) values_add_text(rows, plain.data ? plain.data : "", plain.length);
  else if (!rows->problem) rows->problem = "not enough memory";
  buffer_free(&plain);
}

static void take_value(const PGresult *result, int row, int column, values *rows) {
  const char *bytes = PQgetvalue(result, row, column);
  int length = PQgetlength(result, row, column);
  Oid type = PQftype(result, column);
  if (PQgetisnull(result, row, column)) values_add_null(rows);
  else if (type == TYPE_INT8 && length == 8) values_add_integer(rows, (int64_t)big_endian(bytes, length));
  else if (type == TYPE_INT4 && length == 4) values_add_integer(rows, (int32_t)big_endian(bytes, length));
  else if (type == TYPE_BOOL && length == 1) values_add_integer(rows, *bytes != 0);
  else if (type == TYPE_FLOAT8 && length == 8) {
    uint64_t bits = big_endian(bytes, length);
    double real;
    memcpy(&real, &bits, sizeof real);
    values_add_real(rows, real);
  } else take_text(bytes, length, rows);
}

void statement_take_rows(const PGresult *result, request *r) {
  int columns = PQnfields(result), count = PQntuples(result);
  if (columns == 0 || count == 0) return;
  r->columns = (size_t)columns;
  for (int i = 0; i < columns; i++) values_add_text(&r->rows, PQfname(result, i), strlen(PQfname(result, i)));
  for (int row = 0; row < count && !r->rows.problem; row++)
    for (int i = 0; i < columns; i++) take_value(result, row, i, &r->rows);
}
