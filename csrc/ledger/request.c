// SPDX-License-Identifier: MIT
#include "ledger/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

request *request_new(int verb) {
  request *r = calloc(1, sizeof *r);
  if (r) r->verb = verb;
  return r;
}

void request_free(request *r) {
  if (!r) return;
  values_free(&r->parameters);
  request_reset(r);
  free(r);
}

const value *request_parameter(const request *r, const char *name) {
  const values *all = &r->parameters;
  for (size_t i = 0; i < values_count(all); i += 2)
    if (strcmp(values_text(all, values_get(all, i)), name) == 0) return values_get(all, i + 1);
  return NULL;
}

bool request_fail(request *r, const char *name, const char *format, ...) {
  char *what = NULL, *whole = NULL;
  va_list arguments;
  va_start(arguments, format);
  if (vasprintf(&what, format, arguments) < 0) what = NULL;
  va_end(arguments);
  if (!what || asprintf(&whole, "the ledger %s %s", name, what) < 0) whole = NULL;
  free(what);
  free(r->failure);
  r->failure = whole;
  r->failed = true;
  return false;
}

void request_reset(request *r) {
  values_free(&r->rows);
  r->columns = 0;
  free(r->failure);
  r->failure = NULL;
  r->failed = false;
}
