// SPDX-License-Identifier: MIT
// The monotonic clock.
#ifndef OMNI_CLOCK_H
#define OMNI_CLOCK_H

// Returns the time of a clock that never jumps, in seconds. Only differences between two times are meaningful.
double clock_now(void);

#endif
