// SPDX-License-Identifier: MIT
// Opens files at paths that another program may control. Opens only regular files, and never blocks.
#ifndef OMNI_FILE_H
#define OMNI_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

// Opens a regular file. The descriptor is close-on-exec and never becomes the controlling terminal; opening a FIFO, a device or a socket
// fails without waiting for its other end. `flags` and `mode` are those of open(2). Fills *info with the file's status.
// Returns -1 with errno set on failure: EISDIR for a directory, EINVAL for any other file that isn't regular, ELOOP for a symbolic link
// with O_NOFOLLOW.
int file_open(const char *path, int flags, mode_t mode, struct stat *info);
// Returns a text that explains why file_open failed. `error` is the errno that file_open has set.
const char *file_problem(int error);
// Writes all bytes. Returns how many bytes were written. After an error, the returned number is less than `length`, and errno is set.
size_t file_write(int fd, const void *bytes, size_t length);
// Reads `length` bytes from this offset, or fewer if the file ends earlier. Returns the number of bytes that were read, or -1 with errno
// set.
ssize_t file_read_at(int fd, void *bytes, size_t length, int64_t offset);
// Renames a file within a file system, and never replaces another file. Returns false with errno set on failure: EEXIST if the new name is
// taken.
bool file_rename_new(const char *from, const char *to);

// Waits until a directory's entries are on disk. Returns false with errno set on failure.
bool file_sync_folder(const char *folder);

enum { FILE_STAMP_SIZE = 128 };
// Stores the file's stamp in `stamp`: a string that changes when the file's content changes or another file replaces it. The stamp consists
// of the device, the inode, the size, and the times of the last changes to the content and to the inode, in nanoseconds. Two versions of a
// file that are written within one tick of the file system's clock may have the same stamp.
void file_stamp(const struct stat *status, char stamp[FILE_STAMP_SIZE]);

#endif
