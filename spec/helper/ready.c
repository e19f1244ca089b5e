// SPDX-License-Identifier: MIT
// Loading its two hundred libraries takes most of the time of a start of ffmpeg. Preloaded into ffmpeg, this waits at main() for commands
// (ready.h), and forks for each:
//
//   cc -shared -fPIC ready.c -o ready.so; LD_PRELOAD=$PWD/ready.so OMNI_READY=SOCKET ffmpeg
//
// A command dies when its connection is closed.
#define _GNU_SOURCE
#include "ready.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*main_function)(int, char **, char **);
typedef int (*start_function)(main_function, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

static main_function real_main;
static struct {
  pid_t process;
  int connection;
} running[1024];

// Ends the process without the destructors of its libraries, which take as long as a small command.
static void leave(int status, void *unused) {
  (void)unused;
  fflush(NULL);
  _exit(status);
}

// Carries out the command that comes over a connection, in a process of its own. Returns its exit code.
static int obey(int connection) {
  ready_request request;
  int files[4];
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof files)];
  } control;
  struct iovec part = {&request, sizeof request};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL) != sizeof request) return 127;
  memcpy(files, CMSG_DATA(&control.header), sizeof files);
  char *all = malloc(request.length + 1);
  if (!all || recv(connection, all, request.length, MSG_WAITALL) != (ssize_t)request.length) return 127;

  // The kernel kills this process when the other end of the connection is closed.
  fcntl(connection, F_SETSIG, SIGKILL);
  fcntl(connection, F_SETOWN, getpid());
  fcntl(connection, F_SETFL, O_ASYNC);
  char closed;
  if (recv(connection, &closed, 1, MSG_DONTWAIT | MSG_PEEK) == 0) return 127; // it was closed before

  size_t count = 0;
  for (size_t i = 0; i < request.length; i++) count += all[i] == '\0';
  char **words = calloc(count + 2, sizeof *words), *next = all;
  if (!words) return 127;
  for (size_t i = 0; i < count; i++, next += strlen(next) + 1) words[i < (size_t)request.words ? i : i + 1] = next;
  environ = words + request.words + 1;
  for (int i = 0; i < 3; i++) dup2(files[i], i);
  if (fchdir(files[3]) != 0) return 127;
  for (int i = 0; i < 4; i++) close(files[i]);
  for (int i = 0; i < READY_LIMITS; i++) setrlimit(i, &request.limits[i]);
  umask(request.mask);
  on_exit(leave, NULL);
  return real_main(request.words, words, environ);
}

static void on_end(int number) {
  (void)number;
}

static void reap(void) {
  int status;
  for (pid_t process; (process = waitpid(-1, &status, WNOHANG)) > 0;) {
    for (size_t i = 0; i < sizeof running / sizeof *running; i++) {
      if (running[i].process != process) continue;
      send(running[i].connection, &status, sizeof status, MSG_NOSIGNAL);
      close(running[i].connection);
      running[i].process = 0;
    }
  }
}

static int wait_for_commands(int count, char **words, char **variables) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *path = getenv("OMNI_READY");
  if (!path || strlen(path) >= sizeof address.sun_path) return real_main(count, words, variables);
  strcpy(address.sun_path, path);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0) return 1;
  sigset_t ends, before;
  sigemptyset(&ends);
  sigaddset(&ends, SIGCHLD);
  sigprocmask(SIG_BLOCK, &ends, &before);
  sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_end}, NULL);
  for (;;) {
    fd_set readable;
    FD_ZERO(&readable);
    FD_SET(listener, &readable);
    bool asked = pselect(listener + 1, &readable, NULL, NULL, NULL, &before) == 1;
    reap();
    size_t place = 0;
    while (place < sizeof running / sizeof *running && running[place].process) place++;
    if (!asked || place == sizeof running / sizeof *running) continue;
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0) continue;
    pid_t process = fork();
    if (process == 0) {
      signal(SIGCHLD, SIG_DFL);
      sigprocmask(SIG_SETMASK, &before, NULL);
      close(listener);
      for (size_t i = 0; i < sizeof running / sizeof *running; i++)
        if (running[i].process) close(running[i].connection);
      return obey(connection);
    }
    if (process < 0) close(connection);
    else running[place].process = process, running[place].connection = connection;
  }
}

int __libc_start_main(main_function given, int count, char **words, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end);
int __libc_start_main(main_function given, int count, char **words, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void),
                      void *stack_end) {
  start_function start = (start_function)dlsym(RTLD_NEXT, "__libc_start_main");
  real_main = given;
  return start(wait_for_commands, count, words, init, fini, rtld_fini, stack_end);
}
