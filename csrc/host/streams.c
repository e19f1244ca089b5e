// SPDX-License-Identifier: MIT
#include "streams.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_BROKEN_PIPE = 128 + SIGPIPE, EXIT_INTERRUPTED = 130 };

static int stdout_error; // errno of the first failed write to stdout
static void (*broken_pipe)(void);

// Returns a stream's descriptor, which is the stream's cookie (fopencookie(3)).
static int descriptor(void *cookie) {
  return (int)(intptr_t)cookie;
}

static bool wait_until(int fd, short what) {
  struct pollfd one = {.fd = fd, .events = what};
  return poll(&one, 1, -1) >= 0;
}

// A signal ends the wait for input, so that the user can interrupt the program.
static ssize_t on_read(void *cookie, char *bytes, size_t size) {
  for (;;) {
    ssize_t got = read(descriptor(cookie), bytes, size);
    if (got >= 0 || errno != EAGAIN || !wait_until(descriptor(cookie), POLLIN)) return got;
  }
}

static ssize_t on_write(void *cookie, const char *bytes, size_t size) {
  int fd = descriptor(cookie);
  size_t written = 0;
  while (written < size) {
    ssize_t got = write(fd, bytes + written, size - written);
    if (got >= 0) written += (size_t)got;
    else if (errno == EAGAIN) (void)wait_until(fd, POLLOUT);
    else if (errno != EINTR) break;
  }
  if (written < size && fd == STDOUT_FILENO && !stdout_error) {
    int error = stdout_error = errno;
    if (error == EPIPE && broken_pipe) broken_pipe();
    errno = error;
  }
  return (ssize_t)written;
}

bool streams_failed(void) {
  fflush(stdout);
  return stdout_error != 0;
}

// Runs when the process exits, even after a script has called os.exit.
static void report(int code, void *unused) {
  (void)unused;
  if (!streams_failed()) return;
  bool quiet = stdout_error == EPIPE;
  if (quiet && (code == EXIT_SUCCESS || code == EXIT_INTERRUPTED)) _exit(EXIT_BROKEN_PIPE);
  if (!quiet) fprintf(stderr, "omni: can't write to stdout: %s\n", strerror(stdout_error));
  if (code == EXIT_SUCCESS) _exit(EXIT_FAILURE);
}

static FILE *open_stream(int fd, const char *mode, int buffering) {
  cookie_io_functions_t functions = {.read = on_read, .write = on_write};
  FILE *stream = fopencookie((void *)(intptr_t)fd, mode, functions);
  return stream && setvbuf(stream, NULL, buffering, BUFSIZ) == 0 ? stream : NULL;
}

bool streams_open(void (*on_broken_pipe)(void)) {
  FILE *in = open_stream(STDIN_FILENO, "r", _IOFBF);
  FILE *out = open_stream(STDOUT_FILENO, "w", isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF);
  FILE *err = open_stream(STDERR_FILENO, "w", _IONBF);
  if (!in || !out || !err) return false;
  broken_pipe = on_broken_pipe;
  stdin = in, stdout = out, stderr = err; // stdin, stdout and stderr are variables in glibc; Lua's io library reads them when it is opened
  return on_exit(report, NULL) == 0;
}
