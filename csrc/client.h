// SPDX-License-Identifier: MIT
// The HTTP client, as its own files share it.
#ifndef OMNI_CLIENT_H
#define OMNI_CLIENT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

#include "pool.h"

enum { CLIENT_VALUE = 1, OWNER = 2 }; // an exchange's user values

// Its one user value anchors the exchanges that aren't closed: reference → userdata.
typedef struct {
  exchange_settings settings;
  pool pool;
  bool closed;
} client;

// The client at index 1; raises when it isn't one, or is closed.
client *client_check(lua_State *L);

// Its methods that start an exchange.
extern const luaL_Reg client_verbs[];

#endif
