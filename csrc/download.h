// SPDX-License-Identifier: MIT
// A file that is being downloaded: PATH.part while it grows, PATH when it is whole and on disk.
#ifndef OMNI_DOWNLOAD_H
#define OMNI_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct download download;

// Opens and locks PATH.part for writing behind `offset` bytes that it already holds. NULL and errno on failure; errno is
// EWOULDBLOCK when somebody else is downloading to it, ERANGE when it is shorter than offset.
download *download_open(const char *path, int64_t offset);
// Where the next byte goes.
int64_t download_offset(const download *file);
// Throws away what the file holds (the server sent the whole again). False and errno on failure.
bool download_restart(download *file);
// False and errno on failure.
bool download_write(download *file, const void *bytes, size_t length);
// Starts to sync the file, rename it to PATH and sync its folder, in a thread of its own; then `wake` (an eventfd) is
// written. False and errno when it can't be started.
bool download_finish(download *file, int wake);
// Whether that is over; *error is then 0 or an errno.
bool download_finished(download *file, int *error);
// Closes the file (a .part stays) and frees everything; a finish under way goes on by itself.
void download_close(download *file);

#endif
