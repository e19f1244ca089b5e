// SPDX-License-Identifier: MIT
// The file to which a download is written. A thread syncs the file to disk, since syncing can take seconds on a slow disk.
#include "core/download_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/file.h"
#include "shared/thread.h"

enum { IDLE, FINISHING, FINISHED, ABANDONED };

struct download {
  char *path, *part;
  int fd, wake, error;
  bool replace, emptied;
  int64_t offset;
  atomic_int state;
};

static void release(download *file) {
  if (file->fd >= 0) close(file->fd);
  if (file->wake >= 0) close(file->wake);
  free(file->path);
  free(file->part);
  free(file);
}

// Returns whether PATH.part is still the file that omni has open. Another download may have renamed PATH.part, or another program may have
// removed it.
static bool is_at_part(const download *file) {
  struct stat open, now;
  return fstat(file->fd, &open) == 0 && lstat(file->part, &now) == 0 && open.st_ino == now.st_ino && open.st_dev == now.st_dev;
}

void download_stamp(const download *file, char stamp[FILE_STAMP_SIZE]) {
  struct stat info;
  *stamp = '\0';
  if (fstat(file->fd, &info) == 0) file_stamp(&info, stamp);
}

download *download_open(const char *path, int64_t offset, const char *stamp) {
  download *file = calloc(1, sizeof *file);
  if (!file) return NULL;
  file->fd = file->wake = -1;
  file->path = strdup(path);
  struct stat info;
  if (!file->path || asprintf(&file->part, "%s.part", path) < 0) {
    file->part = NULL;
    errno = ENOMEM;
  } else if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
    errno = EEXIST; // a download never replaces a device or a socket
  } else if ((file->fd = file_open(file->part, O_RDWR | O_CREAT | O_NOFOLLOW, 0666, &info)) >= 0 &&
             flock(file->fd, LOCK_EX | LOCK_NB) == 0 && fstat(file->fd, &info) == 0) {
    char now[FILE_STAMP_SIZE];
    file_stamp(&info, now);
    if (info.st_nlink > 1) {
      errno = EMLINK; // the file has a second name, so writing to PATH.part would change the file under both names
    } else if (!is_at_part(file)) {
      errno = EWOULDBLOCK; // another download renamed PATH.part after this download had opened it and before it locked it
    } else {
      file->offset = stamp && strcmp(stamp, now) == 0 && info.st_size >= offset ? offset : 0;
      // Doesn't call ftruncate if the file already has the right size, since ftruncate would change the file's stamp.
      bool cut = info.st_size == file->offset || ftruncate(file->fd, file->offset) == 0;
      if (cut && lseek(file->fd, file->offset, SEEK_SET) == file->offset) return file;
    }
  }
  int error = errno;
  release(file);
  errno = error;
  return NULL;
}

const char *download_part(const download *file) {
  return file->part;
}

int64_t download_offset(const download *file) {
  return file->offset;
}

ssize_t download_head(const download *file, void *bytes, size_t size) {
  return file_read_at(file->fd, bytes, size, 0);
}

bool download_restart(download *file) {
  file->offset = 0;
  return ftruncate(file->fd, 0) == 0 && lseek(file->fd, 0, SEEK_SET) == 0;
}

bool download_write(download *file, const void *bytes, size_t length) {
  size_t written = file_write(file->fd, bytes, length);
  file->offset += (int64_t)written;
  return written == length;
}

static int sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
  if (!folder) return ENOMEM;
  int error = file_sync_folder(folder) ? 0 : errno;
  free(folder);
  return error;
}

static void *finish(void *argument) {
  download *file = argument;
  int error = 0;
  if (fsync(file->fd) != 0) {
    error = errno;
    // Forces a new download of the whole file, since Linux drops bytes that it couldn't write, and a later fsync may succeed without them.
    file->emptied = ftruncate(file->fd, 0) == 0 || unlink(file->part) == 0;
  } else if (!is_at_part(file)) error = ESTALE;
  else if (file->replace ? rename(file->part, file->path) != 0 : !file_rename_new(file->part, file->path)) error = errno;
  else error = sync_folder(file->path);
  file->error = error;
  int wake = file->wake, expected = FINISHING;
  file->wake = -1;
  if (!atomic_compare_exchange_strong(&file->state, &expected, FINISHED)) release(file); // the exchange was closed while the thread ran
  uint64_t one = 1;
  ssize_t ignored = write(wake, &one, sizeof one);
  (void)ignored;
  close(wake);
  return NULL;
}

bool download_finish(download *file, int wake, bool replace) {
  file->replace = replace;
  if ((file->wake = fcntl(wake, F_DUPFD_CLOEXEC, 3)) < 0) return false;
  atomic_store(&file->state, FINISHING);
  pthread_t thread;
  int error = thread_start(&thread, finish, file);
  if (error) {
    atomic_store(&file->state, IDLE);
    errno = error;
    return false;
  }
  pthread_detach(thread);
  return true;
}

bool download_finished(download *file, int *error) {
  if (atomic_load(&file->state) != FINISHED) return false;
  *error = file->error;
  if (file->emptied) file->offset = 0;
  if (file->error) atomic_store(&file->state, IDLE); // lets the caller call download_finish again
  return true;
}

void download_close(download *file) {
  int expected = FINISHING;
  if (!file || atomic_compare_exchange_strong(&file->state, &expected, ABANDONED)) return;
  // Removes an empty PATH.part, since a later download couldn't resume from it.
  if (atomic_load(&file->state) == IDLE && file->offset == 0 && is_at_part(file)) unlink(file->part);
  release(file);
}
