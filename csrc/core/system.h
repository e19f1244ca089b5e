// SPDX-License-Identifier: MIT
// Text that is safe to show and the stamps of files.
#ifndef OMNI_SYSTEM_H
#define OMNI_SYSTEM_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <sys/stat.h>

// Adds to `out` (initialised by the caller) what of `text` a terminal, a log or a font can be given: valid UTF-8
// without control characters and bidi overrides; line breaks and tabs become a space, all else that is refused
// a "?". At most max_bytes are added, cut between code points, with "…" as their end when there was more.
void system_clean(luaL_Buffer *out, const char *text, size_t length, size_t max_bytes);

// What stays the same only as long as a file isn't changed or replaced, as text: device, inode, size, and the times of the last
// change to its bytes and to its inode, in nanoseconds. Two changes within one tick of the file system's clock may share a stamp.
enum { STAMP_SIZE = 128 };
void system_stamp(const struct stat *status, char stamp[STAMP_SIZE]);

#endif
