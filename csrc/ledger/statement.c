// SPDX-License-Identifier: MIT
// Carrying out a verb: one prepared statement, a transaction of its own.
#include <stdlib.h>
#include <string.h>

#include "ledger/database.h"

static const struct {
  const char *sql;
  bool money;
} verbs[] = {
#define ROW(name, is_money, text) {text, is_money},
    LEDGER_VERBS(ROW)
#undef ROW
};

static int prepare(base *b, int verb) {
  if (b->statements[verb]) return SQLITE_OK;
  return sqlite3_prepare_v3(b->db, verbs[verb].sql, -1, SQLITE_PREPARE_PERSISTENT, &b->statements[verb], NULL);
}

// Commits wait for the disk where money is concerned; others may be lost in a power cut, but never break the file.
static int set_durability(base *b, bool full) {
  if (b->full == full) return SQLITE_OK;
  int code = sqlite3_exec(b->db, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
  if (code == SQLITE_OK) b->full = full;
  return code;
}

// The value that was given for a parameter (":id"), or NULL.
static const value *given_for(const values *given, const char *parameter) {
  for (size_t i = 0; i < values_count(given); i += 2)
    if (strcmp(values_text(given, values_get(given, i)), parameter + 1) == 0) return values_get(given, i + 1);
  return NULL;
}

// What isn't given stays NULL. The values are in the request for as long as the statement runs.
static int bind(sqlite3_stmt *statement, const values *given) {
  int code = SQLITE_OK;
  for (int at = sqlite3_bind_parameter_count(statement); code == SQLITE_OK && at > 0; at--) {
    const value *bound = given_for(given, sqlite3_bind_parameter_name(statement, at));
    if (bound) switch (bound->kind) {
      case VALUE_INTEGER: code = sqlite3_bind_int64(statement, at, bound->as.integer); break;
      case VALUE_REAL: code = sqlite3_bind_double(statement, at, bound->as.real); break;
      case VALUE_TEXT: code = sqlite3_bind_text(statement, at, values_text(given, bound), (int)bound->as.text.length, SQLITE_STATIC); break;
      case VALUE_NULL: break;
    }
  }
  return code;
}

static void take_value(sqlite3_stmt *statement, int column, values *found) {
  int kind = sqlite3_column_type(statement, column);
  if (kind == SQLITE_NULL) values_add_null(found);
  else if (kind == SQLITE_INTEGER) values_add_integer(found, sqlite3_column_int64(statement, column));
  else if (kind == SQLITE_FLOAT) values_add_real(found, sqlite3_column_double(statement, column));
  else {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    if (text) values_add_text(found, text, (size_t)sqlite3_column_bytes(statement, column));
    else found->problem = "not enough memory";
  }
}

static void take_row(sqlite3_stmt *statement, request *r) {
  int columns = sqlite3_column_count(statement);
  for (int i = 0; r->columns == 0 && i < columns; i++) {
    const char *name = sqlite3_column_name(statement, i);
    if (name) values_add_text(&r->found, name, strlen(name));
    else r->found.problem = "not enough memory";
  }
  r->columns = (size_t)columns;
  for (int i = 0; i < columns; i++) take_value(statement, i, &r->found);
}

// A file that was moved or removed is still written to, but nobody would find again what is in it.
static bool is_moved(base *b) {
  int moved = 0;
  return sqlite3_file_control(b->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

void base_run(base *b, request *r) {
  if (!b->db && !base_open(b, r)) return;
  if (is_moved(b)) {
    base_fail(b, r, "can't be used: it was moved or removed since it was opened");
    return;
  }
  int code = prepare(b, r->verb);
  sqlite3_stmt *statement = b->statements[r->verb];
  const char *what = statement && sqlite3_stmt_readonly(statement) ? "can't be read" : "can't be written";
  if (code == SQLITE_OK) code = set_durability(b, verbs[r->verb].money);
  if (code == SQLITE_OK) code = bind(statement, &r->given);
  if (code == SQLITE_OK)
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && !r->found.problem) take_row(statement, r);
  if (r->found.problem) base_fail(b, r, "%s: %s", what, r->found.problem);
  else if (code != SQLITE_DONE) base_fail_code(b, r, what, code);
  if (!statement) return; // it could not be prepared
  if (verbs[r->verb].money && code == SQLITE_DONE && sqlite3_changes(b->db) > 0) b->behind = true;
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
}
