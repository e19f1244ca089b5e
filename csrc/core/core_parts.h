// SPDX-License-Identifier: MIT
// The parts of omni.core. Each function adds one part of omni.core to the table at the top of the stack, and raises an error only if memory
// runs out.
#ifndef OMNI_CORE_PARTS_H
#define OMNI_CORE_PARTS_H

#include <lua.h>

void system_open(lua_State *L);
void text_open(lua_State *L);
void number_open(lua_State *L);
void poll_set_open(lua_State *L);
void poll_schedule_open(lua_State *L);
void client_open(lua_State *L);
void envelope_open(lua_State *L); // this function also raises an error when lua-cjson can't be loaded
void task_open(lua_State *L);
void process_open(lua_State *L);
void board_process_open(lua_State *L);
void digest_open(lua_State *L);
void diagnostics_open(lua_State *L);
void url_open(lua_State *L);

#endif
