// SPDX-License-Identifier: MIT
#include "shared/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int descriptor_raise(int fd) {
  if (fd < 0 || fd > 2) return fd;
  int higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  descriptor_close(fd);
  return higher;
}

int descriptor_close(int fd) {
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

void descriptor_fill_standard(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)open("/dev/null", O_RDWR | O_CLOEXEC); // open returns the lowest free descriptor
}
