// SPDX-License-Identifier: MIT
// Starts a program without a shell, or a function in a process of its own.
#ifndef OMNI_SPAWN_H
#define OMNI_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

// What the child's stdout and stderr are to be: a descriptor, or one of these.
enum { TO_NULL = -1, INHERIT = -2 };

typedef struct {
  char **argv, **environment; // both end with NULL; argv[0] is looked up in the environment's PATH
  const char *directory;      // or NULL
  int out, err;               // stdin is /dev/null
  // Runs in the child instead of a program when set; its result is the exit code. Of this process it has the memory
  // and the one thread that called `spawn`: it must take no lock but malloc's.
  int (*inside)(const void *argument);
  const void *argument;
  size_t max_memory;          // bytes that it can allocate (address space); 0: no limit of ours
} spawn_what;

typedef struct {
  int error;         // errno, or 0: it runs
  bool in_directory; // the directory could not be entered; else the program could not be started
} spawn_failure;

// Starts it, in a process group of its own, and returns when it runs or could not be started. The caller closes
// its descriptors, and reaps *pid, which is set on success only. The child gets no other descriptor of ours,
// default signal dispositions and an empty mask, and is killed when we die.
spawn_failure spawn(const spawn_what *what, pid_t *pid);

// A pipe, close-on-exec; neither end is 0, 1 or 2, which the child replaces. False and errno on failure.
bool spawn_pipe(int ends[2]);

#endif
