// SPDX-License-Identifier: MIT
// Makes text safe to show.
#ifndef OMNI_TEXT_H
#define OMNI_TEXT_H

#include <lauxlib.h>
#include <stddef.h>

// Adds `text` to `out`, which the caller has initialised, in a form that is safe for a terminal, a log and a font: valid UTF-8 without
// control characters and bidi overrides. A line break or a tab becomes a space, any other refused byte or character a "?". Adds at most
// `max_bytes`; a longer text is cut between code points and ends with an ellipsis.
void text_clean(luaL_Buffer *out, const char *text, size_t length, size_t max_bytes);

#endif
