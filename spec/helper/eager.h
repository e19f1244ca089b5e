// SPDX-License-Identifier: MIT
// Included before all else by `make asan`: every call by which our C code may set the garbage collector off does so, every
// EAGER-th time with a whole collection, and between them it never rests. What isn't anchored is gone at once.
#pragma once
#include <lauxlib.h>
#include <lua.h>

#ifndef EAGER
#define EAGER 1
#endif

static inline lua_State *eager(lua_State *L) {
  static unsigned turns;
  if (turns == 0) lua_gc(L, LUA_GCSETPAUSE, 0), lua_gc(L, LUA_GCSETSTEPMUL, 1000);
  if (turns++ % EAGER == 0) lua_gc(L, LUA_GCCOLLECT);
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
