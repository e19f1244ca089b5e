// SPDX-License-Identifier: MIT
#include "shared/class.h"

#include <string.h>

void class_add(lua_State *L, const char *name, const luaL_Reg *functions) {
  luaL_newmetatable(L, name);
  luaL_getsubtable(L, -1, "__index");
  for (; functions->name; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, strncmp(functions->name, "__", 2) == 0 ? -3 : -2, functions->name);
  }
  lua_pop(L, 2);
}
