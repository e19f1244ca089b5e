// SPDX-License-Identifier: MIT
// Reads the argument list and the environment of a child process from Lua values.
#ifndef OMNI_PROCESS_ENVIRONMENT_H
#define OMNI_PROCESS_ENVIRONMENT_H

#include <lua.h>

// Returns the string at the top of the stack. Raises an error when the value isn't a string, or contains a NUL, which would end the
// string for the system. `what` names the string in the message. The result isn't const, since exec takes `char *`; exec changes nothing.
char *process_check_text(lua_State *L, const char *what);
// Returns the strings of the array at index `given`, with a NULL at the end. Pushes a table that keeps the strings alive, and the result
// as a userdata. Raises an error for an empty array.
char **process_check_argv(lua_State *L, int given);
// Returns this process's environment without its secrets, with the entries of the table at the top of the stack (or nil) added. Pushes
// what process_check_argv pushes.
char **process_check_environment(lua_State *L);

#endif
