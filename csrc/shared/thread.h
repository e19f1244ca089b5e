// SPDX-License-Identifier: MIT
// Starts threads for the C modules.
#ifndef OMNI_THREAD_H
#define OMNI_THREAD_H

#include <pthread.h>

// Starts a thread that receives no signals: only the thread that runs Lua handles them. The caller joins or detaches the thread. Returns 0
// or an errno.
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
