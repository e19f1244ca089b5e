// SPDX-License-Identifier: MIT
// Executes a verb: one prepared statement, which runs as its own transaction.
#include <stdlib.h>
#include <string.h>

#include "ledger_sqlite/database.h"

const ledger_verb ledger_verbs[] = {
#define ROW(name, kind, sql) {#name, sql, kind},
    LEDGER_VERBS(ROW)
#undef ROW
};
const int ledger_verb_count = VERBS;

static int prepare(database *d, int verb) {
  if (d->statements[verb]) return SQLITE_OK;
  return sqlite3_prepare_v3(d->db, ledger_verbs[verb].sql, -1, SQLITE_PREPARE_PERSISTENT, &d->statements[verb], NULL);
}

// If `full` is true, makes subsequent commits wait until their data is on disk. A power cut may lose commits that didn't wait for the disk,
// but it never damages the file.
static int set_durability(database *d, bool full) {
  if (d->full_sync == full) return SQLITE_OK;
  int code = sqlite3_exec(d->db, full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", NULL, NULL, NULL);
  if (code == SQLITE_OK) d->full_sync = full;
  return code;
}

// Binds the parameters. A missing parameter stays NULL. SQLite doesn't copy the values, since the request owns them while the statement
// runs.
static int bind(sqlite3_stmt *statement, const request *r) {
  int code = SQLITE_OK;
  for (int at = sqlite3_bind_parameter_count(statement); code == SQLITE_OK && at > 0; at--) {
    const value *bound = request_parameter(r, sqlite3_bind_parameter_name(statement, at) + 1);
    if (bound) switch (bound->kind) {
      case VALUE_INTEGER: code = sqlite3_bind_int64(statement, at, bound->as.integer); break;
      case VALUE_REAL: code = sqlite3_bind_double(statement, at, bound->as.real); break;
      case VALUE_TEXT:
        code = sqlite3_bind_text(statement, at, values_text(&r->parameters, bound), (int)bound->as.text.length, SQLITE_STATIC);
        break;
      case VALUE_NULL: break;
    }
  }
  return code;
}

static void take_value(sqlite3_stmt *statement, int column, values *rows) {
  int kind = sqlite3_column_type(statement, column);
  if (kind == SQLITE_NULL) values_add_null(rows);
  else if (kind == SQLITE_INTEGER) values_add_integer(rows, sqlite3_column_int64(statement, column));
  else if (kind == SQLITE_FLOAT) values_add_real(rows, sqlite3_column_double(statement, column));
  else {
    const char *text = (const char *)sqlite3_column_text(statement, column);
    if (text) values_add_text(rows, text, (size_t)sqlite3_column_bytes(statement, column));
    else rows->problem = "not enough memory";
  }
}

static void take_row(sqlite3_stmt *statement, request *r) {
  int columns = sqlite3_column_count(statement);
  for (int i = 0; r->columns == 0 && i < columns; i++) {
    const char *name = sqlite3_column_name(statement, i);
    if (name) values_add_text(&r->rows, name, strlen(name));
    else r->rows.problem = "not enough memory";
  }
  r->columns = (size_t)columns;
  for (int i = 0; i < columns; i++) take_value(statement, i, &r->rows);
}

// Returns whether the database file was moved or removed. If the file was moved or removed, SQLite would still write to it, but no other
// program would see the changes.
static bool is_moved(database *d) {
  int moved = 0;
  return sqlite3_file_control(d->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved;
}

bool database_run(database *d, request *r) {
  if (!d->db && !database_open(d, r)) return true;
  if (is_moved(d)) {
    database_fail(d, r, "can't be used: it was moved or removed since it was opened");
    return true;
  }
  bool is_money = ledger_verbs[r->verb].kind != MINOR;
  int code = prepare(d, r->verb);
  sqlite3_stmt *statement = d->statements[r->verb];
  bool reads = !is_money && statement && sqlite3_stmt_readonly(statement);
  const char *what = reads ? "can't be read" : "can't be written";
  if (code == SQLITE_OK && !reads) code = database_trust_log(d);
  if (code == SQLITE_OK) code = set_durability(d, is_money);
  if (code == SQLITE_OK) code = bind(statement, r);
  if (code == SQLITE_OK)
    while ((code = sqlite3_step(statement)) == SQLITE_ROW && !r->rows.problem) take_row(statement, r);
  database_note_code(d, code);
  if (r->rows.problem) database_fail(d, r, "%s: %s", what, r->rows.problem);
  else if (code != SQLITE_DONE) database_fail_code(d, r, what, code);
  if (!statement) return true; // preparing it failed
  if (is_money && code == SQLITE_DONE && sqlite3_changes(d->db) > 0) d->needs_checkpoint = true;
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return true;
}
