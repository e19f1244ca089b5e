// SPDX-License-Identifier: MIT
// A ledger in the schema `omni` of a PostgreSQL database.
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
  MOST_STATEMENTS = 6, // of a transaction
  // Statements that can precede a verb in its transaction, and WITHDRAW, which undoes an intent after a connection was lost.
  SET_LOCALLY = VERBS,
  CHECK_CONNECTION,
  LOCK_LIMITS,
  LOCK_REPLACED,
  LOCK_CLAIMS,
  DONT_WAIT_FOR_DISK,
  WITHDRAW,
  STATEMENTS
};

// The fate of a verb whose connection was lost before its commit was confirmed.
typedef enum { FATE_NONE, FATE_COMMITTED, FATE_UNDONE, FATE_UNKNOWN } fate;

// The settings that every transaction needs behind a pooler, since a pooler shares its connections among programs.
#define LOCAL_SETTINGS \
  "SELECT set_config('search_path', 'omni, pg_temp', true), set_config('lock_timeout', '10s', true)," \
  " set_config('statement_timeout', '20s', true), set_config('jit', 'off', true), set_config('random_page_cost', '1.1', true)," \
  " set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE current_setting('synchronous_commit') END, true)"

struct database {
  char *address;
  char *display_address; // the address without control characters, for messages
  int connect_timeout;   // the address's connect_timeout in seconds; 0 or less if the address contains none
  PGconn *connection;    // NULL: not connected
  statement statements[STATEMENTS];
  bool is_pooled;    // whether the connection leads to a pooler
  double renew_at;   // with a pooler: when the session must be renewed
  int64_t session;   // 0: never connected
  int64_t number;    // the number of this connection within its session, counting from 0
  int64_t last_verb; // the number of the last verb that the ledger has counted (is_counted)
  int64_t last_committed; // the number of the last verb that is known to be committed
  bool in_copy;      // whether a copy is in progress; all verbs from begin_copy to end_copy form one transaction
  double lost_at;    // the time when the database was first found to be unreachable; 0: the database is reachable
  struct {
    int64_t verb; // 0: none
    const request *of; // the request that ran the verb; NULL: the request's caller has already received an error
    bool is_intent;
    fate fate;
    PGresult *ids; // the ids of the rows that the verb changed, if the verb was committed
  } doubt;
};

// --- connection.c

// If there is no connection, connects, checks the database, migrates it, and opens the session. If an attempt to connect fails, tries again
// for a few seconds. Finds out the fate of the verb that was running when the connection was lost. On failure, sets the request's failure
// and returns false. After a failure, *temporary shows whether a later attempt may succeed without a person's help.
bool connection_open(database *d, request *r, bool *temporary);
// Behind a pooler, records from time to time that the session is still open. Closes the connection if the renewal fails.
void connection_renew(database *d);
// Returns the number of seconds without a verb after which the ledger checks its connection.
double connection_check_delay(const database *d);
// Returns an address's connect_timeout, or 0 if the address has none.
int connection_timeout_of(const char *address);
// Closes the connection. If `lost` is true, the database counts as unreachable from now on.
void connection_close(database *d, bool lost);

// --- exchange.c

typedef enum { EXCHANGE_DONE, EXCHANGE_FAILED, EXCHANGE_LOST } outcome;

// Sends SQL without parameters, and waits for the result of its last statement; the caller frees *result, which may be NULL.
outcome exchange_simple(database *d, const char *sql, PGresult **result);
// Sends SQL without parameters before the connection is closed. Waits at most two seconds, and ignores failures.
void exchange_farewell(database *d, const char *sql);
// Runs statements as one transaction, in one round trip. Sets *result to the result of the last statement, or of the statement that failed,
// or to NULL if the connection was lost. The caller must free *result. If nothing was sent, returns EXCHANGE_FAILED and sets *problem to
// the reason.
outcome exchange_run(database *d, const request *r, const int *which, int count, int64_t verb, PGresult **result, const char **problem);

// Writes the reason for a failed result into `text`, without values from rows.
void exchange_reason(const PGresult *result, char *text, size_t size);
// Returns whether a result has this SQLSTATE.
bool exchange_has_state(const PGresult *result, const char *state);

#define database_fail(d, r, ...) request_fail(r, (d)->display_address, __VA_ARGS__)

#endif
