// SPDX-License-Identifier: MIT
// Starts a program without a shell, or a function in a process of its own.
#ifndef OMNI_PROCESS_START_H
#define OMNI_PROCESS_START_H

#include <stdbool.h>
#include <sys/types.h>

// The child's stdout and stderr: a descriptor, or one of these.
enum { TO_NULL = -1, INHERIT = -2 };

typedef struct {
  char **argv, **environment; // both end with NULL; argv[0] is looked up in the PATH of `environment`
  const char *directory;      // or NULL
  int out, err;               // stdin is /dev/null
  // If set, the child calls this function instead of a program; its result is the exit code. The child has this process's memory and only
  // the thread that called `process_start`, so the function must take no lock except malloc's.
  int (*inside)(const void *argument);
  const void *argument;
  size_t max_memory;          // bytes of address space that it may use; 0: no limit of ours
} start_request;

typedef struct {
  int error;         // errno; 0 on success
  bool in_directory; // whether the directory couldn't be entered; else the program couldn't be started
} start_failure;

// Starts the program in a process group of its own, and returns when it runs or has failed to start. On success sets *pid, which the
// caller reaps. The caller closes its own descriptors. The child inherits no other descriptor, has default signal handlers and an empty
// signal mask, and dies with us.
start_failure process_start(const start_request *what, pid_t *pid);

// Makes a close-on-exec pipe. No end is 0, 1 or 2, since the child replaces those. Returns false and errno on failure.
bool process_pipe(int ends[2]);

#endif
