// SPDX-License-Identifier: MIT
// A ledger's database. All functions in this file run in the ledger's own thread, since they wait for the disk and for other programs.
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
  char *display_path; // the path without control characters, for messages
  sqlite3 *db; // NULL until the file is open
  sqlite3_stmt *statements[VERBS];
  bool full_sync;   // whether a commit waits until its data is on disk
  bool needs_checkpoint; // whether the main file lacks commits that concern money
  session session;
} database;

typedef struct request {
  struct request *next;
  int verb;
  values parameters;    // the verb's parameters: pairs of a name and a value
  values rows;    // the names of the columns, then the values of each row
  size_t columns; // the number of columns; 0: the verb returns no rows
  bool failed;
  char *failure; // the error message; NULL if the request failed and there was no memory for a message
} request;

// Initialises a database for the file at `path`, without touching the file. Returns false and errno on failure.
bool database_init(database *d, const char *path);
// Opens the database file; creates and migrates it if needed. On a problem sets the request's failure and returns false; the caller may try
// again.
bool database_open(database *d, request *r);
// Executes a verb, after opening the database if needed. Sets the request's `rows` and `columns`, or its failure.
void database_run(database *d, request *r);
// Copies the write-ahead log into the main file, except for parts that other programs are still reading. Waits for the disk, but not for
// other programs. Ignores a failure, since the next checkpoint copies the log.
void database_checkpoint(database *d);
// Closes the database. Idempotent.
void database_close(database *d);
// Closes the database and frees everything.
void database_release(database *d);

// Sets the request's failure to "the ledger PATH " and the formatted text. Returns false.
__attribute__((format(printf, 3, 4))) bool database_fail(const database *d, request *r, const char *format, ...);
// Sets the request's failure to "the ledger PATH WHAT: REASON", where REASON explains an SQLite code in words. Returns false.
bool database_fail_code(const database *d, request *r, const char *what, int code);

#endif
