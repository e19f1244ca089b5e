// SPDX-License-Identifier: MIT
// Starts a program without a shell, or runs a function in a child process. Uses fork and exec, since posix_spawn can't set the parent-death
// signal and can't close unknown descriptors. The child reports failures through a close-on-exec pipe.
#include "core/process_start.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "shared/descriptor.h"

extern char **environ;

// Makes the kernel kill this child process when the parent thread that started it ends.
static void die_with(pid_t parent) {
#ifdef PR_SET_PDEATHSIG
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
#else
  (void)parent;
#endif
}

// Closes all descriptors from 3 upwards, either at exec or immediately. Lua's io.open and many libraries open descriptors that aren't
// close-on-exec, unlike omni's own descriptors.
static void close_others(bool at_exec) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, 3U, ~0U, at_exec ? 4U /* CLOSE_RANGE_CLOEXEC */ : 0U) == 0) return;
#endif
  long all = sysconf(_SC_OPEN_MAX);
  if (all < 0 || all > 65536) all = 65536;
  for (int fd = 3; fd < all; fd++) {
    if (at_exec) fcntl(fd, F_SETFD, FD_CLOEXEC);
    else close(fd);
  }
}

// Makes allocations beyond this number of bytes fail. If a lower limit is already set, keeps that limit.
static void limit_memory(size_t bytes) {
  struct rlimit limit;
  if (bytes == 0 || getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur <= bytes) return;
  limit.rlim_cur = bytes;
  setrlimit(RLIMIT_AS, &limit);
}

// Runs in the child with all signals blocked. Calls only async-signal-safe functions, since another thread may have held a lock during the
// fork.
_Noreturn static void become(const start_request *what, int report, pid_t parent) {
  struct sigaction normal = {.sa_handler = SIG_DFL};
  for (int i = 1; i < NSIG; i++) sigaction(i, &normal, NULL);
  setpgid(0, 0); // creates a process group, so that one signal kills the program with all its children, and Ctrl-C reaches only omni
  die_with(parent);
  int null = open("/dev/null", O_RDWR);
  dup2(null, 0);
  if (what->out != INHERIT) dup2(what->out == TO_NULL ? null : what->out, 1);
  if (what->err != INHERIT) dup2(what->err == TO_NULL ? null : what->err, 2);
  close_others(!what->inside); // also closes `report`, so that the parent stops waiting
  limit_memory(what->max_memory);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (what->inside) _exit(what->inside(what->argument));
  start_failure failure = {.in_directory = what->directory && chdir(what->directory) != 0};
  if (!failure.in_directory) {
    environ = what->environment;
    execvp(what->argv[0], what->argv);
  }
  failure.error = errno;
  while (write(report, &failure, sizeof failure) < 0 && errno == EINTR) {}
  _exit(127);
}

start_failure process_start(const start_request *what, pid_t *pid) {
  start_failure failure = {.error = 0};
  int report[2];
  if (!process_pipe(report)) return (start_failure){.error = errno};
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); // prevents the parent's signal handlers from running in the child
  pid_t parent = getpid(), child = fork();
  if (child == 0) become(what, report[1], parent);
  if (child < 0) failure.error = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  close(report[1]);
  if (child > 0) {
    // read returns once exec has closed the child's end of the pipe, or the child has reported a failure
    while (read(report[0], &failure, sizeof failure) < 0 && errno == EINTR) {}
    if (failure.error == 0) *pid = child;
    else while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
  }
  close(report[0]);
  return failure;
}

bool process_pipe(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  for (int i = 0; i < 2; i++) {
    if ((ends[i] = descriptor_raise(ends[i])) >= 0) continue;
    descriptor_close(ends[1 - i]);
    return false;
  }
  return true;
}
