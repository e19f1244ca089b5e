// SPDX-License-Identifier: MIT
// The file that an upload sends; it is opened once, read from start to end, and checked for changes.
#ifndef OMNI_UPLOAD_H
#define OMNI_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct upload upload;

// Opens a regular file in order to send `length` bytes from the offset `first`. If `length` is negative, sends all bytes up to the file's
// end. Returns NULL with errno set on failure (see file_problem); ESTALE means that the file is too short.
upload *upload_open(const char *path, int64_t first, int64_t length);
// upload_size returns the total number of bytes to send; upload_offset returns the number of bytes that have been read.
int64_t upload_size(const upload *file);
int64_t upload_offset(const upload *file);
// Reads the next bytes. Returns the number of bytes that were read, 0 at the end of the file, or -1 with errno set. ESTALE means that the
// file has changed since it was opened. Every change to the file is detected before upload_read returns the last byte.
ssize_t upload_read(upload *file, void *to, size_t room);
// Continues at this offset. Returns false if the upload sends fewer than `offset` bytes.
bool upload_seek(upload *file, int64_t offset);
// Closes the file and frees its memory. Accepts NULL.
void upload_close(upload *file);

#endif
