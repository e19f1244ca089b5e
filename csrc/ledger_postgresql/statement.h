// SPDX-License-Identifier: MIT
// Converts SQL with named parameters (verbs.h) to PostgreSQL's form, in which parameters are numbered, and their types and values are
// passed separately.
#ifndef OMNI_LEDGER_POSTGRESQL_STATEMENT_H
#define OMNI_LEDGER_POSTGRESQL_STATEMENT_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "ledger/request.h"
#include "shared/buffer.h"

enum { MOST_PARAMETERS = 32, LONGEST_NAME = 23 };

typedef struct {
  char *sql; // NULL until statement_make
  int count; // number of its parameters
  char names[MOST_PARAMETERS][LONGEST_NAME + 1];
  Oid types[MOST_PARAMETERS];
  bool prepared; // whether the statement is prepared on the current connection
} statement;

// The values of a statement's parameters, in the form that libpq expects. A zeroed struct contains no values.
typedef struct {
  buffer bytes;
  const char *values[MOST_PARAMETERS];
  int lengths[MOST_PARAMETERS], formats[MOST_PARAMETERS];
} bindings;

// Parameters that the backend sets, and whose names begin with "_".
typedef struct {
  int64_t session, verb, connection; // :_session, :_verb, :_connection
} own_parameters;

// Fills in a statement. Returns false when memory runs out.
bool statement_make(statement *s, const char *sql);
void statement_free(statement *s);
// Fills in the parameters' values; a missing parameter is NULL. Returns NULL on success, or a text that explains what is wrong with a value
// but doesn't contain the value.
const char *statement_bind(const statement *s, const request *r, const own_parameters *own, bindings *b);
void bindings_free(bindings *b);
// Appends a result's column names and all its values to the request's rows.
void statement_take_rows(const PGresult *result, request *r);

#endif
