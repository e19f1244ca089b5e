// SPDX-License-Identifier: MIT
// Each ledger has its own thread, because a commit waits for the disk, and another program may lock the database for seconds.
#include "ledger/worker.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shared/descriptor.h"
#include "shared/thread.h"

enum { MOST_NOTIFIED = 1 << 16 }; // maximum total size of notifications that Lua hasn't taken, in bytes; further notifications are dropped
static const double RETRY_DELAY = 0.5; // seconds between two attempts to run the verbs that are waiting for the database

static void put(queue *q, request *r) {
  r->next = NULL;
  *q->end = r;
  q->end = &r->next;
}

static request *get(queue *q) {
  request *r = q->first;
  if (!r) return NULL;
  q->first = r->next;
  if (!q->first) q->end = &q->first;
  return r;
}

// Waits for a request or for a notification from the database, for at most `delay` seconds, or without a limit if `delay` is negative.
// Returns whether there may be a request.
static bool wait_for_request(worker *w, double delay) {
  struct pollfd fds[] = {{.fd = w->added, .events = POLLIN}, {.fd = database_socket(w->database), .events = POLLIN}};
  int ready = poll(fds, 2, delay < 0 ? -1 : (int)ceil(delay * 1000));
  if (ready < 0) return true; // a signal
  eventfd_t ignored;
  return fds[0].revents && eventfd_read(w->added, &ignored) == 0;
}

// Passes the database's notifications on to Lua, if Lua is listening for them.
static void take_notifications(worker *w) {
  bool any = false;
  for (char *text; (text = database_notification(w->database)); free(text)) {
    pthread_mutex_lock(&w->lock);
    size_t size = strlen(text) + 1;
    if (w->listening && w->notified.length + size <= MOST_NOTIFIED) any = buffer_append(&w->notified, text, size) || any;
    pthread_mutex_unlock(&w->lock);
  }
  if (any) eventfd_write(w->wake, 1);
}

// Passes a finished request to Lua. Wakes Lua only for the first of several finished requests, since Lua takes all of them when it wakes
// up.
static void finish(worker *w, request *r) {
  pthread_mutex_lock(&w->lock);
  bool first = !w->done.first;
  put(&w->done, r);
  pthread_mutex_unlock(&w->lock);
  if (first) eventfd_write(w->wake, 1);
}

// Stores the reason why verbs are waiting, or NULL if no verb is waiting any longer.
static void set_trouble(worker *w, const char *why) {
  char *copy = why ? strdup(why) : NULL;
  pthread_mutex_lock(&w->lock);
  char *old = w->trouble;
  bool changed = !old != !copy;
  w->trouble = copy;
  pthread_mutex_unlock(&w->lock);
  free(old);
  if (changed) eventfd_write(w->wake, 1);
}

// Runs the waiting verbs, oldest first. If the database still can't be reached, keeps the remaining verbs waiting or, if `last_time` is
// true, makes them fail.
static void run_waiting(worker *w, bool last_time) {
  while (w->waiting.first) {
    request *r = w->waiting.first;
    request_reset(r);
    if (!database_run(w->database, r) && !last_time) break;
    finish(w, get(&w->waiting));
  }
  set_trouble(w, w->waiting.first ? w->waiting.first->failure : NULL);
}

// Runs a request. A verb never runs before a verb that is already waiting for the database. While a verb is waiting, each further OUTCOME
// verb waits, too, and every other verb fails.
static void run(worker *w, request *r) {
  if (w->waiting.first) run_waiting(w, false);
  request *before = w->waiting.first;
  bool is_outcome = ledger_verbs[r->verb].kind == OUTCOME;
  if (before && !is_outcome) {
    r->failed = true;
    r->failure = before->failure ? strdup(before->failure) : NULL;
  } else if (before || !database_run(w->database, r)) {
    put(&w->waiting, r);
    if (!before) set_trouble(w, r->failure);
    return;
  }
  finish(w, r);
}

static void *work(void *argument) {
  worker *w = argument;
  for (;;) {
    pthread_mutex_lock(&w->lock);
    request *r = get(&w->queued);
    bool ending = w->ending;
    pthread_mutex_unlock(&w->lock);
    if (!r && ending) break;
    if (r) run(w, r);
    else if (!wait_for_request(w, w->waiting.first ? RETRY_DELAY : database_idle_delay(w->database))) {
      if (w->waiting.first) run_waiting(w, false);
      else database_idle(w->database);
    }
    take_notifications(w);
  }
  run_waiting(w, true);
  database_close(w->database);
  return NULL;
}

bool worker_start(worker *w, const char *name) {
  *w = (worker){.added = -1, .wake = -1};
  w->queued.end = &w->queued.first;
  w->done.end = &w->done.first;
  w->waiting.end = &w->waiting.first;
  pthread_mutex_init(&w->lock, NULL);
  if (!(w->database = database_new(name))) return false;
  if ((w->added = descriptor_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) < 0) return false;
  if ((w->wake = descriptor_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) < 0) return false;
  int error = thread_start(&w->thread, work, w);
  w->running = error == 0;
  errno = error;
  return w->running;
}

void worker_add(worker *w, request *r) {
  pthread_mutex_lock(&w->lock);
  put(&w->queued, r);
  pthread_mutex_unlock(&w->lock);
  eventfd_write(w->added, 1);
}

void worker_listen(worker *w, bool listening) {
  pthread_mutex_lock(&w->lock);
  w->listening = listening;
  pthread_mutex_unlock(&w->lock);
}

bool worker_take_notifications(worker *w, buffer *into) {
  buffer_free(into);
  pthread_mutex_lock(&w->lock);
  *into = w->notified;
  w->notified = (buffer){0};
  pthread_mutex_unlock(&w->lock);
  return into->length > 0;
}

request *worker_take(worker *w) {
  pthread_mutex_lock(&w->lock);
  request *r = get(&w->done);
  pthread_mutex_unlock(&w->lock);
  return r;
}

bool worker_has_done(worker *w) {
  pthread_mutex_lock(&w->lock);
  bool any = w->done.first != NULL;
  pthread_mutex_unlock(&w->lock);
  return any;
}

bool worker_trouble(worker *w, char *text, size_t size) {
  pthread_mutex_lock(&w->lock);
  bool any = w->trouble != NULL;
  if (any) snprintf(text, size, "%s", w->trouble);
  pthread_mutex_unlock(&w->lock);
  return any;
}

void worker_stop(worker *w) {
  if (w->running) {
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_mutex_unlock(&w->lock);
    eventfd_write(w->added, 1);
    pthread_join(w->thread, NULL);
    w->running = false;
  }
  if (w->added >= 0) close(w->added);
  if (w->wake >= 0) close(w->wake);
  w->added = w->wake = -1;
}

void worker_release(worker *w) {
  worker_stop(w);
  for (request *r; (r = get(&w->done));) request_free(r);
  database_free(w->database);
  free(w->trouble);
  pthread_mutex_destroy(&w->lock);
  buffer_free(&w->notified);
}
