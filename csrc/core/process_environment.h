// SPDX-License-Identifier: MIT
// Reads a child process's argument list and environment from Lua values.
#ifndef OMNI_PROCESS_ENVIRONMENT_H
#define OMNI_PROCESS_ENVIRONMENT_H

#include <lua.h>

// Returns the string at the top of the stack. Raises an error if the value isn't a string or contains a NUL, which the system would treat
// as the end of the string. `what` names the string in the error message. The result isn't const, since exec takes `char *`; however, exec
// doesn't change the string.
char *process_check_text(lua_State *L, const char *what);
// Returns a NULL-terminated array of the strings in the Lua array at index `given`. Pushes a table that keeps the strings alive, and a
// userdata that contains the result. Raises an error for an empty array.
char **process_check_argv(lua_State *L, int given);
// Returns this process's environment without its secrets, plus the entries of the table at the top of the stack. If the value at the top of
// the stack is nil, adds no entries. Pushes what process_check_argv pushes.
char **process_check_environment(lua_State *L);

#endif
