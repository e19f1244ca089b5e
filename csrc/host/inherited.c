// SPDX-License-Identifier: MIT
#include "inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/stat.h>

// Opens /dev/null for each closed standard descriptor. The replacement for stdin is write-only, and those for stdout and stderr are
// read-only, so that reading from stdin and writing to stdout or stderr still fail.
static void fill_descriptors(void) {
  for (int fd = 0; fd <= 2; fd++)
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) (void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

static void nothing(int number) {
  (void)number;
}

void inherited_reset(void) {
  fill_descriptors();
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigemptyset(&action.sa_mask);
  sigaction(SIGCHLD, &action, NULL);
  action.sa_handler = nothing; // not SIG_IGN, since child processes would inherit SIG_IGN, and SIGPIPE must end them as usual
  action.sa_flags = SA_RESTART;
  sigaction(SIGPIPE, &action, NULL);
  sigaction(SIGXFSZ, &action, NULL);
  umask(umask(0) & ~(mode_t)0700);
}

void inherited_unblock(void) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}
