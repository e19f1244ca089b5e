// SPDX-License-Identifier: MIT
// Text that is safe to show, and the clock.
#ifndef OMNI_SYSTEM_H
#define OMNI_SYSTEM_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>

// Adds to `out` (initialised by the caller) what of `text` a terminal, a log or a font can be given: valid UTF-8
// without control characters and bidi overrides; line breaks and tabs become a space, all else that is refused
// a "?". At most max_bytes are added, cut between code points, with "…" as their end when there was more.
void system_clean(luaL_Buffer *out, const char *text, size_t length, size_t max_bytes);

// Seconds on a clock that never jumps.
double system_now(void);

#endif
