// SPDX-License-Identifier: MIT
// Starts threads for the C modules.
#ifndef OMNI_THREAD_H
#define OMNI_THREAD_H

#include <pthread.h>

// Starts a thread that receives no signals, since only the thread that runs Lua handles signals. The caller must join or detach the thread.
// Returns 0 or an errno value.
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
