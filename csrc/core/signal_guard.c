// SPDX-License-Identifier: MIT
#include "core/signal_guard.h"

#include <time.h>

#include "shared/thread.h"

void signal_guard_begin(signal_guard *guard) {
  thread_block_signals(&guard->before);
}

void signal_guard_end(const signal_guard *guard) {
  static const int ours[] = {SIGPIPE, SIGXFSZ};
  const struct timespec at_once = {0, 0};
  sigset_t raised;
  sigemptyset(&raised);
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    // doesn't discard a signal that the program had already blocked, since the program may be waiting for that signal
    if (!sigismember(&guard->before, ours[i])) sigaddset(&raised, ours[i]);
  while (sigtimedwait(&raised, NULL, &at_once) > 0) {}
  pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
