// SPDX-License-Identifier: MIT
// omni.ledger_postgresql: the ledger in a PostgreSQL database.
#include <lauxlib.h>

#include "ledger/ledger.h"
#include "ledger_postgresql/database.h"

const char ledger_module[] = "omni.ledger_postgresql", ledger_request_class[] = "omni.ledger_postgresql.request";

void ledger_check_library(lua_State *L) {
  if (!PQisthreadsafe()) luaL_error(L, "omni: this libpq was built without threads");
}

LUAMOD_API int luaopen_omni_ledger_postgresql(lua_State *L);

__attribute__((visibility("default"))) int luaopen_omni_ledger_postgresql(lua_State *L) {
  return ledger_push_module(L);
}
