// SPDX-License-Identifier: MIT
// What remember.c sends to ready.c: this with the files stdin, stdout, stderr and the current folder; then the words of the command and
// the environment, each with a NUL at its end. What comes back when the command has ended: its wait status, an int.
#pragma once
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { READY_LIMITS = 16 }; // Linux's resource limits

typedef struct {
  size_t length;
  int words;
  mode_t mask;
  struct rlimit limits[READY_LIMITS];
} ready_request;
