// SPDX-License-Identifier: MIT
// A ledger's database. All functions run in the ledger's own thread, since they wait for the disk and for other programs.
#ifndef OMNI_LEDGER_DATABASE_H
#define OMNI_LEDGER_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "ledger/session.h"
#include "ledger/values.h"
#include "ledger/verbs.h"

enum {
#define VERB(name, money, sql) VERB_##name,
  LEDGER_VERBS(VERB)
#undef VERB
      VERBS
};

typedef struct {
  char *path;  // absolute
  char *display_path; // without control characters, for messages
  sqlite3 *db; // NULL until the file is open
  sqlite3_stmt *statements[VERBS];
  bool full_sync;   // whether commits currently wait for the disk
  bool needs_checkpoint; // whether the main file lacks committed changes that concern money
  session session;
} database;

typedef struct request {
  struct request *next;
  int verb;
  values parameters;    // name, value, name, value, ...
  values rows;    // the names of the columns, then the values of each row
  size_t columns; // 0: there are no rows
  bool failed;
  char *failure; // for people; NULL: there was no memory for the message
} request;

// Initialises a database for the file at `path`, without touching it. Returns false, with errno or without memory, on failure.
bool database_init(database *d, const char *path);
// Opens the file, and creates and migrates it if needed. Returns false and r's failure; the caller may try again.
bool database_open(database *d, request *r);
// Executes a verb, after opening the database if needed. Sets r's `rows` and `columns`, or its failure.
void database_run(database *d, request *r);
// Copies the write-ahead log into the main file, as far as other programs' readers permit. Waits for the disk, but not for other
// programs. Ignores a failure: the next checkpoint does the work.
void database_checkpoint(database *d);
// Closes the database. Idempotent.
void database_close(database *d);
// Closes the database and frees everything.
void database_release(database *d);

// Sets r's failure to "the ledger PATH " and the formatted text. Returns false.
__attribute__((format(printf, 3, 4))) bool database_fail(const database *d, request *r, const char *format, ...);
// Sets the failure of r to "the ledger PATH WHAT: REASON", where REASON explains an SQLite code in words. Returns false.
bool database_fail_code(const database *d, request *r, const char *what, int code);

#endif
