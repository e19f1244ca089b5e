// SPDX-License-Identifier: MIT
// A descriptor that becomes readable when one of many descriptors is ready.
#ifndef OMNI_POLL_SET_H
#define OMNI_POLL_SET_H

#include <stdbool.h>

enum { READ_READY = 1, WRITE_READY = 2, BROKEN = 4 };

typedef struct {
  int fd;
  int what; // a combination of READ_READY, WRITE_READY and BROKEN
} ready_fd;

// Returns a new pollable descriptor, which the caller closes with close(); or -1 with errno set on failure.
int poll_set_new(void);
// Adds fd to the poll set, which then reports fd when an event in `what` occurs. If `known` is true, fd is already in the poll set, and
// `what` replaces the earlier events. Returns false with errno set on failure.
bool poll_set_add(int poll_set, int fd, int what, bool known);
// Removes fd from the poll set. Does nothing if fd is closed or isn't in the poll set.
void poll_set_remove(int poll_set, int fd);
// Waits at most `seconds` (negative: without limit) and stores at most `room` ready descriptors in `ready`. Returns the number of ready
// descriptors, or 0 if a signal interrupts the wait.
int poll_set_wait(int poll_set, ready_fd *ready, int room, double seconds);

#endif
