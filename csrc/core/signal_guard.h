// SPDX-License-Identifier: MIT
// A stretch of code in which this thread gets no signal, and after which it gets none of what the stretch itself brought about.
#ifndef OMNI_SIGNAL_GUARD_H
#define OMNI_SIGNAL_GUARD_H

#include <signal.h>

typedef struct {
  sigset_t before;
} signal_guard;

// Blocks all signals of this thread. A library that starts a thread meanwhile (libcurl does, to look up names) leaves signals to
// the program's own threads; a write to a broken connection or beyond a file size limit is an error, and not the
// program's end. The program's dispositions stay as they are.
void signal_guard_begin(signal_guard *guard);

// Forgets SIGPIPE and SIGXFSZ, and lets signals through as before.
void signal_guard_end(const signal_guard *guard);

#endif
