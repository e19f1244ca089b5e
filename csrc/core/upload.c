// SPDX-License-Identifier: MIT
#include "core/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/file.h"

struct upload {
  int fd;
  int64_t whole, first;  // the file's size, and the offset of the first byte to send
  int64_t size, offset; // the number of bytes to send, and the number of bytes that have been read
  struct timespec modified;
};

upload *upload_open(const char *path, int64_t first, int64_t length) {
  upload *file = calloc(1, sizeof *file);
  if (!file) return NULL;
  struct stat info;
  if ((file->fd = file_open(path, O_RDONLY, 0, &info)) >= 0) {
    file->whole = info.st_size, file->modified = info.st_mtim;
    file->first = first, file->size = length < 0 ? info.st_size - first : length;
    if (file->size >= 0 && first <= info.st_size - file->size) return file;
    errno = ESTALE;
  }
  int error = errno;
  upload_close(file);
  errno = error;
  return NULL;
}

int64_t upload_size(const upload *file) {
  return file->size;
}

int64_t upload_offset(const upload *file) {
  return file->offset;
}

static bool unchanged(const upload *file) {
  struct stat now;
  return fstat(file->fd, &now) == 0 && now.st_size == file->whole && now.st_mtim.tv_sec == file->modified.tv_sec &&
         now.st_mtim.tv_nsec == file->modified.tv_nsec;
}

ssize_t upload_read(upload *file, void *to, size_t room) {
  int64_t left = file->size - file->offset;
  if (left == 0) return 0;
  if ((int64_t)room > left) room = (size_t)left;
  ssize_t got = file_read_at(file->fd, to, room, file->first + file->offset);
  if (got < 0) return -1;
  if (got == 0 || (got == left && !unchanged(file))) return errno = ESTALE, -1;
  file->offset += got;
  return got;
}

bool upload_seek(upload *file, int64_t offset) {
  if (offset < 0 || offset > file->size) return false;
  file->offset = offset;
  return true;
}

void upload_close(upload *file) {
  if (!file) return;
  if (file->fd >= 0) close(file->fd);
  free(file);
}
