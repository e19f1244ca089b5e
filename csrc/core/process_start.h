// SPDX-License-Identifier: MIT
// Starts a program without a shell, or runs a C function in a child process.
#ifndef OMNI_PROCESS_START_H
#define OMNI_PROCESS_START_H

#include <stdbool.h>
#include <sys/types.h>

// Special values for the child's stdout and stderr, used in place of a descriptor.
enum { TO_NULL = -1, INHERIT = -2 };

typedef struct {
  char **argv, **environment; // both arrays end with NULL; argv[0] is looked up in the PATH of `environment`
  const char *directory;      // or NULL
  int out, err;               // stdin is /dev/null
  // If `inside` is set, the child calls this function instead of a program; the function's result is the exit code. The child has a copy of
  // this process's memory, but only one thread, so the function must not take any lock except malloc's.
  int (*inside)(const void *argument);
  const void *argument;
  size_t max_memory;          // bytes of address space that the child may use; 0: omni sets no limit
} start_request;

typedef struct {
  int error;         // errno; 0 on success
  bool in_directory; // true: the directory couldn't be entered; false: the program couldn't be started
} start_failure;

// Starts the program in its own process group, and returns when the program is running or has failed to start. On success, sets *pid; the
// caller must reap the child and close the descriptors passed in `what`. The child inherits no descriptors except stdin, stdout and stderr,
// has default signal handlers and an empty signal mask, and is killed when this process ends.
start_failure process_start(const start_request *what, pid_t *pid);

// Makes a close-on-exec pipe. Neither end of the pipe is descriptor 0, 1 or 2, since the child replaces those descriptors. Returns false
// with errno set on failure.
bool process_pipe(int ends[2]);

#endif
