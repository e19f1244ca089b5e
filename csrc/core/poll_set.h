// SPDX-License-Identifier: MIT
// One descriptor that is readable when one of many is ready.
#ifndef OMNI_POLL_SET_H
#define OMNI_POLL_SET_H

#include <stdbool.h>

enum { READ_READY = 1, WRITE_READY = 2, BROKEN = 4 };

typedef struct {
  int fd;
  int what; // READ_READY | WRITE_READY | BROKEN
} ready_fd;

// A new pollable descriptor, closed with close(); -1 and errno on failure.
int poll_set_new(void);
// Watches fd for `what` (replacing what was watched before if `known`); false and errno on failure.
bool poll_set_add(int poll_set, int fd, int what, bool known);
// Forgets fd; one that is closed or was never watched is no error.
void poll_set_remove(int poll_set, int fd);
// Waits at most `seconds` (negative: without end) for at most `room` descriptors; 0 also when a signal came.
int poll_set_wait(int poll_set, ready_fd *ready, int room, double seconds);

#endif
