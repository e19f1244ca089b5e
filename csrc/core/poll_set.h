// SPDX-License-Identifier: MIT
// One descriptor that is readable when one of many is ready.
#ifndef OMNI_READINESS_H
#define OMNI_READINESS_H

#include <stdbool.h>

enum { READ_READY = 1, WRITE_READY = 2, BROKEN = 4 };

typedef struct {
  int fd;
  int what; // READ_READY | WRITE_READY | BROKEN
} ready_fd;

// A new pollable descriptor, closed with close(); -1 and errno on failure.
int readiness_make(void);
// Watches fd for `what` (replacing what was watched before if `known`); false and errno on failure.
bool readiness_watch(int readiness, int fd, int what, bool known);
// Forgets fd; one that is closed or was never watched is no error.
void readiness_forget(int readiness, int fd);
// Waits at most `seconds` (negative: without end) for at most `room` descriptors; 0 also when a signal came.
int readiness_wait(int readiness, ready_fd *ready, int room, double seconds);

#endif
