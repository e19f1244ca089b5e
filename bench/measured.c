// SPDX-License-Identifier: MIT
// Usage: measured COMMAND...; prints its seconds from start to end and its peak resident memory in KiB. Discards the command's output.
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
  struct rusage used;
  int status;
  if (count < 2) return 2;
  double begin = now();
  pid_t child = fork();
  if (child == 0) {
    if (dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO) >= 0) execvp(arguments[1], arguments + 1);
    perror(arguments[1]);
    _exit(127);
  }
  if (child < 0 || wait4(child, &status, 0, &used) != child) return perror("measured"), 1;
  printf("%.4f %ld\n", now() - begin, used.ru_maxrss);
  return status != 0;
}
