// SPDX-License-Identifier: MIT
// Registers classes of userdata in Lua.
#ifndef OMNI_CLASS_H
#define OMNI_CLASS_H

#include <lauxlib.h>
#include <lua.h>

// Adds functions to the class `name`; creates the class if it doesn't exist. A function whose name begins with "__" becomes a metamethod,
// and any other function becomes a method. Raises an error only when memory runs out.
void class_add(lua_State *L, const char *name, const luaL_Reg *functions);

#endif
