// SPDX-License-Identifier: MIT
// The thread that owns a ledger's database, and the queues between it and Lua.
#ifndef OMNI_LEDGER_WORKER_H
#define OMNI_LEDGER_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "ledger/database.h"
#include "shared/buffer.h"

typedef struct {
  request *first, **end;
} queue;

typedef struct {
  database *database; // used only by the ledger's thread
  queue waiting;      // used only by the ledger's thread: verbs that wait for an unreachable database
  pthread_t thread;
  pthread_mutex_t lock; // protects the following fields
  queue queued, done;
  bool ending;
  bool listening;  // whether Lua takes notifications
  buffer notified; // notifications that Lua hasn't taken yet; each ends with a NUL
  char *trouble; // the reason why verbs are waiting; NULL: no verb is waiting
  bool running; // used only by the Lua thread: whether the ledger's thread has been started and not yet joined
  int added;    // an eventfd, readable when a request was queued or the worker must end; -1: closed
  int wake;     // an eventfd, readable when a request is done or `trouble` has changed; -1: closed
} worker;

// Starts the thread for the database with this name. If the database can't be used, every request fails. Returns false
// with errno set if the thread can't be started. Call worker_release even after a failure.
bool worker_start(worker *w, const char *name);
// Queues a request. The worker owns the request until worker_take returns it.
void worker_add(worker *w, request *r);
// Returns the oldest finished request, or NULL if there is none. The caller owns the returned request.
request *worker_take(worker *w);
// Returns whether worker_take would return a request.
bool worker_has_done(worker *w);
// Copies the reason why verbs are waiting for the database into `text`. Returns false if no verb is waiting.
bool worker_trouble(worker *w, char *text, size_t size);
// Starts or stops keeping the database's notifications for worker_take_notifications.
void worker_listen(worker *w, bool listening);
// Replaces the buffer's bytes with the notifications that have arrived; each ends with a NUL. Returns false if no notification has arrived.
bool worker_take_notifications(worker *w, buffer *into);
// Runs the requests that are still waiting, ends the thread and closes the database. After worker_stop, worker_take still returns the
// finished requests. Idempotent.
void worker_stop(worker *w);
// Stops the worker and frees its memory.
void worker_release(worker *w);

#endif
