// SPDX-License-Identifier: MIT
// The exchanges of one client on one libcurl multi handle: running, done. Knows nothing of Lua.
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
  int poll_set, wake; // what the loop polls; an eventfd that finished downloads write
  struct watched_fd *watched;
  int watched_capacity, running;
  double due; // when libcurl wants to be called, in seconds of the monotonic clock; negative: not
  transfer *idle;
  exchange_list lists[CLOSED]; // by state
} pool;

// Makes an empty pool in zeroed memory. False (and errno) on failure; pool_close is due in either case.
bool pool_open(pool *p, int max_connections); // how many connections are kept when they idle
// Drops every exchange and frees what the pool owns. Idempotent.
void pool_close(pool *p);
// Starts a new exchange; one that can't be started is done at once.
void pool_start(pool *p, exchange *x);
// Gives the file of a whole download its name, which takes a while: the exchange is done once more when that is over.
void pool_keep(pool *p, exchange *x, bool replace);
// Does what is due; never blocks.
void pool_step(pool *p);
// Seconds until the next step is due; negative when only the descriptor tells.
double pool_timeout(const pool *p);
// Takes the oldest exchange that is done and not yet told of, or NULL.
exchange *pool_next_done(pool *p);
// Takes an exchange away from the pool, whatever it was doing, and releases it.
void pool_drop(pool *p, exchange *x);

#endif
