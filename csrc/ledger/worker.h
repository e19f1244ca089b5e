// SPDX-License-Identifier: MIT
// The thread that owns a ledger's database, and the two queues between it and Lua.
#ifndef OMNI_LEDGER_WORKER_H
#define OMNI_LEDGER_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "ledger/database.h"

typedef struct {
  request *first, **end;
} queue;

typedef struct {
  database database; // the thread's alone
  pthread_t thread;
  pthread_mutex_t lock; // over what follows
  pthread_cond_t added;
  queue queued, done;
  bool ending;
  bool running; // Lua's: whether the thread was started and not joined yet
  int wake;     // an eventfd, readable when something is done; -1: closed
} worker;

// Starts the thread for the file at `path`; what it finds there each request tells. False and errno on failure; it must be
// released in either case.
bool worker_start(worker *w, const char *path);
// Queues a request; the worker owns it until it is taken.
void worker_add(worker *w, request *r);
// The request that was done first of those not taken yet, the caller's from now on; NULL: none.
request *worker_take(worker *w);
// Whether there is one to take.
bool worker_has_done(worker *w);
// Finishes what is queued, ends the thread and closes the database; what was done can still be taken. May be called again.
void worker_stop(worker *w);
// Stops it and frees all.
void worker_release(worker *w);

request *request_new(int verb);
void request_free(request *r); // NULL is fine

#endif
