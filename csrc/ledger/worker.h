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
  database database; // only the ledger's thread uses the database
  pthread_t thread;
  pthread_mutex_t lock; // protects the following fields
  pthread_cond_t added;
  queue queued, done;
  bool ending;
  bool running; // used only by the Lua thread: the ledger's thread was started and hasn't been joined yet
  int wake;     // an eventfd, readable when a request is done; -1: closed
} worker;

// Starts the thread for the file at `path`. If there is a problem with the file, every request fails with it. Returns false and errno
// when the thread can't be started. Call worker_release also after a failure.
bool worker_start(worker *w, const char *path);
// Queues a request. The worker owns the request until worker_take returns it.
void worker_add(worker *w, request *r);
// Returns the oldest finished request, which the caller then owns; or NULL.
request *worker_take(worker *w);
// Returns whether worker_take would return a request.
bool worker_has_done(worker *w);
// Runs the requests that are still waiting, ends the thread and closes the database. worker_take still returns the finished requests.
// Idempotent.
void worker_stop(worker *w);
// Stops the worker and frees everything.
void worker_release(worker *w);

request *request_new(int verb);
void request_free(request *r); // accepts NULL

#endif
