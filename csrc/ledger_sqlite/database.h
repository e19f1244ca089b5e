// SPDX-License-Identifier: MIT
// A ledger in an SQLite file.
#ifndef OMNI_LEDGER_SQLITE_DATABASE_H
#define OMNI_LEDGER_SQLITE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "ledger/database.h"
#include "ledger_sqlite/dialect.h"
#include "ledger_sqlite/session.h"

enum {
#define VERB(name, kind, sql) VERB_##name,
  LEDGER_VERBS(VERB)
#undef VERB
      VERBS
};

struct database {
  char *path;  // absolute
  char *display_path; // the path without control characters, for messages
  sqlite3 *db; // NULL until the file is open
  sqlite3_stmt *statements[VERBS];
  bool full_sync;   // whether a commit waits until its data is on disk
  bool needs_checkpoint; // whether the log contains commits that concern money and aren't in the main file yet
  bool doubtful;         // whether the write-ahead log may have lost bytes; true after opening, and after a failed read, write or sync
  session session;
};

// Makes sure that the whole write-ahead log is on disk; on success, returns SQLITE_OK. Call database_trust_log before each verb that
// writes.
int database_trust_log(database *d);
// Records that the write-ahead log may have lost bytes if `code`, the result of an SQLite call, is an I/O error. Returns the code.
int database_note_code(database *d, int code);

// Opens the database file, and creates or migrates it if needed. On failure, sets the request's failure and returns false; the caller may
// try again.
bool database_open(database *d, request *r);

#define database_fail(d, r, ...) request_fail(r, (d)->display_path, __VA_ARGS__)
// Sets the request's failure to "the ledger PATH WHAT: REASON", where REASON explains an SQLite code in words. Returns false.
bool database_fail_code(const database *d, request *r, const char *what, int code);

#endif
