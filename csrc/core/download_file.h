// SPDX-License-Identifier: MIT
// The file to which a download is written. The file is named PATH.part until all bytes are on disk; its final name is PATH.
#ifndef OMNI_DOWNLOAD_FILE_H
#define OMNI_DOWNLOAD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/file.h"

typedef struct download download;

// Opens and locks PATH.part. Resumes at `offset` if PATH.part still has the stamp `stamp` (see download_stamp); otherwise empties the file.
// On failure, returns NULL with errno set (see file_problem): EWOULDBLOCK when another download is writing to PATH.part, EMLINK when
// PATH.part has other hard links, EEXIST when PATH isn't a regular file.
download *download_open(const char *path, int64_t offset, const char *stamp);
// Returns PATH.part. The returned path is valid until the file is closed.
const char *download_part(const download *file);
// Stores PATH.part's stamp in `stamp`; the stamp changes when the file changes. Stores an empty string if the stamp can't be determined.
void download_stamp(const download *file, char stamp[FILE_STAMP_SIZE]);
// Copies at most `size` bytes from the beginning of the file. Returns the number of copied bytes, or -1 with errno set.
ssize_t download_head(const download *file, void *bytes, size_t size);
// Returns the offset at which the next byte will be written.
int64_t download_offset(const download *file);
// Empties the file, so that the download starts again from the beginning. Returns false with errno set on failure.
bool download_restart(download *file);
// Appends bytes. Returns false with errno set on failure.
bool download_write(download *file, const void *bytes, size_t length);
// Starts a thread that syncs the file, renames it to PATH, syncs its directory and then writes to `wake`, an eventfd. Returns false with
// errno set if the thread can't be started.
bool download_finish(download *file, int wake, bool replace);
// Returns whether the thread that download_finish started has ended. If the thread has ended, sets *error to 0 or to an errno value: EEXIST
// when PATH exists and must not be replaced (the caller may call download_finish again), ESTALE when PATH.part is no longer the downloaded
// file.
bool download_finished(download *file, int *error);
// Closes the file and frees its memory. Keeps PATH.part unless the file is empty. If the thread that download_finish started is still
// running, that thread frees the memory when it ends.
void download_close(download *file);

#endif
