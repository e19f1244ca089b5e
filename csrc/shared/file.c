// SPDX-License-Identifier: MIT
#include "shared/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shared/descriptor.h"

// Returns whether the file is a regular file; if it isn't, sets errno.
static bool is_regular(const struct stat *info) {
  if (S_ISREG(info->st_mode)) return true;
  errno = S_ISDIR(info->st_mode) ? EISDIR : S_ISLNK(info->st_mode) ? ELOOP : EINVAL;
  return false;
}

int file_open(const char *path, int flags, mode_t mode, struct stat *info) {
  // Checks the file's type before opening the file, since opening a device can have side effects. After opening the file, checks its type
  // again, since another file may have replaced it in the meantime.
  bool there = (flags & O_NOFOLLOW ? lstat(path, info) : stat(path, info)) == 0;
  if (there && !is_regular(info)) return -1;
  int fd = descriptor_raise(open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, mode));
  if (fd < 0) {
    if (errno == ENXIO) errno = EINVAL; // a FIFO or a socket has replaced the file since its type was checked
    return -1;
  }
  if (fstat(fd, info) == 0 && is_regular(info)) return fd;
  return descriptor_close(fd);
}

const char *file_problem(int error) {
  switch (error) {
  case EISDIR: return "it is a folder, not a file";
  case EINVAL: return "it is not a regular file";
  case ELOOP: return "it is a symbolic link that can't be followed";
  default: return strerror(error);
  }
}

size_t file_write(int fd, const void *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t written = write(fd, (const char *)bytes + done, length - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += (size_t)written;
  }
  return done;
}

ssize_t file_read_at(int fd, void *bytes, size_t length, int64_t offset) {
  size_t done = 0;
  while (done < length) {
    ssize_t got = pread(fd, (char *)bytes + done, length - done, (off_t)offset + (off_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += (size_t)got;
  }
  return (ssize_t)done;
}

bool file_rename_new(const char *from, const char *to) {
#ifdef RENAME_NOREPLACE
  if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return false;
#endif
  // On a file system without RENAME_NOREPLACE, creates a hard link and removes the old name. On a file system without hard links, checks
  // that the new name is free, and then renames the file.
  if (link(from, to) == 0) return unlink(from) == 0;
  if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS && errno != EMLINK) return false;
  struct stat info;
  if (lstat(to, &info) == 0) return errno = EEXIST, false;
  return rename(from, to) == 0;
}

bool file_sync_folder(const char *folder) {
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  if (fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP) return close(fd), true; // some file systems can't sync a directory
  descriptor_close(fd);
  return false;
}

void file_stamp(const struct stat *status, char stamp[FILE_STAMP_SIZE]) {
  snprintf(stamp, FILE_STAMP_SIZE, "%jx:%jx:%jx:%jx.%lx:%jx.%lx", (uintmax_t)status->st_dev, (uintmax_t)status->st_ino,
           (uintmax_t)status->st_size, (uintmax_t)status->st_mtim.tv_sec, status->st_mtim.tv_nsec, (uintmax_t)status->st_ctim.tv_sec,
           status->st_ctim.tv_nsec);
}
