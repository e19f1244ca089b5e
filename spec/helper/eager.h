// SPDX-License-Identifier: MIT
// `make asan` includes this file before all others. Every call in our C code that may start the garbage collector first runs a full
// collection. So an object that isn't anchored is freed at once.
#pragma once
#include <lauxlib.h>
#include <lua.h>

static inline lua_State *eager(lua_State *L) {
  lua_gc(L, LUA_GCSETPAUSE, 0);
  lua_gc(L, LUA_GCSETSTEPMUL, 1000);
  lua_gc(L, LUA_GCCOLLECT);
  return L;
}

#define lua_pushstring(L, s) lua_pushstring(eager(L), s)
#define lua_pushlstring(L, s, length) lua_pushlstring(eager(L), s, length)
#define lua_pushfstring(L, ...) lua_pushfstring(eager(L), __VA_ARGS__)
#define lua_pushcclosure(L, function, upvalues) lua_pushcclosure(eager(L), function, upvalues)
#define lua_createtable(L, array, record) lua_createtable(eager(L), array, record)
#define lua_newuserdatauv(L, size, values) lua_newuserdatauv(eager(L), size, values)
#define luaL_tolstring(L, index, length) luaL_tolstring(eager(L), index, length)
#define luaL_addlstring(B, s, length) luaL_addlstring((eager((B)->L), B), s, length)
#define luaL_addstring(B, s) luaL_addstring((eager((B)->L), B), s)
#define luaL_pushresult(B) luaL_pushresult((eager((B)->L), B))
#define luaL_pushresultsize(B, length) luaL_pushresultsize((eager((B)->L), B), length)
