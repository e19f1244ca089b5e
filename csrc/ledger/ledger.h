// SPDX-License-Identifier: MIT
// The function that a backend's module calls when Lua loads the module.
#ifndef OMNI_LEDGER_LEDGER_H
#define OMNI_LEDGER_LEDGER_H

#include <lua.h>

// Pushes the module's table, which contains the function `open`. Returns 1.
int ledger_push_module(lua_State *L);

#endif
