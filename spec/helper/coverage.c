// SPDX-License-Identifier: MIT
// Loading this module gives the interpreter's state, and the coroutines that it will make, the hook of coverage.h.
#include "coverage.h"

__attribute__((visibility("default"))) int luaopen_coverage(lua_State *L);

int luaopen_coverage(lua_State *L) {
  lua_getglobal(L, "debug");
  coverage_begin(L);
  return 0;
}
