// SPDX-License-Identifier: MIT
// stdin, stdout and stderr that work on descriptors of any kind, and remember whether all was written.
#ifndef OMNI_HOST_STREAMS_H
#define OMNI_HOST_STREAMS_H

#include <stdbool.h>

// Replaces stdin, stdout and stderr by streams that wait where the descriptor is non-blocking (it may be shared with a program
// that wants it so), and has every exit of the program report what could not be written to stdout: an exit code that would
// be 0 becomes 1, with a message on stderr; 141, silently, when nobody reads the pipe any more. `on_broken_pipe` is called when
// that is first noticed. False when there is no memory.
bool streams_open(void (*on_broken_pipe)(void));

// Whether something could not be written to stdout, after all that is still buffered was tried.
bool streams_failed(void);

#endif
