// SPDX-License-Identifier: MIT
// Executes a verb in PostgreSQL: one transaction and one round trip. If the connection is lost during a verb, the verb runs again, unless
// it was committed.
#include "ledger_postgresql/database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"

enum { MOST_RUNS = 6 }; // the maximum number of times that a verb runs, if each run ends in a lost connection or a deadlock

const ledger_verb ledger_verbs[] = {
#define ROW(name, kind, sql) {#name, sql, kind},
    LEDGER_VERBS(ROW)
#undef ROW
};
const int ledger_verb_count = VERBS;

// --- statements

// Every transaction takes its locks in this order, so that no two transactions wait for each other. The verb's statement begins once the
// transaction holds the locks, so the statement sees everything that the locks' former holders have committed. Because of the first lock,
// no real submit is recorded while a sandbox submit is being recorded. The other locks prevent changes to the data that the verb has
// checked: a key's tasks, a board's cost, and a task's row.
#define LOCKS_OF_LIMITS \
  "SELECT CASE WHEN :sandbox = 1 THEN pg_advisory_xact_lock(1869442608, 0) ELSE pg_advisory_xact_lock_shared(1869442608, 0) END," \
  " CASE WHEN :in_flight IS NOT NULL THEN pg_advisory_xact_lock(1869442609, hashtext(:account)) END," \
  " CASE WHEN :budget IS NOT NULL THEN pg_advisory_xact_lock(1869442610, hashtext(:board)) END," \
  " CASE WHEN :task_id IS NOT NULL THEN pg_advisory_xact_lock(1869442611, hashtext(:task_id)) END"
// Until the transaction ends, no other program can record an outcome in a row that this submit replaces.
#define LOCKS_OF_REPLACED "SELECT id FROM submit WHERE identity = :identity AND id <= :instead_of ORDER BY id FOR UPDATE"
// If two sessions try to claim the same task at the same moment, one session waits for the other, and then sees the other's claim.
#define LOCK_OF_CLAIMS "SELECT pg_advisory_xact_lock(1869442613, 0)"
// Fails with the SQLSTATE 22012 (division by zero) unless the session's row exists and names this connection as the newest one. After a
// connection is lost, a pooler may still be running that connection's last transaction. If the lost connection's last transaction locks the
// session's row first, the new connection waits for that transaction's end. If the new connection locks the session's row first, the lost
// connection's last transaction fails here.
#define CHECK_OF_CONNECTION \
  "SELECT 1 / count(*) FROM (SELECT FROM session WHERE number = :_session AND connection = :_connection FOR UPDATE) AS own"
#define IS_REPLACED "22012"

static const char *sql_of(int which) {
  if (which < VERBS) return ledger_verbs[which].sql;
  if (which == SET_LOCALLY) return LOCAL_SETTINGS;
  if (which == CHECK_CONNECTION) return CHECK_OF_CONNECTION;
  if (which == LOCK_LIMITS) return LOCKS_OF_LIMITS;
  if (which == LOCK_REPLACED) return LOCKS_OF_REPLACED;
  if (which == LOCK_CLAIMS) return LOCK_OF_CLAIMS;
  if (which == DONT_WAIT_FOR_DISK) return "SELECT set_config('synchronous_commit', 'off', true)";
  return "UPDATE submit SET state = 'refused', error = 'cancelled', message = 'given up before it was sent', answered_at = " NOW
         " WHERE id = :id AND state = 'intended'";
}

// Returns whether the ledger counts this verb. The ledger counts a verb in order to find out later whether the verb was committed. A verb
// that isn't counted can safely run twice, since it only reads, or has the same effect the second time.
static bool is_counted(int verb) {
  return verb < VERBS && ledger_verbs[verb].kind != MINOR && strstr(ledger_verbs[verb].sql, "RETURNING id");
}

static bool is_reading(int verb) {
  return strncmp(ledger_verbs[verb].sql, "SELECT", 6) == 0;
}

// Builds a statement unless it has been built already. Returns false when memory runs out.
static bool make(database *d, int which) {
  statement *s = &d->statements[which];
  if (s->sql) return true;
  if (!is_counted(which)) return statement_make(s, sql_of(which));
  char *sql = NULL;
  bool made = asprintf(&sql,
    "WITH done AS (%s), counted AS (UPDATE session SET verb = :_verb, rows = (SELECT coalesce(array_agg(id), '{}') FROM done)"
    " WHERE number = :_session) SELECT id FROM done", sql_of(which)) >= 0 && statement_make(s, sql);
  free(sql);
  return made;
}

// Lists the statements in a verb's transaction. Returns the number of statements, or 0 if memory runs out.
static int list(database *d, const request *r, int which[MOST_STATEMENTS]) {
  int count = 0, verb = r->verb;
  if (d->is_pooled) which[count++] = SET_LOCALLY;
  if (d->is_pooled && !is_reading(verb)) which[count++] = CHECK_CONNECTION;
  bool checks_limits = verb == VERB_intend || verb == VERB_retry || verb == VERB_adopt || verb == VERB_adopt_lost;
  if (checks_limits) which[count++] = LOCK_LIMITS;
  if (checks_limits && request_parameter(r, "instead_of")) which[count++] = LOCK_REPLACED;
  if (verb == VERB_claim) which[count++] = LOCK_CLAIMS;
  if (ledger_verbs[verb].kind == MINOR && !is_reading(verb)) which[count++] = DONT_WAIT_FOR_DISK;
  which[count++] = verb;
  for (int i = 0; i < count; i++)
    if (!make(d, which[i])) return 0;
  return count;
}

// --- a verb in doubt

static void forget_doubt(database *d) {
  PQclear(d->doubt.ids);
  memset(&d->doubt, 0, sizeof d->doubt);
}

// Adds the row ids of a committed verb to the request's rows. `list` has the form "{1,2}".
static void take_ids(const char *list, request *r) {
  for (const char *at = strpbrk(list, "0123456789"); at; at = strpbrk(at, "0123456789")) {
    char *end;
    long long id = strtoll(at, &end, 10);
    if (!r->columns) values_add_text(&r->rows, "id", 2);
    r->columns = 1;
    values_add_integer(&r->rows, id);
    at = end;
  }
}

// Undoes an intent that was committed although its caller received an error and therefore sent nothing. Returns false if the connection is
// lost before the intent is undone.
static bool withdraw(database *d) {
  request r = {0};
  request *intent = &r, ids = {0};
  int which[] = {SET_LOCALLY, CHECK_CONNECTION, WITHDRAW};
  take_ids(PQgetvalue(d->doubt.ids, 0, 2), &ids);
  bool fine = !ids.rows.problem;
  if (fine && ids.columns) {
    values_add_text(&r.parameters, "id", 2);
    values_add_integer(&r.parameters, values_get(&ids.rows, 1)->as.integer);
    PGresult *result = NULL;
    const char *problem = NULL;
    fine = !r.parameters.problem && make(d, SET_LOCALLY) && make(d, CHECK_CONNECTION) && make(d, WITHDRAW) &&
           exchange_run(d, intent, which, 3, 0, &result, &problem) == EXCHANGE_DONE;
    PQclear(result);
  }
  values_free(&r.parameters);
  request_reset(&ids);
  return fine;
}

// Handles the verb that was running when the connection was lost, after a new connection has found out the verb's fate. Returns whether the
// request `r` ran this verb and is now complete.
static bool settle(database *d, request *r) {
  if (!d->doubt.verb) return false;
  bool is_mine = r && d->doubt.of == r, settled = false;
  if (d->doubt.fate == FATE_COMMITTED) {
    d->last_committed = d->doubt.verb;
    settled = is_mine;
    if (is_mine) take_ids(PQgetvalue(d->doubt.ids, 0, 2), r);
    if (r && r->rows.problem) {
      database_fail(d, r, "can't be read: %s", r->rows.problem);
      is_mine = false; // the verb's caller gets an error, so the verb's intent must be withdrawn
    }
    if (!is_mine && d->doubt.is_intent && !withdraw(d)) {
      connection_close(d, true);
      if (settled) d->doubt.of = NULL;
      return settled;
    }
  } else if (d->doubt.fate == FATE_UNKNOWN && is_mine) {
    database_fail(d, r, "lost its record of this program, so omni can't know whether the last change was made");
    settled = true;
  }
  forget_doubt(d);
  return settled;
}

// --- running

static void fail_result(database *d, request *r, const char *problem, const PGresult *result) {
  char why[512] = "";
  if (!problem) exchange_reason(result, why, sizeof why);
  for (char *at = why; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = '?';
  database_fail(d, r, "can't be %s: %s", is_reading(r->verb) ? "read" : "written", problem ? problem : why);
}

// Ends a verb that has failed, so that its caller receives the error. If the verb may have been committed, the ledger finds out when it
// next connects.
static bool give_up(database *d, const request *r) {
  if (d->doubt.of == r) d->doubt.of = NULL;
  return true;
}

bool database_run(database *d, request *r) {
  bool is_outcome = ledger_verbs[r->verb].kind == OUTCOME;
  for (int run = 1;; run++) {
    bool temporary = false;
    if (d->in_copy && !d->connection) { // the transaction ended when its connection was lost
      database_fail(d, r, "can't be copied into: the connection was lost");
      return true;
    }
    if (!connection_open(d, r, &temporary)) {
      // If the ledger has been open before, the outcome waits until the ledger can be opened again, since the outcome is recorded nowhere
      // else.
      if (is_outcome && d->session) return false;
      return give_up(d, r);
    }
    if (settle(d, r)) return true;
    if (d->connection) connection_renew(d);
    if (!d->connection && run < MOST_RUNS) continue;
    if (!d->connection) {
      database_fail(d, r, "can't be reached: the connection was lost each time");
      return is_outcome ? false : give_up(d, r);
    }
    int which[MOST_STATEMENTS], count = list(d, r, which);
    if (count == 0) {
      database_fail(d, r, "can't be used: not enough memory");
      return give_up(d, r);
    }
    PGresult *result = NULL;
    const char *problem = NULL;
    int64_t number = is_counted(r->verb) ? ++d->last_verb : 0;
    outcome end = exchange_run(d, r, which, count, number, &result, &problem);
    if (end == EXCHANGE_DONE) {
      if (number) d->last_committed = number;
      if (r->verb == VERB_begin_copy || r->verb == VERB_end_copy) d->in_copy = r->verb == VERB_begin_copy;
      statement_take_rows(result, r);
      PQclear(result);
      if (!r->rows.problem) return true;
      database_fail(d, r, "can't be read: %s", r->rows.problem);
      if (!number) return true;
      end = EXCHANGE_LOST; // after reconnecting, the ledger reads the ids of the committed rows
    }
    if (end == EXCHANGE_LOST) {
      connection_close(d, true);
      if (number) {
        d->doubt.verb = number;
        d->doubt.of = r;
        d->doubt.is_intent = r->verb == VERB_intend || r->verb == VERB_retry;
      }
      if (run < MOST_RUNS) continue;
      database_fail(d, r, "can't be reached: the connection was lost each time");
      return is_outcome ? false : give_up(d, r);
    }
    bool again = !problem && exchange_has_state(result, "40") && run < MOST_RUNS; // a deadlock
    if (!problem && d->is_pooled && exchange_has_state(result, IS_REPLACED) && run < MOST_RUNS) { // the session's row was deleted
      connection_close(d, true);
      again = true;
    }
    // A unique index refuses the row (SQLSTATE 23505) if another program has just added an equal row, which the verb couldn't see yet.
    bool is_forbidden = !problem && r->verb == VERB_retry && exchange_has_state(result, "23505");
    if (!again && !is_forbidden) fail_result(d, r, problem, result);
    PQclear(result);
    if (again) continue;
    return give_up(d, r);
  }
}

// --- beginning and end

database *database_new(const char *address) {
  database *d = calloc(1, sizeof *d);
  if (d && (d->address = strdup(address)) && (d->display_address = strdup(address))) {
    d->connect_timeout = connection_timeout_of(address);
    for (char *at = d->display_address; *at; at++)
      if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = '?';
    return d;
  }
  database_free(d);
  return NULL;
}

double database_idle_delay(const database *d) {
  if (!d->session) return -1;
  double check = connection_check_delay(d), renewal = d->renew_at - clock_now();
  if (!d->connection || !d->is_pooled || check < renewal) return check;
  return renewal > 0 ? renewal : 0;
}

// Returns whether the connection is still open. First reads everything that the server has sent, since libpq doesn't notice a closed
// connection before that.
static bool is_connected(const database *d) {
  return d->connection && PQconsumeInput(d->connection) && PQconsumeInput(d->connection) && PQstatus(d->connection) == CONNECTION_OK;
}

// Connects again if the connection has ended, so that other programs see the session as open.
void database_idle(database *d) {
  if (is_connected(d)) connection_renew(d);
  if (is_connected(d)) return;
  if (d->connection) connection_close(d, true);
  if (d->in_copy) return;
  request r = {0};
  bool temporary;
  double lost_at = d->lost_at;
  d->lost_at = 1; // try only once
  if (connection_open(d, &r, &temporary)) settle(d, NULL);
  else d->lost_at = lost_at;
  request_reset(&r);
}

int database_socket(const database *d) {
  return d->connection ? PQsocket(d->connection) : -1;
}

char *database_notification(database *d) {
  char *text = NULL;
  while (!text && d->connection) {
    PGnotify *one = PQnotifies(d->connection);
    if (!one) break;
    if (one->be_pid != PQbackendPID(d->connection)) text = strdup(one->extra);
    PQfreemem(one);
  }
  return text;
}

void database_close(database *d) {
  if (d->connection && d->session) {
    char sql[64];
    snprintf(sql, sizeof sql, "DELETE FROM omni.session WHERE number = %lld", (long long)d->session);
    exchange_farewell(d, sql);
  }
  connection_close(d, false);
  d->session = 0;
  d->in_copy = false;
  d->last_verb = d->last_committed = 0;
  forget_doubt(d);
}

void database_free(database *d) {
  if (!d) return;
  database_close(d);
  for (int i = 0; i < STATEMENTS; i++) statement_free(&d->statements[i]);
  free(d->address);
  free(d->display_address);
  free(d);
}
