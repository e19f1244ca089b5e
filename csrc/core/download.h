// SPDX-License-Identifier: MIT
// A file that is being downloaded: PATH.part while it grows, PATH when it is whole and on disk.
#ifndef OMNI_DOWNLOAD_H
#define OMNI_DOWNLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/file.h"

typedef struct download download;

// Opens and locks PATH.part. Goes on behind `offset` bytes when it is still the file that had this stamp (download_stamp), else
// begins anew. NULL and errno on failure (file_problem); errno is EWOULDBLOCK when somebody else is downloading to it, EMLINK when
// it has further names, EEXIST when there is something else than a file at PATH.
download *download_open(const char *path, int64_t offset, const char *stamp);
// PATH.part; valid as long as the file is open.
const char *download_part(const download *file);
// What PATH.part keeps as long as nobody else writes to it; empty when that can't be told.
void download_stamp(const download *file, char stamp[FILE_STAMP_SIZE]);
// Copies the file's first bytes, `size` of them at most; returns how many there are, -1 and errno on failure.
ssize_t download_head(const download *file, void *bytes, size_t size);
// Where the next byte goes.
int64_t download_offset(const download *file);
// Throws away what the file holds (the server sent the whole again). False and errno on failure.
bool download_restart(download *file);
// False and errno on failure.
bool download_write(download *file, const void *bytes, size_t length);
// Starts to sync the file, rename it to PATH and sync its folder, in a thread of its own; then `wake` (an eventfd) is
// written. False and errno when it can't be started.
bool download_finish(download *file, int wake, bool replace);
// Whether that is over; *error is then 0 or an errno: EEXIST when there is a file at PATH that must not be replaced (it may be
// finished once more), ESTALE when PATH.part isn't the file any more that was written.
bool download_finished(download *file, int *error);
// Closes the file (a .part stays) and frees everything; a finish under way goes on by itself.
void download_close(download *file);

#endif
