// SPDX-License-Identifier: MIT
// Sends statements to PostgreSQL and waits for their results, never longer than a time limit.
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger_postgresql/database.h"
#include "shared/clock.h"

// Time limits, in seconds, for the response to a statement and for the response to exchange_farewell. A verb itself waits for locks for at
// most 10 seconds (connection.c).
static const double ANSWER_TIMEOUT = 30, FAREWELL_TIMEOUT = 2;

// Waits for the next result. Returns false if the connection was lost or the deadline has passed. After the last result of a statement,
// sets *result to NULL.
static bool next_result(database *d, double deadline, PGresult **result) {
  for (;;) {
    int unsent = PQflush(d->connection);
    if (unsent < 0) return false;
    if (unsent == 0 && !PQisBusy(d->connection)) {
      *result = PQgetResult(d->connection);
      return *result || PQstatus(d->connection) == CONNECTION_OK;
    }
    struct pollfd socket = {.fd = PQsocket(d->connection), .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0))};
    double left = deadline - clock_now();
    if (left <= 0 || socket.fd < 0) return false;
    int ready = poll(&socket, 1, (int)ceil(left * 1000));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0 && !PQconsumeInput(d->connection)) return false;
  }
}

// Returns whether the server has ended the connection and this result contains the reason.
static bool is_fatal(const PGresult *result) {
  const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

// Returns whether an error comes from libpq itself, for example because libpq ran out of memory. Despite an error from libpq itself, the
// server may have executed the statement.
static bool is_libpqs_own(const PGresult *result) {
  return !PQresultErrorField(result, PG_DIAG_SQLSTATE);
}

static bool is_error(const PGresult *result) {
  return PQresultStatus(result) == PGRES_FATAL_ERROR || PQresultStatus(result) == PGRES_BAD_RESPONSE;
}

// Frees *kept and keeps `result` instead.
static void keep(PGresult **kept, PGresult *result) {
  PQclear(*kept);
  *kept = result;
}

static outcome simple(database *d, const char *sql, double timeout, PGresult **result) {
  double deadline = clock_now() + timeout;
  *result = NULL;
  if (!PQsendQuery(d->connection, sql)) return EXCHANGE_LOST;
  bool failed = false;
  for (PGresult *next; next_result(d, deadline, &next);) {
    if (!next) return failed ? EXCHANGE_FAILED : EXCHANGE_DONE;
    if (failed) PQclear(next);
    else keep(result, next);
    failed = is_error(*result);
    if (failed && is_fatal(*result)) break;
  }
  keep(result, NULL);
  return EXCHANGE_LOST;
}

outcome exchange_simple(database *d, const char *sql, PGresult **result) {
  return simple(d, sql, ANSWER_TIMEOUT, result);
}

void exchange_farewell(database *d, const char *sql) {
  PGresult *result = NULL;
  simple(d, sql, FAREWELL_TIMEOUT, &result);
  PQclear(result);
}

// Returns whether a statement must be prepared before it is executed. Behind a pooler, no statement is prepared, since the next transaction
// may run on another connection.
static bool must_prepare(const database *d, int which) {
  return !d->is_pooled && !d->statements[which].prepared;
}

// Queues a statement, and prepares it first if this connection hasn't prepared it yet. Returns false on failure.
static bool send(database *d, int which, const bindings *b) {
  statement *s = &d->statements[which];
  if (d->is_pooled) return PQsendQueryParams(d->connection, s->sql, s->count, s->types, b->values, b->lengths, b->formats, 1);
  char name[8];
  snprintf(name, sizeof name, "v%d", which);
  if (!s->prepared && !PQsendPrepare(d->connection, name, s->sql, s->count, s->types)) return false;
  return PQsendQueryPrepared(d->connection, name, s->count, b->values, b->lengths, b->formats, 1);
}

// Collects the statements' results until the transaction ends, since only the transaction's end proves that the statements were committed.
static outcome collect(database *d, const int *which, int count, PGresult **result) {
  double deadline = clock_now() + ANSWER_TIMEOUT;
  bool failed = false, is_preparing = count > 0 && must_prepare(d, which[0]);
  int at = 0;
  for (PGresult *next; next_result(d, deadline, &next);) {
    if (next && PQresultStatus(next) == PGRES_PIPELINE_SYNC) {
      PQclear(next);
      return failed ? EXCHANGE_FAILED : at == count ? EXCHANGE_DONE : EXCHANGE_LOST;
    }
    if (!next && at < count) { // the next result is for the next statement, or for executing the statement that was just prepared
      if (is_preparing) is_preparing = false;
      else if (++at < count) is_preparing = must_prepare(d, which[at]);
      continue;
    }
    if (!next) continue;
    if (failed) { // PostgreSQL skips all statements after an error
      PQclear(next);
      continue;
    }
    if (is_preparing && !is_error(next) && PQresultStatus(next) == PGRES_COMMAND_OK) d->statements[which[at]].prepared = true;
    keep(result, next);
    failed = is_error(next);
    if (failed && (is_fatal(next) || is_libpqs_own(next))) break;
  }
  return EXCHANGE_LOST;
}

outcome exchange_run(database *d, const request *r, const int *which, int count, int64_t verb, PGresult **result, const char **problem) {
  own_parameters own = {.session = d->session, .verb = verb, .connection = d->number};
  bindings bound[MOST_STATEMENTS] = {0};
  *result = NULL;
  *problem = NULL;
  for (int i = 0; !*problem && i < count; i++) *problem = statement_bind(&d->statements[which[i]], r, &own, &bound[i]);
  outcome end = *problem ? EXCHANGE_FAILED : EXCHANGE_LOST;
  bool sent = !*problem && PQenterPipelineMode(d->connection);
  for (int i = 0; sent && i < count; i++) sent = send(d, which[i], &bound[i]);
  if (sent && PQpipelineSync(d->connection)) end = collect(d, which, count, result);
  for (int i = 0; i < count; i++) bindings_free(&bound[i]);
  if (end == EXCHANGE_LOST) keep(result, NULL);
  else if (!*problem && !PQexitPipelineMode(d->connection)) end = EXCHANGE_LOST;
  return end;
}

// --- failures

bool exchange_has_state(const PGresult *result, const char *state) {
  const char *found = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return found && strncmp(found, state, strlen(state)) == 0;
}

void exchange_reason(const PGresult *result, char *text, size_t size) {
  static const struct {
    const char *state, *words; // a SQLSTATE code; two characters match all codes of that class
  } reasons[] = {
      {"53100", "the disk is full"},
      {"53200", "not enough memory"},
      {"55P03", "another program holds it"},
      {"25006", "it is read-only"},
      {"22", "a value has the wrong form"}, // PostgreSQL's own message would contain the value
      {"XX001", "it is damaged"},
      {"XX002", "it is damaged"},
  };
  const char *words = NULL;
  for (size_t i = 0; !words && i < sizeof reasons / sizeof *reasons; i++)
    if (exchange_has_state(result, reasons[i].state)) words = reasons[i].words;
  if (!words && is_libpqs_own(result)) words = "not enough memory";
  if (!words) words = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY); // this message contains names from the schema, but no values
  snprintf(text, size, "%s", words ? words : "PostgreSQL gave no reason");
}
