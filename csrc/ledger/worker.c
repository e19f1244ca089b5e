// SPDX-License-Identifier: MIT
// Each ledger has a thread of its own, since a commit waits for the disk, and another program may keep the file locked for seconds.
#include "ledger/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "shared/descriptor.h"
#include "shared/thread.h"

// The thread runs a checkpoint only after this many nanoseconds without a request, so that no checkpoint delays a series of commits.
enum { CHECKPOINT_DELAY = 20000000 };

request *request_new(int verb) {
  request *r = calloc(1, sizeof *r);
  if (r) r->verb = verb;
  return r;
}

void request_free(request *r) {
  if (!r) return;
  values_free(&r->parameters);
  values_free(&r->rows);
  free(r->failure);
  free(r);
}

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

// Waits for a request; the caller holds the lock. If a checkpoint is needed, waits at most CHECKPOINT_DELAY nanoseconds. Returns false if
// no request came.
static bool wait_for_request(worker *w) {
  if (!w->database.needs_checkpoint) return pthread_cond_wait(&w->added, &w->lock) == 0;
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_nsec += CHECKPOINT_DELAY;
  if (until.tv_nsec >= 1000000000L) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000L;
  }
  return pthread_cond_timedwait(&w->added, &w->lock, &until) == 0;
}

static void *work(void *argument) {
  worker *w = argument;
  pthread_mutex_lock(&w->lock);
  for (;;) {
    request *r = get(&w->queued);
    if (!r && w->ending) break;
    if (!r) {
      if (wait_for_request(w) || !w->database.needs_checkpoint) continue;
      pthread_mutex_unlock(&w->lock);
      database_checkpoint(&w->database);
      pthread_mutex_lock(&w->lock);
      continue;
    }
    pthread_mutex_unlock(&w->lock);
    database_run(&w->database, r);
    pthread_mutex_lock(&w->lock);
    put(&w->done, r);
    eventfd_write(w->wake, 1);
  }
  pthread_mutex_unlock(&w->lock);
  database_close(&w->database);
  return NULL;
}

bool worker_start(worker *w, const char *path) {
  *w = (worker){.wake = -1};
  w->queued.end = &w->queued.first;
  w->done.end = &w->done.first;
  pthread_mutex_init(&w->lock, NULL);
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&w->added, &monotonic);
  pthread_condattr_destroy(&monotonic);
  if (!database_init(&w->database, path) || (w->wake = descriptor_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) < 0) return false;
  int error = thread_start(&w->thread, work, w);
  w->running = error == 0;
  errno = error;
  return w->running;
}

void worker_add(worker *w, request *r) {
  pthread_mutex_lock(&w->lock);
  put(&w->queued, r);
  pthread_cond_signal(&w->added);
  pthread_mutex_unlock(&w->lock);
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

void worker_stop(worker *w) {
  if (w->running) {
    pthread_mutex_lock(&w->lock);
    w->ending = true;
    pthread_cond_signal(&w->added);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    w->running = false;
  }
  if (w->wake >= 0) close(w->wake);
  w->wake = -1;
}

void worker_release(worker *w) {
  worker_stop(w);
  for (request *r; (r = get(&w->done));) request_free(r);
  database_release(&w->database);
  pthread_mutex_destroy(&w->lock);
  pthread_cond_destroy(&w->added);
}
