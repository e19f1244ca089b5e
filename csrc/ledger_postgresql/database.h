// SPDX-License-Identifier: MIT
// A ledger in a PostgreSQL database, in its schema `omni`.
#ifndef OMNI_LEDGER_POSTGRESQL_DATABASE_H
#define OMNI_LEDGER_POSTGRESQL_DATABASE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "ledger/database.h"
#include "ledger_postgresql/dialect.h"
#include "ledger_postgresql/statement.h"

enum {
#define VERB(name, kind, sql) VERB_##name,
  LEDGER_VERBS(VERB)
#undef VERB
      VERBS,
  // Statements that precede a verb in its transaction, and one that follows a lost connection.
  LOCK_LIMITS = VERBS,
  LOCK_REPLACED,
  DONT_WAIT_FOR_DISK,
  WITHDRAW,
  STATEMENTS
};

// What has become of a verb whose connection was lost before its commit was confirmed.
typedef enum { FATE_NONE, FATE_COMMITTED, FATE_UNDONE, FATE_UNKNOWN } fate;

struct database {
  char *address;
  char *display_address; // without control characters, for messages
  PGconn *connection;    // NULL: not connected
  statement statements[STATEMENTS];
  int64_t session;   // 0: never connected
  int64_t last_verb; // the number of the last verb that was counted
  int64_t last_committed; // and of the last one that is known to be committed
  bool in_copy;      // between begin_copy and end_copy, which are one transaction
  double lost_at;    // the time when the database was first found to be unreachable; 0: it is reachable
  struct {
    int64_t verb; // 0: none
    const request *of; // NULL: its caller was told that it failed
    bool is_intent;
    fate fate;
    PGresult *ids; // of the rows that it changed, if it was committed
  } doubt;
};

// --- connection.c

// Connects, unless it is connected: checks the database, migrates it, and takes the session. Tries for a few seconds if the database was
// reachable so far. Finds out the fate of the verb in doubt. On a problem sets the request's failure and returns false; *temporary: whether
// a later try may succeed without a person's help.
bool connection_open(database *d, request *r, bool *temporary);
// Closes the connection. `lost`: the database can't be reached, from now on.
void connection_close(database *d, bool lost);

// --- exchange.c

typedef enum { EXCHANGE_DONE, EXCHANGE_FAILED, EXCHANGE_LOST } outcome;

// Sends simple SQL and waits for the result of its last statement; the caller frees *result, which may be NULL.
outcome exchange_simple(database *d, const char *sql, PGresult **result);
// Sends simple SQL before the connection is closed. Waits for a moment only, and ignores a failure.
void exchange_farewell(database *d, const char *sql);
// Runs statements as one transaction, in one round trip. *result: of the last statement, or else of the one that failed; the caller frees
// it; NULL if the connection was lost. `problem`: why nothing was sent, for EXCHANGE_FAILED without a result.
outcome exchange_run(database *d, const request *r, const int *which, int count, int64_t verb, PGresult **result, const char **problem);

// Explains a failed result in words, without values of rows. Writes into `text`.
void exchange_reason(const PGresult *result, char *text, size_t size);
// Returns whether a result has this SQLSTATE.
bool exchange_has_state(const PGresult *result, const char *state);

#define database_fail(d, r, ...) request_fail(r, (d)->display_address, __VA_ARGS__)

#endif
