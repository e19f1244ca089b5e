// SPDX-License-Identifier: MIT
// Numbers as text and text as numbers, the same in every locale.
#ifndef OMNI_NUMBER_H
#define OMNI_NUMBER_H

#include <lua.h>

// lua_pcall with one result and no message handler, for what writes or reads numbers by C's means: the thread's locale is "C"
// meanwhile. The program's locale, and other threads, stay as they are.
int number_pcall(lua_State *L, int arguments);

// Pushes the JSON text at index `text`, from its byte `skip` on, with its fractions written without a decimal point: 12.5 as 125e-1,
// the same number. A text
// that needs no such change is pushed as it is. What isn't valid JSON stays that.
void number_neutral(lua_State *L, int text, size_t skip);

#endif
