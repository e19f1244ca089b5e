// SPDX-License-Identifier: MIT
// A section of code during which this thread receives no signals.
#ifndef OMNI_SIGNAL_GUARD_H
#define OMNI_SIGNAL_GUARD_H

#include <signal.h>

typedef struct {
  sigset_t before;
} signal_guard;

// Blocks signals for this thread, except those that report a crash. A thread that a library starts in this section, such as libcurl's thread for a name lookup, receives
// no signals either. A write to a broken connection or beyond the file size limit returns an error instead of ending the program. The
// program's signal handlers stay unchanged.
void signal_guard_begin(signal_guard *guard);

// Discards a SIGPIPE or SIGXFSZ that has arrived since signal_guard_begin, and restores the signal mask.
void signal_guard_end(const signal_guard *guard);

#endif
