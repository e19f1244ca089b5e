// SPDX-License-Identifier: MIT
// A section of code during which this thread receives no signals.
#ifndef OMNI_SIGNAL_GUARD_H
#define OMNI_SIGNAL_GUARD_H

#include <signal.h>

typedef struct {
  sigset_t before;
} signal_guard;

// Blocks all signals of this thread. So a thread that a library starts meanwhile (libcurl does for name lookups) receives no signals, and
// a write to a broken connection or beyond the file size limit returns an error instead of ending the program. The program's signal
// handlers stay unchanged.
void signal_guard_begin(signal_guard *guard);

// Discards SIGPIPE and SIGXFSZ that came meanwhile, and restores the signal mask.
void signal_guard_end(const signal_guard *guard);

#endif
