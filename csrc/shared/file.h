// SPDX-License-Identifier: MIT
// Files that somebody else may have put there: opened without waiting, and only when they are regular files.
#ifndef OMNI_FILE_H
#define OMNI_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

// Opens a regular file. The descriptor is close-on-exec and never becomes our terminal; a FIFO, a device or a socket is refused
// without waiting for its other end. `flags` and `mode` are those of open(2), `*info` is the open file's status. Returns -1 and
// errno on failure: EISDIR for a folder, EINVAL for what else isn't a regular file, ELOOP for a symbolic link under O_NOFOLLOW.
int file_open(const char *path, int flags, mode_t mode, struct stat *info);
// Why file_open failed, in words.
const char *file_problem(int error);
// Gives a file another name in the same file system. Never replaces what is there: false and EEXIST then, or another errno.
bool file_rename_new(const char *from, const char *to);

enum { FILE_STAMP_SIZE = 128 };
// Writes the file's stamp, a text that differs once the file has changed or was replaced: device, inode, size, and the times of the last
// change to the content and the inode, in nanoseconds. Two changes within one tick of the file system's clock may share a stamp.
void file_stamp(const struct stat *status, char stamp[FILE_STAMP_SIZE]);

#endif
