// SPDX-License-Identifier: MIT
// Starts threads, and blocks signals, for the C modules.
#ifndef OMNI_THREAD_H
#define OMNI_THREAD_H

#include <pthread.h>
#include <signal.h>

// Blocks signals for this thread, except those that report a crash, such as SIGSEGV. If a crash signal were blocked, the kernel would end
// the program without running the program's own crash handler. Stores the previous signal mask in `before`.
void thread_block_signals(sigset_t *before);

// Starts a thread that receives no signals, since only the thread that runs Lua handles signals. The caller must join or detach the thread.
// Returns 0 or an errno value.
int thread_start(pthread_t *thread, void *(*run)(void *), void *argument);

#endif
