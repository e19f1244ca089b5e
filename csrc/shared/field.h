// SPDX-License-Identifier: MIT
// Sets fields of the Lua table at the top of the stack.
#ifndef OMNI_FIELD_H
#define OMNI_FIELD_H

#include <lua.h>
#include <stdbool.h>

// Sets a field to a string; does nothing for NULL.
static inline void field_set_string(lua_State *L, const char *name, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, name);
}

static inline void field_set_integer(lua_State *L, const char *name, lua_Integer number) {
  lua_pushinteger(L, number);
  lua_setfield(L, -2, name);
}

static inline void field_set_number(lua_State *L, const char *name, lua_Number number) {
  lua_pushnumber(L, number);
  lua_setfield(L, -2, name);
}

static inline void field_set_boolean(lua_State *L, const char *name, bool truth) {
  lua_pushboolean(L, truth);
  lua_setfield(L, -2, name);
}

#endif
