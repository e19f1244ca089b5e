// SPDX-License-Identifier: MIT
// Checks the arguments that Lua passes to C functions.
#ifndef OMNI_ARGUMENT_H
#define OMNI_ARGUMENT_H

#include <lauxlib.h>
#include <lua.h>
#include <string.h>

// Returns a string argument for C code that stops at a NUL (a path, a URL, a header line). Raises an error when the string contains a NUL.
static inline const char *argument_text(lua_State *L, int argument) {
  size_t length;
  const char *text = luaL_checklstring(L, argument, &length);
  luaL_argcheck(L, strlen(text) == length, argument, "must not contain a NUL");
  return text;
}

// Does the same as argument_text, but returns `otherwise` if the argument is nil or missing.
static inline const char *argument_text_or(lua_State *L, int argument, const char *otherwise) {
  return lua_isnoneornil(L, argument) ? otherwise : argument_text(L, argument);
}

// Raises an error when the table at `index` has a key that isn't in the NULL-terminated array `known`. `what` names the table in the error
// message.
static inline void argument_check_keys(lua_State *L, int index, const char *const known[], const char *what) {
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
    int i = 0;
    while (known[i] && strcmp(known[i], name)) i++;
    if (!known[i]) luaL_error(L, "%s: unknown option '%s'", what, name);
  }
}

#endif
