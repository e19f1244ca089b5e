// SPDX-License-Identifier: MIT
// The monotonic clock.
#ifndef OMNI_CLOCK_H
#define OMNI_CLOCK_H

// Returns the seconds of a clock that never jumps. Only differences mean something.
double clock_now(void);

#endif
