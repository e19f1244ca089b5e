// SPDX-License-Identifier: MIT
// Writes and reads numbers in the same way in every locale.
#ifndef OMNI_NUMBER_H
#define OMNI_NUMBER_H

#include <lua.h>

// Calls lua_pcall with one result and no message handler, with the thread's locale set to "C". Use number_pcall to call a Lua function that
// writes or reads numbers with printf or strtod. Other threads keep the locale that the program has set.
int number_pcall(lua_State *L, int arguments);

// Pushes the JSON text at index `text` without its first `skip` bytes. Replaces each number that has a decimal point with an equal one that
// has none; for example, 12.5 becomes 125e-1. Pushes the original text when it contains no fraction. Invalid JSON stays invalid.
void number_neutral(lua_State *L, int text, size_t skip);

#endif
