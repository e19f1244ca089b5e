// SPDX-License-Identifier: MIT
// A verb on its way between Lua and the ledger's thread, with its parameters and its result.
#ifndef OMNI_LEDGER_REQUEST_H
#define OMNI_LEDGER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "ledger/values.h"

typedef struct request {
  struct request *next;
  int verb;          // its index in ledger_verbs
  values parameters; // names and values, alternating
  values rows;       // the column names, followed by the values of each row
  size_t columns;    // number of columns; 0: the verb returns no rows
  bool failed;
  char *failure; // the error message for users; NULL if the request failed and there was no memory for the message
} request;

request *request_new(int verb);
void request_free(request *r); // accepts NULL
// Returns the value of a parameter, or NULL if the request has no such parameter.
const value *request_parameter(const request *r, const char *name);
// Sets the request's failure to "the ledger NAME TEXT", where TEXT is the formatted text. Returns false.
__attribute__((format(printf, 3, 4))) bool request_fail(request *r, const char *name, const char *format, ...);
// Resets a request that has failed or returned rows, so that it can run again.
void request_reset(request *r);

#endif
