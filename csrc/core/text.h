// SPDX-License-Identifier: MIT
// Makes text safe to show on a terminal.
#ifndef OMNI_TEXT_H
#define OMNI_TEXT_H

#include <lauxlib.h>
#include <stddef.h>

// Adds `text` to the initialised buffer `out`, in a form that is safe to show: valid UTF-8 without control characters or bidi overrides. A
// line break or a tab becomes a space; every other unsafe byte or character becomes "?". Adds at most `max_bytes` bytes; if the text is
// longer, cuts it between code points and adds an ellipsis.
void text_clean(luaL_Buffer *out, const char *text, size_t length, size_t max_bytes);

#endif
