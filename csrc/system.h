// SPDX-License-Identifier: MIT
// Text that is safe to show.
#ifndef OMNI_SYSTEM_H
#define OMNI_SYSTEM_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

// Adds to `out` (initialised by the caller) what of `text` a terminal, a log or a font can be given: valid UTF-8
// without control characters and bidi overrides; line breaks and tabs become a space, all else that is refused
// a "?". At most max_bytes are added, cut between code points, with "…" as their end when there was more.
void system_clean(luaL_Buffer *out, const char *text, size_t length, size_t max_bytes);

#endif
