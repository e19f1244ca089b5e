// SPDX-License-Identifier: MIT
// Files whose path another program may control: opens only regular files, and never waits.
#ifndef OMNI_FILE_H
#define OMNI_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

// Opens a regular file. The descriptor is close-on-exec and never becomes the controlling terminal; opening a FIFO, a device or a socket
// fails without waiting for its other end. `flags` and `mode` are those of open(2). Fills *info with the open file's status. Returns -1
// and errno on failure: EISDIR for a folder, EINVAL for another kind of file, ELOOP for a symbolic link with O_NOFOLLOW.
int file_open(const char *path, int flags, mode_t mode, struct stat *info);
// Returns the reason of a failed file_open in words.
const char *file_problem(int error);
// Writes all bytes. Returns how many were written: fewer than `length` after an error, with errno.
size_t file_write(int fd, const void *bytes, size_t length);
// Reads `length` bytes from this offset, or fewer at the file's end. Returns their number, or -1 and errno.
ssize_t file_read_at(int fd, void *bytes, size_t length, int64_t offset);
// Renames a file within a file system. Never replaces a file: returns false and EEXIST then, or another errno.
bool file_rename_new(const char *from, const char *to);

enum { FILE_STAMP_SIZE = 128 };
// Writes the file's stamp, a text that differs once the file has changed or was replaced: device, inode, size, and the times of the last
// change to the content and the inode, in nanoseconds. Two changes within one tick of the file system's clock may share a stamp.
void file_stamp(const struct stat *status, char stamp[FILE_STAMP_SIZE]);

#endif
