// SPDX-License-Identifier: MIT
// The file that an upload sends; it is opened once, read from start to end, and checked for changes.
#ifndef OMNI_UPLOAD_H
#define OMNI_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct upload upload;

// Opens a regular file, to send `length` bytes of it from the offset `first`; a negative `length` means all bytes up to the end. Returns NULL
// and errno (file_problem) on failure; ESTALE means that the file is shorter.
upload *upload_open(const char *path, int64_t first, int64_t length);
// upload_size returns how many bytes are sent in total; upload_offset returns how many bytes were read.
int64_t upload_size(const upload *file);
int64_t upload_offset(const upload *file);
// Reads the next bytes. Returns the number of bytes that were read, 0 at the end of the file, or -1 with errno set. ESTALE means that the
// file has changed since it was opened. upload_read detects every change before it returns the last byte.
ssize_t upload_read(upload *file, void *to, size_t room);
// Continues at this offset. Returns false when the file is shorter than the offset.
bool upload_seek(upload *file, int64_t offset);
// Closes the file and frees its memory. Accepts NULL.
void upload_close(upload *file);

#endif
