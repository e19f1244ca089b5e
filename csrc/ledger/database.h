// SPDX-License-Identifier: MIT
// The database behind a ledger. All of this runs in the ledger's own thread, as it waits for the disk and for other programs.
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
  char *display_path; // for messages: without control characters
  sqlite3 *db; // NULL until it could be opened
  sqlite3_stmt *statements[VERBS];
  bool full_sync;   // whether commits wait for the disk now
  bool needs_checkpoint; // whether the main file lacks something that was committed where money is concerned
  session session;
} database;

typedef struct request {
  struct request *next;
  int verb;
  values parameters;    // a parameter's name and its value, the next one's name, ...
  values rows;    // the names of the columns, then the rows' values
  size_t columns; // 0: no row came
  bool failed;
  char *failure; // why, for a person; NULL: there was no memory to say it in
} request;

// A base for the file at `path`, which is not touched yet. False: not enough memory, or errno.
bool database_init(database *d, const char *path);
// Opens the file, and makes and migrates it as needed. False and r's failure when that can't be; may be tried again.
bool database_open(database *d, request *r);
// Carries out a verb, opening the database when it isn't open. Sets r's `found` and `columns`, or its failure.
void database_run(database *d, request *r);
// Copies what is in the write-ahead log into the main file, as far as other programs' reading allows it. Waits for the disk, and for
// nobody else. A failure costs nothing: it is done at the next chance.
void database_checkpoint(database *d);
// Closes the database. May be called again.
void database_close(database *d);
// Closes it and frees all.
void database_release(database *d);

// For the files of the base: notes r's failure, "the ledger PATH " and then what `format` says; returns false.
__attribute__((format(printf, 3, 4))) bool database_fail(const database *d, request *r, const char *format, ...);
// Notes the failure of a call to SQLite: "the ledger PATH WHAT: " and the reason of `code`, in words; returns false.
bool database_fail_code(const database *d, request *r, const char *what, int code);

#endif
