// SPDX-License-Identifier: MIT
// `make asan` includes this file before all others. A call in our C code that may start the garbage collector first runs a full
// collection, so that an object that isn't anchored is freed at once: each such place of the code when it is reached for the first time in a
// process, and for the 8th, 16th, 32nd, ... time. A collection each time would make the tests ten times slower.
#pragma once
#include <lauxlib.h>
#include <lua.h>

static inline lua_State *eager(lua_State *L, unsigned *reached) {
  unsigned times = __atomic_add_fetch(reached, 1, __ATOMIC_RELAXED);
  if (times == 1 || (times >= 8 && (times & (times - 1)) == 0)) lua_gc(L, LUA_GCCOLLECT);
  return L;
}

// Each place counts for itself.
#define EAGER(L) \
  __extension__({ \
    static unsigned reached; \
    eager(L, &reached); \
  })

#define lua_pushstring(L, s) lua_pushstring(EAGER(L), s)
#define lua_pushlstring(L, s, length) lua_pushlstring(EAGER(L), s, length)
#define lua_pushfstring(L, ...) lua_pushfstring(EAGER(L), __VA_ARGS__)
#define lua_pushcclosure(L, function, upvalues) lua_pushcclosure(EAGER(L), function, upvalues)
#define lua_createtable(L, array, record) lua_createtable(EAGER(L), array, record)
#define lua_newuserdatauv(L, size, values) lua_newuserdatauv(EAGER(L), size, values)
#define luaL_tolstring(L, index, length) luaL_tolstring(EAGER(L), index, length)
#define luaL_addlstring(B, s, length) luaL_addlstring((EAGER((B)->L), B), s, length)
#define luaL_addstring(B, s) luaL_addstring((EAGER((B)->L), B), s)
#define luaL_pushresult(B) luaL_pushresult((EAGER((B)->L), B))
#define luaL_pushresultsize(B, length) luaL_pushresultsize((EAGER((B)->L), B), length)
