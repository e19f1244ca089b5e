// SPDX-License-Identifier: MIT
// The HTTP client, as its own files share it.
#ifndef OMNI_CLIENT_H
#define OMNI_CLIENT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "core/pool.h"

enum { CLIENT_VALUE = 1, OWNER = 2 }; // an exchange's user values

// Its first user value anchors the exchanges that aren't closed: reference → userdata. Its second one is its lock.
typedef struct {
  client_options options;
  pool pool;
  bool closed;
  unsigned locks; // functions that have called client_lock and haven't returned
} client;

// The client at index 1; raises when it isn't one, or is closed.
client *client_check(lua_State *L);

// Keeps the client and its exchanges from being closed until the running function returns or raises: closing them raises meanwhile. For
// functions that read them while they make Lua values: each allocation may run a finalizer, and that may call anything. The client, or
// one of its exchanges, is at index 1; the function has so many arguments, and one slot of the stack more afterwards.
void client_lock(lua_State *L, int arguments);

// Takes an exchange out of the client's anchors. The client is on top of the stack. An exchange is anchored from the moment when it is
// made until it is closed, so it needs no finalizer; those cost more than all the rest of it.
void client_unanchor(lua_State *L, exchange *x);

// Its methods that start an exchange.
extern const luaL_Reg client_exchange_methods[];

#endif
