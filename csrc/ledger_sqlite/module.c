// SPDX-License-Identifier: MIT
// omni.ledger_sqlite: the ledger in an SQLite file.
#include <lauxlib.h>

#include "ledger/ledger.h"
#include "ledger_sqlite/database.h"

const char ledger_module[] = "omni.ledger_sqlite", ledger_request_class[] = "omni.ledger_sqlite.request";

void ledger_check_library(lua_State *L) {
  if (!sqlite3_threadsafe()) luaL_error(L, "omni: this SQLite was built without threads");
}

LUAMOD_API int luaopen_omni_ledger_sqlite(lua_State *L);

__attribute__((visibility("default"))) int luaopen_omni_ledger_sqlite(lua_State *L) {
  return ledger_push_module(L);
}
