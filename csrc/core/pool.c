// SPDX-License-Identifier: MIT
// Runs one client's exchanges on one libcurl multi handle.
#include "core/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/poll_set.h"
#include "core/signal_guard.h"
#include "shared/clock.h"
#include "shared/descriptor.h"

enum { MAX_EVENTS = 64, MAX_KEPT_BODY = 64 * 1024 };
#define LOOK_DELAY 0.01 // seconds between two checks for sockets that are missing from the poll set

// One of libcurl's sockets. A socket that omni opened stays in the poll set even while it is idle, which saves a system call per transfer.
// When a socket that omni opened is closed, on_close removes it from the poll set. A socket that libcurl opened is removed from the poll
// set as soon as libcurl stops polling it.
typedef struct watched_fd {
  unsigned char registered, wanted;
  bool ours;
} watched_fd;

// --- lists of exchanges

static void leave(pool *p, exchange *x) {
  exchange_list *list = &p->lists[x->state];
  *(x->previous ? &x->previous->next : &list->first) = x->next;
  *(x->next ? &x->next->previous : &list->last) = x->previous;
  x->next = x->previous = NULL;
}

static void enter(pool *p, exchange *x, exchange_state state) {
  exchange_list *list = &p->lists[state];
  x->state = state;
  x->previous = list->last;
  *(list->last ? &list->last->next : &list->first) = x;
  list->last = x;
}

static void move(pool *p, exchange *x, exchange_state state) {
  leave(p, x);
  enter(p, x, state);
}

// --- called by libcurl

static watched_fd *watched(pool *p, int fd) {
  if (fd >= p->watched_capacity) {
    int capacity = p->watched_capacity ? p->watched_capacity : 64;
    while (capacity <= fd) capacity *= 2;
    watched_fd *all = realloc(p->watched, (size_t)capacity * sizeof *all);
    if (!all) return NULL;
    memset(all + p->watched_capacity, 0, (size_t)(capacity - p->watched_capacity) * sizeof *all);
    p->watched = all, p->watched_capacity = capacity;
  }
  return &p->watched[fd];
}

static curl_socket_t on_open(void *argument, curlsocktype purpose, struct curl_sockaddr *address) {
  transfer *t = argument;
  pool *p = t->pool;
  (void)purpose;
  if (!exchange_may_connect(t->exchange, &address->addr)) return CURL_SOCKET_BAD; // makes libcurl try the host's next address
  int fd = descriptor_raise(socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol));
  if (fd < 0) return CURL_SOCKET_BAD;
  watched_fd *w = watched(p, fd);
  if (!w) {
    t->exchange->no_memory = true;
    return descriptor_close(fd);
  }
  *w = (watched_fd){.ours = true};
  return fd;
}

static int on_close(void *argument, curl_socket_t fd) {
  pool *p = argument;
  if (fd < p->watched_capacity) p->watched[fd] = (watched_fd){0};
  return close(fd); // closing a socket also removes it from the poll set
}

static void look_later(pool *p) {
  p->look_at = clock_now() + LOOK_DELAY;
}

// Never returns an error to libcurl, since libcurl would then stop all transfers.
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *argument, void *socket_data) {
  pool *p = argument;
  (void)socket_data;
  watched_fd *w = watched(p, fd);
  if (!w) {
    transfer *t = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
    if (t) t->exchange->no_memory = true;
    return 0;
  }
  int wanted = what == CURL_POLL_REMOVE ? 0 : (what & CURL_POLL_IN ? READ_READY : 0) | (what & CURL_POLL_OUT ? WRITE_READY : 0);
  w->wanted = (unsigned char)wanted;
  if (w->wanted == 0 && w->ours) return 0;
  if (w->wanted == 0) {
    poll_set_remove(p->poll_set, fd);
    w->registered = 0;
  } else if (w->wanted != w->registered) {
    if (poll_set_add(p->poll_set, fd, w->wanted, w->registered != 0)) w->registered = w->wanted;
    else look_later(p);
  }
  return 0;
}

static int on_timer(CURLM *multi, long milliseconds, void *argument) {
  pool *p = argument;
  (void)multi;
  p->due = milliseconds < 0 ? -1 : milliseconds == 0 ? 0 : clock_now() + (double)milliseconds / 1000;
  return 0;
}

// --- running exchanges

static transfer *take_transfer(pool *p, const exchange_kind *kind) {
  for (transfer **at = &p->idle; *at; at = &(*at)->next) {
    if ((*at)->kind == kind) {
      transfer *t = *at;
      *at = t->next;
      return t;
    }
  }
  transfer *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->pool = p;
  if ((t->easy = curl_easy_init())) return t;
  free(t);
  return NULL;
}

static void put_back(pool *p, exchange *x, bool reusable) {
  transfer *t = x->transfer;
  x->transfer = NULL;
  if (!t) return;
  if (!reusable || t->body.capacity > MAX_KEPT_BODY) {
    transfer_free(t);
    return;
  }
  t->next = p->idle;
  p->idle = t;
}

static bool set_socket_functions(transfer *t) {
  CURL *easy = t->easy;
  return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close) == CURLE_OK &&
         // passes the pool instead of the transfer, since a connection may outlive its transfer
         curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, t->pool) == CURLE_OK;
}

void pool_start(pool *p, exchange *x) {
  transfer *t = take_transfer(p, x->kind);
  if (t && exchange_prepare(x, t, set_socket_functions) && curl_multi_add_handle(p->multi, t->easy) == CURLM_OK) {
    enter(p, x, RUNNING);
    p->running++;
    return;
  }
  x->transfer = t;
  put_back(p, x, false);
  x->outcome = CURLE_OUT_OF_MEMORY;
  enter(p, x, DONE);
}

static void finish(pool *p, exchange *x, CURLcode outcome) {
  curl_multi_remove_handle(p->multi, x->transfer->easy);
  p->running--;
  exchange_finished(x, outcome);
  move(p, x, DONE);
}

void pool_keep(pool *p, exchange *x, bool replace) {
  x->file_error = 0;
  if (download_finish(x->file, p->wake, replace)) {
    move(p, x, FINISHING);
  } else {
    x->file_error = errno;
    move(p, x, DONE);
  }
}

static void collect_finished_files(pool *p) {
  for (exchange *x = p->lists[FINISHING].first, *next; x; x = next) {
    next = x->next;
    if (!download_finished(x->file, &x->file_error)) continue;
    x->kept = x->file_error == 0;
    move(p, x, DONE);
  }
}

// Checks every socket again if libcurl ran out of memory or a socket couldn't be added to the poll set. Only the deprecated function
// curl_multi_socket_all makes libcurl report a missed socket again.
static void watch_again(pool *p) {
  int running;
  p->look_at = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  if (curl_multi_socket_all(p->multi, &running) != CURLM_OK) look_later(p);
#pragma GCC diagnostic pop
  for (int fd = 0; fd < p->watched_capacity; fd++) {
    watched_fd *w = &p->watched[fd];
    if (w->wanted == 0 || w->wanted == w->registered) continue;
    if (poll_set_add(p->poll_set, fd, w->wanted, w->registered != 0)) w->registered = w->wanted;
    else look_later(p);
  }
}

// Lets libcurl handle a socket's events or an expired timer.
static void act(pool *p, curl_socket_t fd, int events) {
  int running;
  if (curl_multi_socket_action(p->multi, fd, events, &running) != CURLM_OK) look_later(p);
}

// Ends each exchange that ran out of memory while libcurl was reporting one of its sockets.
static void end_without_memory(pool *p) {
  for (exchange *x = p->lists[RUNNING].first, *next; x; x = next) {
    next = x->next;
    if (x->no_memory) finish(p, x, CURLE_OUT_OF_MEMORY);
  }
}

static void step(pool *p) {
  ready_fd ready[MAX_EVENTS];
  int count = poll_set_wait(p->poll_set, ready, MAX_EVENTS, 0);
  if (p->look_at > 0 && p->look_at <= clock_now()) watch_again(p);
  for (int i = 0; i < count; i++) {
    int fd = ready[i].fd, what = ready[i].what;
    if (fd == p->wake) {
      uint64_t written;
      if (read(p->wake, &written, sizeof written) > 0) collect_finished_files(p);
      continue;
    }
    watched_fd *w = watched(p, fd);
    if (w && w->wanted == 0) { // the server closed an idle connection; libcurl notices that when it next uses the connection
      poll_set_remove(p->poll_set, fd);
      w->registered = 0;
      continue;
    }
    act(p, fd, (what & READ_READY ? CURL_CSELECT_IN : 0) | (what & WRITE_READY ? CURL_CSELECT_OUT : 0) |
                   (what & BROKEN ? CURL_CSELECT_ERR : 0));
  }
  if (p->due >= 0 && p->due <= clock_now()) {
    p->due = -1;
    act(p, CURL_SOCKET_TIMEOUT, 0);
  }
  int left;
  for (CURLMsg *message; (message = curl_multi_info_read(p->multi, &left));) {
    if (message->msg != CURLMSG_DONE) continue;
    transfer *t = NULL;
    CURLcode outcome = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &t);
    finish(p, t->exchange, outcome);
  }
  end_without_memory(p);
}

void pool_step(pool *p) {
  signal_guard guard;
  signal_guard_begin(&guard);
  step(p);
  signal_guard_end(&guard);
}

static void drop(pool *p, exchange *x) {
  if (x->state == RUNNING) {
    signal_guard guard; // needed because ending a transfer may write to its connection
    signal_guard_begin(&guard);
    curl_multi_remove_handle(p->multi, x->transfer->easy);
    signal_guard_end(&guard);
    p->running--;
    p->due = 0; // makes the event loop call `step`, so that Lua notices that a connection is free
  }
  put_back(p, x, x->state >= DONE);
  leave(p, x);
  x->state = CLOSED;
  exchange_release(x);
}

void pool_drop(pool *p, exchange *x) {
  if (x->state != CLOSED) drop(p, x);
}

// --- the pool

bool pool_open(pool *p, int max_connections) {
  p->due = -1;
  p->wake = descriptor_raise(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  p->poll_set = poll_set_new();
  if (p->wake < 0 || p->poll_set < 0 || !poll_set_add(p->poll_set, p->wake, READ_READY, false)) return false;
  if (!(p->multi = curl_multi_init())) {
    errno = ENOMEM;
    return false;
  }
  curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
  curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
  curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)max_connections);
  return true;
}

void pool_close(pool *p) {
  signal_guard guard;
  signal_guard_begin(&guard);
  for (int state = 0; state < CLOSED; state++)
    while (p->lists[state].first) drop(p, p->lists[state].first);
  while (p->idle) {
    transfer *t = p->idle;
    p->idle = t->next;
    transfer_free(t);
  }
  if (p->multi) curl_multi_cleanup(p->multi); // also closes all sockets, by calling on_close
  p->multi = NULL;
  if (p->poll_set >= 0) close(p->poll_set);
  if (p->wake >= 0) close(p->wake);
  p->poll_set = p->wake = -1;
  free(p->watched);
  p->watched = NULL;
  signal_guard_end(&guard);
}

double pool_timeout(const pool *p) {
  if (p->lists[DONE].first) return 0;
  double at = p->due;
  if (p->look_at > 0 && (at < 0 || p->look_at < at)) at = p->look_at;
  if (at <= 0) return at;
  double left = at - clock_now();
  return left > 0 ? left : 0;
}

exchange *pool_first_done(const pool *p) {
  return p->lists[DONE].first;
}

void pool_report(pool *p, exchange *x) {
  move(p, x, REPORTED);
}
