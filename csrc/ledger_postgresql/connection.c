// SPDX-License-Identifier: MIT
// Connects to PostgreSQL: checks the database, migrates it, and opens a session.
//
// A session is an advisory lock on a random number. Other programs regard a session as open while its lock is held. After losing its
// connection, the ledger locks the same session number again. Once the ledger has locked its session number again, its former connection
// has ended and can't commit anything more. Until a lost connection has ended, the table `session` doesn't reliably show whether the
// connection's last verb was committed.
//
// Behind a pooler such as PgBouncer, a connection doesn't belong to one program, so a program can't lock anything for longer than a
// transaction. Behind a pooler, a session counts as open until the time in its row of the table `session`; the ledger extends that time
// every RENEW_EVERY seconds. Each new connection behind a pooler increases a counter in the session's row, which makes transactions of
// earlier connections fail (CHECK_OF_CONNECTION in database.c).
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "ledger_postgresql/database.h"
#include "shared/clock.h"

#ifndef LEDGER_POSTGRESQL_SCHEMA // the specs set this macro to test migrations
#define LEDGER_POSTGRESQL_SCHEMA "ledger_postgresql/schema.h"
#endif
#include LEDGER_POSTGRESQL_SCHEMA

// How many seconds the ledger keeps trying to reach a database that it has reached before (PATIENCE) or has never reached (FIRST_PATIENCE).
// If the address contains a connect_timeout, that timeout replaces both limits.
static const double PATIENCE = 10, FIRST_PATIENCE = 3;
static const double RENEW_EVERY = 15; // seconds; must be much less than LEASE (ledger/verbs.h)
#define CONNECT_TIMEOUT "5"        // default number of seconds for each attempt to connect to one of the address's servers

enum { OLDEST_SERVER = 140000 }; // the oldest PostgreSQL version that supports all the settings below

static const char *const steps[] = {
#define STEP(sql) sql,
    LEDGER_STEPS(STEP)
#undef STEP
};
enum { VERSION = sizeof steps / sizeof *steps };

// The time limit for waiting for a lock is shorter than the time limit for a whole verb. The keepalives let the server notice that a
// client's machine has vanished. Commits wait for the disk even if the server's settings don't require it; stricter settings are kept. The
// low `random_page_cost` suits ledgers, whose indexes fit into memory; with the default 4, a join would read a whole table.
static const char SETTINGS[] =
    "SET search_path = omni, pg_temp; SET lock_timeout = '10s'; SET statement_timeout = '20s'; SET jit = off; SET random_page_cost = 1.1;"
    "SET client_min_messages = error; SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;"
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; SET idle_session_timeout = 0;"
    "LISTEN omni;"
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

static const char CHECKS[] =
    "SELECT current_setting('server_encoding'), to_regclass('omni.ledger') IS NOT NULL,"
    " (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'omni'),"
    " current_setting('default_transaction_isolation') = 'read committed' AND current_setting('default_transaction_read_only') = 'off'";

static bool cannot_open(const database *d, request *r, const char *why) {
  return database_fail(d, r, "can't be opened: %s", why);
}

// Sets the request's failure after an unsuccessful exchange. Frees the result. Returns false.
static bool fail_exchange(database *d, request *r, outcome end, PGresult *result) {
  char why[512] = "the connection was lost";
  if (end == EXCHANGE_FAILED && result) exchange_reason(result, why, sizeof why);
  PQclear(result);
  return cannot_open(d, r, why);
}

// Runs simple SQL. Sets the request's failure if the SQL fails. `result` may be NULL.
static bool execute(database *d, request *r, PGresult **result, const char *sql) {
  PGresult *own = NULL;
  outcome end = exchange_simple(d, sql, &own);
  if (end != EXCHANGE_DONE) return fail_exchange(d, r, end, own);
  if (result) *result = own;
  else PQclear(own);
  return true;
}

// --- connecting

// Returns the number of seconds for which the ledger tries to reach the database.
static double patience(const database *d, bool is_first) {
  return d->connect_timeout > 0 ? d->connect_timeout : is_first ? FIRST_PATIENCE : PATIENCE;
}

double connection_check_delay(const database *d) {
  return patience(d, false) / 2;
}

int connection_timeout_of(const char *address) {
  PQconninfoOption *options = PQconninfoParse(address, NULL); // an invalid address is reported later, when the ledger connects
  int seconds = 0;
  for (const PQconninfoOption *option = options; option && option->keyword; option++)
    if (strcmp(option->keyword, "connect_timeout") == 0 && option->val) seconds = atoi(option->val);
  PQconninfoFree(options);
  return seconds;
}

// Copies the first line of a message from libpq. Messages from libpq name servers and users, but contain no passwords.
static void first_line(const char *message, char *line, size_t size) {
  size_t length = 0;
  for (; message[length] && message[length] != '\n' && length + 1 < size; length++)
    line[length] = (unsigned char)message[length] < 0x20 || message[length] == 0x7F ? '?' : message[length];
  line[length] = '\0';
}

static bool connect_to(database *d, request *r, bool *temporary) {
  // In this list, settings before `dbname` are defaults that the user's address can override. Settings after `dbname` override those in the
  // address.
  static const char *const names[] = {"connect_timeout", "fallback_application_name", "tcp_user_timeout", "keepalives_idle", "dbname",
    "client_encoding", NULL};
  const char *const settings[] = {CONNECT_TIMEOUT, "omni", "15000", "30", d->address, "UTF8", NULL};
  d->connection = PQconnectdbParams(names, settings, 1);
  if (!d->connection) return cannot_open(d, r, "not enough memory");
  if (PQstatus(d->connection) == CONNECTION_OK) return PQsetnonblocking(d->connection, 1) == 0 || cannot_open(d, r, "not enough memory");
  const char *message = PQerrorMessage(d->connection);
  // A retry doesn't help if the server refuses the user, the password or the database.
  *temporary = !strstr(message, "FATAL") || strstr(message, "the database system is") || strstr(message, "too many") ||
               strstr(message, "terminating connection");
  char line[512];
  first_line(message, line, sizeof line);
  return database_fail(d, r, "can't be reached: %s", line);
}

static void ignore_notice(void *ignored, const PGresult *result) {
  (void)ignored, (void)result;
}

// --- the schema

static bool read_version(database *d, request *r, long long *version) {
  PGresult *result = NULL;
  if (!execute(d, r, &result, "SELECT version FROM omni.ledger")) return false;
  *version = PQntuples(result) == 1 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : -1;
  PQclear(result);
  if (*version < 0) return database_fail(d, r, "is not a ledger: the table omni.ledger has another program's data");
  if (*version > VERSION)
    return database_fail(d, r, "was made by a newer omni: its version is %lld, this omni knows versions up to %d", *version, (int)VERSION);
  return true;
}

// Migrates the schema to the current version, completely or not at all. Does nothing if another program has already migrated the schema.
static bool migrate(database *d, request *r) {
  PGresult *result = NULL;
  long long version = 0;
  // The number 1869442612 distinguishes this advisory lock from those in LOCKS_OF_LIMITS (database.c).
  if (!execute(d, r, &result, "BEGIN; " LOCAL_SETTINGS "; SELECT pg_advisory_xact_lock(1869442612, 0);"
                              " SELECT to_regclass('omni.ledger') IS NOT NULL, EXISTS (SELECT FROM pg_namespace WHERE nspname = 'omni')"))
    return false;
  bool has_ledger = *PQgetvalue(result, 0, 0) == 't', has_schema = *PQgetvalue(result, 0, 1) == 't';
  PQclear(result);
  if (!has_schema && !execute(d, r, NULL, "CREATE SCHEMA omni")) return false;
  if (!has_ledger && !execute(d, r, NULL, "CREATE TABLE ledger (version bigint NOT NULL); INSERT INTO ledger VALUES (0)")) return false;
  if (!read_version(d, r, &version)) return false;
  for (long long next = version; next < VERSION; next++)
    if (!execute(d, r, NULL, steps[next])) return false;
  char sql[64];
  snprintf(sql, sizeof sql, "UPDATE ledger SET version = %d; COMMIT", (int)VERSION);
  return execute(d, r, NULL, sql);
}

// Applies the settings, and checks the server and the database.
static bool check_database(database *d, request *r) {
  PGresult *result = NULL;
  if (PQserverVersion(d->connection) < OLDEST_SERVER) return cannot_open(d, r, "the server is older than PostgreSQL 14");
  // Behind a pooler, the process ID that libpq reports differs from that of the server process.
  if (!execute(d, r, &result, "SELECT pg_backend_pid()")) return false;
  d->is_pooled = atoi(PQgetvalue(result, 0, 0)) != PQbackendPID(d->connection);
  PQclear(result);
  if (!d->is_pooled && !execute(d, r, NULL, SETTINGS)) return false;
  if (!execute(d, r, &result, CHECKS)) return false;
  bool is_utf8 = strcmp(PQgetvalue(result, 0, 0), "UTF8") == 0, is_usual = *PQgetvalue(result, 0, 3) == 't';
  bool has_ledger = *PQgetvalue(result, 0, 1) == 't', is_empty = strcmp(PQgetvalue(result, 0, 2), "0") == 0;
  PQclear(result);
  if (!is_utf8) return cannot_open(d, r, "the database's encoding must be UTF8");
  if (!is_usual) return cannot_open(d, r, "behind a pooler, transactions must be 'read committed' and may not be read-only by default");
  if (!has_ledger && !is_empty) return database_fail(d, r, "is not a ledger: the schema omni has another program's tables");
  long long version = 0;
  if (has_ledger && !read_version(d, r, &version)) return false;
  return version == VERSION || migrate(d, r);
}

// --- the session

// A format string for an SQL condition that selects this session's lock from pg_locks.
#define LOCK_OF_SESSION \
  "locktype = 'advisory' AND objsubid = 1 AND granted AND classid::bigint << 32 | objid::bigint = %lld" \
  " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"

// Tries once to lock the session's number. Sets *taken to whether the attempt succeeded.
static bool try_lock(database *d, request *r, bool *taken) {
  char sql[64];
  PGresult *result = NULL;
  snprintf(sql, sizeof sql, "SELECT pg_try_advisory_lock(%lld)", (long long)d->session);
  if (!execute(d, r, &result, sql)) return false;
  *taken = *PQgetvalue(result, 0, 0) == 't';
  PQclear(result);
  return true;
}

// Ends this ledger's former connection, since the server may not have noticed that the connection was lost.
static bool end_former(database *d, request *r) {
  char sql[512];
  snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE pid <> pg_backend_pid() AND " LOCK_OF_SESSION,
           (long long)d->session);
  return execute(d, r, NULL, sql);
}

static bool choose_number(database *d, request *r) {
  uint64_t random;
  while (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
    if (errno != EINTR) return cannot_open(d, r, strerror(errno));
  d->session = (int64_t)(random >> 24) + 1; // a session number is at most 2^40, as in SQLite's ledgers
  return true;
}

static bool lock_session(database *d, request *r, bool is_new) {
  bool taken = false;
  for (double until = clock_now() + patience(d, false); !taken;) {
    if (is_new && !choose_number(d, r)) return false;
    if (d->is_pooled) return true;
    if (!try_lock(d, r, &taken)) return false;
    if (taken || is_new) continue;
    if (!end_former(d, r)) return false;
    if (clock_now() >= until) return cannot_open(d, r, "this program's former connection doesn't end");
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
  }
  return true;
}

// Returns the SQL expression for the time until which the session counts as open. Without a pooler, the SQL expression is NULL, since a
// lock shows whether the session is open.
static const char *open_until(const database *d) {
  return d->is_pooled ? NOW " + " LEASE : "NULL";
}

// Inserts the session's row, or, if the row exists, adds 1 to its connection counter. Also deletes the rows of sessions that started over
// 30 days ago and have ended.
static PGresult *session_row(database *d, request *r) {
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  char *quoted = PQescapeLiteral(d->connection, host, strlen(host));
  PGresult *result = NULL;
  char *sql = NULL;
  if (!quoted || asprintf(&sql,
        LOCAL_SETTINGS "; DELETE FROM session WHERE since < " NOW " - 30 * 86400 AND number <> %lld AND NOT " ALIVE("number") ";"
        "INSERT INTO session (number, host, process, since, alive_until) VALUES (%lld, %s, %ld, " NOW ", %s)"
        " ON CONFLICT (number) DO UPDATE SET alive_until = excluded.alive_until, connection = session.connection + 1"
        " RETURNING verb, xmax = 0, rows, connection",
        (long long)d->session, (long long)d->session, quoted, (long)getpid(), open_until(d)) < 0) {
    sql = NULL;
    cannot_open(d, r, "not enough memory");
  }
  if (sql) execute(d, r, &result, sql);
  PQfreemem(quoted);
  free(sql);
  return result;
}

// Opens a new session, or reopens the former session. Also determines the fate of the verb that was running when the connection was lost.
static bool take_session(database *d, request *r) {
  bool is_new = d->session == 0;
  if (!lock_session(d, r, is_new)) {
    if (is_new) d->session = 0;
    return false;
  }
  PGresult *result = session_row(d, r);
  if (!result) {
    if (is_new) d->session = 0;
    return false;
  }
  long long verb = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  if (is_new && d->is_pooled && *PQgetvalue(result, 0, 1) != 't') {
    PQclear(result);
    d->session = 0;
    return cannot_open(d, r, "another program has the same session number");
  }
  bool is_missing = !is_new && *PQgetvalue(result, 0, 1) == 't';
  d->number = strtoll(PQgetvalue(result, 0, 3), NULL, 10);
  d->renew_at = clock_now() + RENEW_EVERY;
  if (d->doubt.verb) {
    d->doubt.fate = is_missing ? FATE_UNKNOWN : verb == d->doubt.verb ? FATE_COMMITTED : verb == d->last_committed ? FATE_UNDONE : FATE_UNKNOWN;
    PQclear(d->doubt.ids);
    d->doubt.ids = result;
    return true;
  }
  PQclear(result);
  return true;
}

void connection_renew(database *d) {
  if (!d->is_pooled || clock_now() < d->renew_at) return;
  char sql[256];
  snprintf(sql, sizeof sql, "UPDATE omni.session SET alive_until = %s WHERE number = %lld", open_until(d), (long long)d->session);
  PGresult *result = NULL;
  bool done = exchange_simple(d, sql, &result) == EXCHANGE_DONE;
  if (!done || strcmp(PQcmdTuples(result), "1") != 0) connection_close(d, true);
  else d->renew_at = clock_now() + RENEW_EVERY;
  PQclear(result);
}

// --- opening and closing

static bool try_open(database *d, request *r, bool *temporary) {
  request_reset(r);
  *temporary = true;
  if (connect_to(d, r, temporary)) {
    PQsetNoticeReceiver(d->connection, ignore_notice, NULL);
    *temporary = false;
    if (check_database(d, r) && take_session(d, r)) return true;
    if (PQstatus(d->connection) != CONNECTION_OK) *temporary = true;
  }
  connection_close(d, *temporary);
  return false;
}

bool connection_open(database *d, request *r, bool *temporary) {
  if (d->connection) return true;
  double until = (d->lost_at > 0 ? d->lost_at : clock_now()) + patience(d, d->session == 0);
  for (;;) {
    if (try_open(d, r, temporary)) {
      d->lost_at = 0;
      return true;
    }
    if (!*temporary || clock_now() >= until) return false;
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
  }
}

void connection_close(database *d, bool lost) {
  PQfinish(d->connection);
  d->connection = NULL;
  for (int i = 0; i < STATEMENTS; i++) d->statements[i].prepared = false;
  if (lost && d->lost_at == 0) d->lost_at = clock_now();
}
