// SPDX-License-Identifier: MIT
// Declarations shared by the HTTP client's source files.
#ifndef OMNI_CLIENT_H
#define OMNI_CLIENT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "core/pool.h"

enum { CLIENT_VALUE = 1, OWNER = 2 }; // an exchange's user values

// The client's first user value anchors the open exchanges: reference → userdata. Its second user value is its lock.
typedef struct {
  client_options options;
  pool pool;
  bool closed;
  unsigned locks; // the number of running functions that have called client_lock
} client;

// Returns the client at index 1. Raises an error if the value at index 1 isn't a client, or if the client is closed.
client *client_check(lua_State *L);

// Keeps the client and its exchanges open until the running C function returns or raises an error. While the client is locked, any attempt
// to close the client or an exchange raises an error. Call client_lock in a function that allocates Lua values while it reads the client,
// since each allocation may run a finalizer that closes the client. The client, or one of its exchanges, must be at index 1. Sets the
// stack's top to `arguments` + 1.
void client_lock(lua_State *L, int arguments);

// Removes the client's reference that keeps an exchange alive. The client must be at the top of the stack. The client keeps each exchange
// alive until the exchange is closed, so exchanges need no finalizer. Running a finalizer for each exchange would take more time than all
// other work on the exchange.
void client_unanchor(lua_State *L, exchange *x);

// The client's methods that start an exchange.
extern const luaL_Reg client_exchange_methods[];

#endif
