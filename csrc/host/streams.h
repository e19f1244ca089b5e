// SPDX-License-Identifier: MIT
// stdin, stdout and stderr that also work on non-blocking descriptors, and remember write errors.
#ifndef OMNI_HOST_STREAMS_H
#define OMNI_HOST_STREAMS_H

#include <stdbool.h>

// Replaces stdin, stdout and stderr by streams that wait when a descriptor is non-blocking (another program may share it and need that).
// At exit, if a write to stdout failed, reports it on stderr and changes the exit code 0 to 1. If the reader of the pipe has gone, exits
// silently with 141. Calls `on_broken_pipe` when it first notices that. Returns false without memory.
bool streams_open(void (*on_broken_pipe)(void));

// Flushes stdout. Returns whether any write to it has failed.
bool streams_failed(void);

#endif
