// SPDX-License-Identifier: MIT
// One client's exchanges, which share one libcurl multi handle. Uses no Lua.
#ifndef OMNI_POOL_H
#define OMNI_POOL_H

#include <curl/curl.h>
#include <stdbool.h>

#include "core/exchange.h"

typedef struct {
  exchange *first, *last;
} exchange_list;

typedef struct {
  CURLM *multi;
  int poll_set, wake; // the event loop polls poll_set; `wake` is an eventfd that the threads of finished downloads write to
  struct watched_fd *watched;
  int watched_capacity, running;
  double due; // the time at which libcurl must next be called, on clock_now's clock; negative: never
  double look_at; // the time of the next check for sockets that are missing from the poll set; 0: never
  transfer *idle;
  exchange_list lists[CLOSED]; // by state
} pool;

// Initialises a pool in zeroed memory. Returns false with errno set on failure. Call pool_close even after a failure.
bool pool_open(pool *p, int max_connections); // `max_connections` limits the number of idle connections that stay open
// Drops every exchange and frees everything that the pool owns. Idempotent.
void pool_close(pool *p);
// Starts a new exchange. If the transfer can't be started, the exchange immediately becomes DONE.
void pool_start(pool *p, exchange *x);
// Starts a thread that gives a complete download its final name. When the thread that renames the file has ended, the exchange becomes DONE
// again.
void pool_keep(pool *p, exchange *x, bool replace);
// Does all work that is possible without blocking.
void pool_step(pool *p);
// Returns the number of seconds until pool_step must be called, or a negative number if there is nothing to do until the poll set is
// readable.
double pool_timeout(const pool *p);
// Returns the oldest DONE exchange, or NULL.
exchange *pool_first_done(const pool *p);
// Marks a DONE exchange as REPORTED.
void pool_report(pool *p, exchange *x);
// Removes an exchange from the pool, whatever its state, and releases it.
void pool_drop(pool *p, exchange *x);

#endif
