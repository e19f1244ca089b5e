// SPDX-License-Identifier: MIT
// Standard streams that also work on non-blocking descriptors, and remember write errors.
#ifndef OMNI_HOST_STREAMS_H
#define OMNI_HOST_STREAMS_H

#include <stdbool.h>

// Replaces stdin, stdout and stderr with streams that block even if another program that shares the descriptor has made the descriptor
// non-blocking. If a write to stdout has failed, the program reports the error on stderr when it exits, and changes an exit code of 0 to 1.
// If stdout is a pipe that its reader has closed, the program exits silently with code 141. Calls `on_broken_pipe` when a write first fails
// because the reader has closed the pipe. Returns false when memory runs out.
bool streams_open(void (*on_broken_pipe)(void));

// Flushes stdout, and returns whether any write to stdout has failed.
bool streams_failed(void);

#endif
