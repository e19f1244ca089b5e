// SPDX-License-Identifier: MIT
// luaopen_omni_core returns a single table that contains the functions of all parts of omni.core.
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>

#include "core/core_parts.h"

LUAMOD_API int luaopen_omni_core(lua_State *L);

__attribute__((visibility("default"))) int luaopen_omni_core(lua_State *L) {
  luaL_checkversion(L);
  // No matching call to curl_global_cleanup follows, since other code in the process may also use libcurl.
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return luaL_error(L, "omni: libcurl can't be initialised");
  lua_newtable(L);
  system_open(L);
  text_open(L);
  number_open(L);
  poll_set_open(L);
  poll_schedule_open(L);
  envelope_open(L);
  task_open(L);
  client_open(L);
  process_open(L);
  board_process_open(L);
  digest_open(L);
  diagnostics_open(L);
  url_open(L);
  return 1;
}
