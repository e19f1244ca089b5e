// SPDX-License-Identifier: MIT
// A file that is being uploaded: opened once, read from its beginning to its end, and watched for changes meanwhile.
#ifndef OMNI_UPLOAD_H
#define OMNI_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct upload upload;

// Opens a regular file. NULL and errno (file_problem) on failure.
upload *upload_open(const char *path);
// How many bytes it has; how many of them have been read.
int64_t upload_size(const upload *file);
int64_t upload_offset(const upload *file);
// Reads on: how many bytes there were, 0 at the end. -1 and errno on failure; errno is ESTALE when the file isn't what it
// was when it was opened, which is always seen before the last byte is handed out.
ssize_t upload_read(upload *file, void *to, size_t room);
// Goes on from this offset; false when the file has none such.
bool upload_seek(upload *file, int64_t offset);
// Closes the file and frees everything; NULL is fine.
void upload_close(upload *file);

#endif
