// SPDX-License-Identifier: MIT
// One thread a ledger: a commit waits for the disk, and another program may hold the file for seconds.
#include "ledger_worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

request *request_new(int verb) {
  request *r = calloc(1, sizeof *r);
  if (r) r->verb = verb;
  return r;
}

void request_free(request *r) {
  if (!r) return;
  sheet_release(&r->given);
  sheet_release(&r->found);
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

static void *work(void *argument) {
  worker *w = argument;
  pthread_mutex_lock(&w->lock);
  for (;;) {
    request *r = get(&w->waiting);
    if (!r && w->ending) break;
    if (!r) {
      pthread_cond_wait(&w->given, &w->lock);
      continue;
    }
    pthread_mutex_unlock(&w->lock);
    base_run(&w->base, r);
    pthread_mutex_lock(&w->lock);
    put(&w->done, r);
    eventfd_write(w->wake, 1);
  }
  pthread_mutex_unlock(&w->lock);
  base_close(&w->base);
  return NULL;
}

bool worker_start(worker *w, const char *path) {
  *w = (worker){.wake = -1};
  w->waiting.end = &w->waiting.first;
  w->done.end = &w->done.first;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->given, NULL);
  if (!base_init(&w->base, path) || (w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) return false;
  sigset_t all, before; // signals are for the thread that runs Lua
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&w->thread, NULL, work, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  w->running = error == 0;
  errno = error;
  return w->running;
}

void worker_give(worker *w, request *r) {
  pthread_mutex_lock(&w->lock);
  put(&w->waiting, r);
  pthread_cond_signal(&w->given);
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
    pthread_cond_signal(&w->given);
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
  base_release(&w->base);
  pthread_mutex_destroy(&w->lock);
  pthread_cond_destroy(&w->given);
}
