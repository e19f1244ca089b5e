// SPDX-License-Identifier: MIT
// The monotonic clock.
#ifndef OMNI_CLOCK_H
#define OMNI_CLOCK_H

// Returns the time in seconds on a clock that never jumps. Only differences between two times are meaningful.
double clock_now(void);

#endif
