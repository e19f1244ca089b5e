// SPDX-License-Identifier: MIT
// Stands in PATH in front of ffmpeg and ffprobe while specs run (helper/run). Starting one of them takes 0.3 seconds of CPU time, and
// specs run the same command on the same clips hundreds of times. So a command that succeeded without a message is remembered: the next
// time, the result of the same arguments on files with the same bytes is copied. Whatever else happens, the real program does.
//
//   cc -DPROGRAMS='"/usr/bin"' -DMEMORY='"/tmp/folder"' remember.c    what is remembered goes with the folder
//
// The real program needn't start anew, either: a process of it that has loaded its libraries, and waits in ready.c, forks.
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ready.h"

typedef struct {
  char *bytes;
  size_t length;
} text;

// What is remembered of a command: a file of these lengths, then what it wrote to stdout, then the file that it made.
typedef struct {
  size_t said, made;
} header;

static unsigned __int128 key; // FNV-1a of all that the result depends on

static void depend(const void *bytes, size_t length) {
  const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13B;
  for (size_t i = 0; i < length; i++) key = (key ^ ((const unsigned char *)bytes)[i]) * prime;
}

static void depend_on_word(const char *word) {
  depend(word, strlen(word) + 1);
}

static bool append(text *t, const char *bytes, size_t length) {
  char *more = realloc(t->bytes, t->length + length + 1);
  if (!more) return false;
  memcpy(more + t->length, bytes, length);
  *t = (text){more, t->length + length};
  more[t->length] = '\0';
  return true;
}

static bool read_file(const char *path, text *t) {
  char buffer[65536];
  ssize_t count = -1;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  *t = (text){NULL, 0};
  bool fine = fd >= 0 && append(t, "", 0);
  while (fine && (count = read(fd, buffer, sizeof buffer)) > 0) fine = append(t, buffer, (size_t)count);
  if (fd >= 0) close(fd);
  return fine && count == 0;
}

static bool write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = write(fd, bytes, length);
    if (count < 0) return false;
    bytes += count;
    length -= (size_t)count;
  }
  return true;
}

static const char *path_of(const char *word) {
  return strncmp(word, "file:", 5) == 0 ? word + 5 : word;
}

static bool is_temporary(const char *word) {
  const char *folder = getenv("TMPDIR");
  return strstr(word, "/tmp/") || strstr(word, "/dev/shm/") || (folder && *folder && strstr(word, folder));
}

static bool depend_on_file(const char *word);

// A list of the concat demuxer: what its files contain matters, and not where they are.
static bool depend_on_list(char *list) {
  for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
    char *end = strrchr(line, '\'');
    if (strncmp(line, "file '", 6) != 0) {
      if (is_temporary(line)) return false;
      depend_on_word(line);
    } else {
      if (strchr(line, '\\') || end < line + 6) return false;
      *end = '\0';
      if (!depend_on_file(line + 6)) return false;
    }
  }
  return true;
}

static bool depend_on_file(const char *word) {
  const char *path = path_of(word), *ending = strrchr(path, '.');
  text content;
  bool fine = read_file(path, &content);
  depend_on_word(ending && !strchr(ending, '/') ? ending : "");
  if (fine && strncmp(content.bytes, "ffconcat", 8) == 0) {
    fine = depend_on_list(content.bytes);
  } else if (fine) {
    depend(&content.length, sizeof content.length);
    depend(content.bytes, content.length);
  }
  free(content.bytes);
  return fine;
}

static bool is_regular(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

// Finds the key, and the file that the command writes (NULL if it writes none). Returns false if it isn't known what the result depends on.
static bool understand(int count, char **words, const char *program, const char **output) {
  struct stat info;
  bool probes = strcmp(program, "ffprobe") == 0, reads = probes, replaces = false;
  *output = NULL;
  if (getenv("FFREPORT")) return false;
  const int limits[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_NOFILE};
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    struct rlimit limit = {0, 0};
    getrlimit(limits[i], &limit);
    depend(&limit.rlim_cur, sizeof limit.rlim_cur);
  }
  depend_on_word(program);
  for (int i = 1; i < count; i++) {
    const char *word = words[i];
    bool is_input = strcmp(words[i - 1], "-i") == 0 || (probes && i == count - 1);
    if (strcmp(words[i - 1], "-i") == 0) reads = true;
    if (strcmp(word, "-y") == 0) replaces = true;
    if (is_input && is_regular(path_of(word))) {
      if (!depend_on_file(word)) return false;
    } else if (is_input && (strcmp(word, "-") == 0 || strstr(word, "pipe:"))) {
      return false;
    } else if (!probes && reads && i == count - 1 && *word != '-' && !strstr(word, "pipe:")) {
      *output = path_of(word);
      if (strchr(word, '%') || (stat(*output, &info) == 0 && (!replaces || !S_ISREG(info.st_mode)))) return false;
      const char *ending = strrchr(word, '.');
      depend_on_word(ending && !strchr(ending, '/') ? ending : "");
    } else {
      if (is_temporary(word)) return false;
      depend_on_word(word);
    }
  }
  return true;
}

// Repeats what is remembered, and returns; or does nothing.
static bool repeat(const char *path, const char *output) {
  text all;
  if (!read_file(path, &all) || all.length < sizeof(header)) return free(all.bytes), false;
  header sizes;
  memcpy(&sizes, all.bytes, sizeof sizes);
  const char *said = all.bytes + sizeof sizes;
  if (output) {
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool fine = fd >= 0 && write_all(fd, said + sizes.said, sizes.made);
    if (fd >= 0 && close(fd) != 0) fine = false;
    if (!fine) return free(all.bytes), false;
  }
  bool fine = write_all(STDOUT_FILENO, said, sizes.said);
  free(all.bytes);
  return fine;
}

static void remember(const char *path, text said, const char *output) {
  char fresh[sizeof MEMORY + 64];
  text made = {NULL, 0};
  if (output && !read_file(output, &made)) return;
  header sizes = {said.length, made.length};
  snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid());
  int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return;
  bool fine = write_all(fd, (char *)&sizes, sizeof sizes) && write_all(fd, said.bytes, said.length) && write_all(fd, made.bytes, made.length);
  close(fd);
  if (!fine || rename(fresh, path) != 0) unlink(fresh);
}

// --- the real program

// Has the process that is ready (ready.c) carry out the command, with these files as stdout and stderr. Returns the connection, or -1.
static int ask_ready(int count, char **words, const char *program, int out, int err) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/%s.socket", MEMORY, program);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), folder = open(".", O_PATH | O_CLOEXEC);
  if (fd < 0 || folder < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return close(fd), -1;
  ready_request request = {.words = count, .mask = umask(0)};
  text all = {NULL, 0};
  for (int i = 0; i < count; i++) append(&all, words[i], strlen(words[i]) + 1);
  for (char **variable = environ; *variable; variable++) append(&all, *variable, strlen(*variable) + 1);
  for (int i = 0; i < READY_LIMITS; i++) getrlimit(i, &request.limits[i]);
  request.length = all.length;
  int files[4] = {STDIN_FILENO, out, err, folder};
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof files)];
  } control = {0};
  struct iovec part = {&request, sizeof request};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof files), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(&control.header), files, sizeof files);
  bool sent = sendmsg(fd, &message, MSG_NOSIGNAL) == sizeof request && write_all(fd, all.bytes, all.length);
  close(folder);
  umask(request.mask);
  if (!sent) return close(fd), -1;
  return fd;
}

// Starts the real program, which dies with this one. Returns its process, or 0 and the connection to the process that is ready.
static pid_t start_real(int count, char **words, const char *program, int out, int err, int *connection) {
  *connection = ask_ready(count, words, program, out, err);
  if (*connection >= 0) return 0;
  pid_t own = getpid(), child = fork();
  if (child != 0) return child;
  char real[sizeof PROGRAMS + 32];
  snprintf(real, sizeof real, "%s/%s", PROGRAMS, program);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != own) _exit(1);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  execv(real, words);
  _exit(127);
}

// Returns the wait status.
static int await_real(pid_t child, int connection) {
  int status = -1;
  if (connection >= 0) return read(connection, &status, sizeof status) == sizeof status ? status : -1;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

// Runs the real program and passes on what it writes. Returns its wait status; -1: it can't be run.
static int run_real(int count, char **words, const char *program, text *said, bool *complained) {
  int out[2], err[2], connection;
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return -1;
  pid_t child = start_real(count, words, program, out[1], err[1], &connection);
  if (child < 0) return -1;
  close(out[1]);
  close(err[1]);
  struct pollfd from[] = {{.fd = out[0], .events = POLLIN}, {.fd = err[0], .events = POLLIN}};
  while (from[0].fd >= 0 || from[1].fd >= 0) {
    if (poll(from, 2, -1) < 0) break;
    for (int i = 0; i < 2; i++) {
      char buffer[65536];
      if (from[i].fd < 0 || !from[i].revents) continue;
      ssize_t length = read(from[i].fd, buffer, sizeof buffer);
      if (length <= 0) from[i].fd = -1;
      else if (!write_all(i == 0 ? STDOUT_FILENO : STDERR_FILENO, buffer, (size_t)length)) *complained = true;
      else if (i == 1) *complained = true;
      else if (!append(said, buffer, (size_t)length)) *complained = true;
    }
  }
  return await_real(child, connection);
}

static int end_like(int status) {
  if (status == -1) return 127;
  if (WIFSIGNALED(status)) {
    signal(WTERMSIG(status), SIG_DFL);
    raise(WTERMSIG(status));
  }
  return WEXITSTATUS(status);
}

int main(int count, char **words) {
  const char *slash = strrchr(words[0], '/'), *program = slash ? slash + 1 : words[0], *output;
  char path[sizeof MEMORY + 40];
  text said = {NULL, 0};
  bool complained = false;
  int connection;
  key = ((unsigned __int128)0x6C62272E07BB0142 << 64) + 0x62B821756295C58D;
  if (!understand(count, words, program, &output)) {
    pid_t child = start_real(count, words, program, STDOUT_FILENO, STDERR_FILENO, &connection);
    return child < 0 ? 127 : end_like(await_real(child, connection));
  }
  snprintf(path, sizeof path, "%s/%016llx%016llx", MEMORY, (unsigned long long)(key >> 64), (unsigned long long)key);
  if (repeat(path, output)) return 0;
  int status = run_real(count, words, program, &said, &complained);
  bool told_places = said.bytes && is_temporary(said.bytes);
  if (status == 0 && !complained && !told_places) remember(path, said, output);
  return end_like(status);
}
