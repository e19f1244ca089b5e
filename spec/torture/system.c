// SPDX-License-Identifier: MIT
// The system calls of libc. Each fails with one of its usual errors when it is the failing call's turn, or reads or writes only a part.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

#define NEXT(type, name) \
  static type next; \
  if (!next) next = (type)fault_next(name);
#define ERRORS(...) static const int errors[] = {__VA_ARGS__, 0};

// Fails with one of the function's errors, if it is its turn.
#define MAY_FAIL(name, failed) \
  do { \
    int error_ = fault_system(name, CALLER, errors); \
    if (error_) { \
      errno = error_; \
      return failed; \
    } \
  } while (0)

// The same for a function that may transfer less than `length` bytes.
#define MAY_STOP(name, length) \
  do { \
    int error_ = fault_system(name, CALLER, errors); \
    if (error_ == FAULT_SHORT && (length) > 1) (length) = ((length) + 1) / 2; \
    else if (error_) { \
      errno = error_ == FAULT_SHORT ? EINTR : error_; \
      return -1; \
    } \
  } while (0)

// A function whose arguments are passed on.
#define PLAIN(result, name, failed, parameters, arguments, ...) \
  EXPORT result name parameters { \
    typedef result (*type) parameters; \
    NEXT(type, #name) \
    ERRORS(__VA_ARGS__) \
    MAY_FAIL(#name, failed); \
    return next arguments; \
  }

// The same for a function that changes the names of files; `note` records the change.
#define NOTED(result, name, parameters, arguments, note, ...) \
  EXPORT result name parameters { \
    typedef result (*type) parameters; \
    NEXT(type, #name) \
    ERRORS(__VA_ARGS__) \
    MAY_FAIL(#name, -1); \
    result done = next arguments; \
    if (done == 0) note; \
    return done; \
  }

static bool is_file(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

// --- a file whose fsync failed

// Linux marks the pages of a file as clean when fsync fails, so a later fsync may succeed although the bytes aren't on disk.
enum { MOST_DOUBTED = 64 };
static struct {
  dev_t device;
  ino_t inode;
} doubted[MOST_DOUBTED];
static int doubted_count;

static int find_doubted(const struct stat *info) {
  for (int i = 0; i < doubted_count; i++)
    if (doubted[i].device == info->st_dev && doubted[i].inode == info->st_ino) return i;
  return -1;
}

static void doubt(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || doubted_count == MOST_DOUBTED || find_doubted(&info) >= 0) return;
  doubted[doubted_count].device = info.st_dev;
  doubted[doubted_count++].inode = info.st_ino;
}

static void trust(int fd) {
  struct stat info;
  int at = fstat(fd, &info) == 0 ? find_doubted(&info) : -1;
  if (at >= 0) doubted[at] = doubted[--doubted_count];
}

static void check_trusted(const char *path) {
  struct stat info;
  if (doubted_count > 0 && stat(path, &info) == 0 && find_doubted(&info) >= 0) fault_violation("a file whose fsync failed gets its final name");
}

static int sync_call(const char *name, int (*next)(int), const void *caller, int fd) {
  ERRORS(EIO, ENOSPC, EDQUOT, EINTR)
  int error = fault_system(name, caller, errors);
  if (!error) {
    int done = next(fd);
    record_sync(fd, done == 0);
    return done;
  }
  doubt(fd);
  record_sync(fd, false);
  errno = error;
  return -1;
}

typedef int (*sync_type)(int);

EXPORT int fsync(int fd) {
  NEXT(sync_type, "fsync")
  return sync_call("fsync", next, CALLER, fd);
}

EXPORT int fdatasync(int fd) {
  NEXT(sync_type, "fdatasync")
  return sync_call("fdatasync", next, CALLER, fd);
}

typedef int (*truncate_type)(int, off_t);

EXPORT int ftruncate(int fd, off_t length) {
  NEXT(truncate_type, "ftruncate")
  ERRORS(EIO, ENOSPC, EINTR)
  MAY_FAIL("ftruncate", -1);
  if (length == 0) trust(fd);
  int done = next(fd, length);
  if (done == 0) record_size(fd, length);
  return done;
}

EXPORT int ftruncate64(int fd, off_t length) __attribute__((alias("ftruncate")));

typedef int (*rename_type)(const char *, const char *);

EXPORT int rename(const char *from, const char *to) {
  NEXT(rename_type, "rename")
  ERRORS(EIO, ENOSPC, EDQUOT)
  MAY_FAIL("rename", -1);
  check_trusted(from);
  int done = next(from, to);
  if (done == 0) record_names(from, to, false);
  return done;
}

typedef int (*renameat2_type)(int, const char *, int, const char *, unsigned);

EXPORT int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
  NEXT(renameat2_type, "renameat2")
  ERRORS(EIO, EINVAL, ENOSPC)
  MAY_FAIL("renameat2", -1);
  check_trusted(from);
  int done = next(from_folder, from, to_folder, to, flags);
  if (done == 0) record_names(from, to, false);
  return done;
}

// --- files

typedef int (*open_type)(const char *, int, ...);

#define OPEN(name) \
  EXPORT int name(const char *path, int flags, ...) { \
    NEXT(open_type, #name) \
    ERRORS(EMFILE, EIO, ENFILE, ENOSPC) \
    va_list arguments; \
    va_start(arguments, flags); \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0; \
    va_end(arguments); \
    MAY_FAIL(#name, -1); \
    bool existed = !(flags & O_CREAT) || record_exists(path); \
    int fd = next(path, flags, mode); \
    if (fd >= 0 && !existed) record_created(path); \
    else if (fd >= 0 && flags & O_TRUNC) record_size(fd, 0); \
    return fd; \
  }

OPEN(open)
OPEN(open64)

// Counts only the calls on files: writing to a pipe or an eventfd fails otherwise.
#define TRANSFER(name, pointer, parameters, arguments, ...) \
  EXPORT ssize_t name parameters { \
    typedef ssize_t (*type) parameters; \
    NEXT(type, #name) \
    ERRORS(__VA_ARGS__) \
    if (is_file(fd)) MAY_STOP(#name, length); \
    return next arguments; \
  }

TRANSFER(read, void, (int fd, void *bytes, size_t length), (fd, bytes, length), EIO, FAULT_SHORT, EINTR)
TRANSFER(pread, void, (int fd, void *bytes, size_t length, off_t at), (fd, bytes, length, at), EIO, FAULT_SHORT, EINTR)
TRANSFER(pread64, void, (int fd, void *bytes, size_t length, off_t at), (fd, bytes, length, at), EIO, FAULT_SHORT, EINTR)

#define WRITES(name, parameters, arguments, at, ...) \
  EXPORT ssize_t name parameters { \
    typedef ssize_t (*type) parameters; \
    NEXT(type, #name) \
    ERRORS(__VA_ARGS__) \
    if (!is_file(fd)) return next arguments; \
    MAY_STOP(#name, length); \
    ssize_t done = next arguments; \
    record_write(fd, bytes, done, at); \
    return done; \
  }

WRITES(write, (int fd, const void *bytes, size_t length), (fd, bytes, length), -1, ENOSPC, FAULT_SHORT, EIO, EINTR)
WRITES(pwrite, (int fd, const void *bytes, size_t length, off_t at), (fd, bytes, length, at), at, ENOSPC, FAULT_SHORT, EIO, EDQUOT)
WRITES(pwrite64, (int fd, const void *bytes, size_t length, off_t at), (fd, bytes, length, at), at, ENOSPC, FAULT_SHORT, EIO, EDQUOT)

NOTED(int, link, (const char *from, const char *to), (from, to), record_names(from, to, true), EIO, EPERM, ENOSPC)
NOTED(int, unlink, (const char *path), (path), record_removed(path), EIO, EROFS)
NOTED(int, mkdir, (const char *path, mode_t mode), (path, mode), record_created(path), EIO, ENOSPC, EDQUOT)
NOTED(int, mknod, (const char *path, mode_t mode, dev_t device), (path, mode, device), record_created(path), EIO, ENOSPC, EDQUOT)
PLAIN(int, chmod, -1, (const char *path, mode_t mode), (path, mode), EIO, EPERM)
PLAIN(int, fchmod, -1, (int fd, mode_t mode), (fd, mode), EIO, EPERM)
PLAIN(int, flock, -1, (int fd, int what), (fd, what), ENOLCK, EINTR)

#define FOPEN(name) \
  EXPORT FILE *name(const char *path, const char *mode) { \
    typedef FILE *(*type)(const char *, const char *); \
    NEXT(type, #name) \
    ERRORS(EMFILE, EIO, ENOSPC) \
    MAY_FAIL(#name, NULL); \
    bool existed = *mode == 'r' || record_exists(path); \
    FILE *file = next(path, mode); \
    if (file && !existed) record_created(path); \
    return file; \
  }

FOPEN(fopen)
FOPEN(fopen64)

PLAIN(DIR *, opendir, NULL, (const char *path), (path), EMFILE, EIO)
PLAIN(size_t, fwrite, 0, (const void *bytes, size_t size, size_t count, FILE *file), (bytes, size, count, file), ENOSPC, EIO)

EXPORT int fflush(FILE *file) {
  typedef int (*type)(FILE *);
  NEXT(type, "fflush")
  ERRORS(ENOSPC, EIO)
  MAY_FAIL("fflush", EOF);
  int done = next(file);
  if (file) record_content(fileno(file));
  return done;
}

typedef int (*fclose_type)(FILE *);

EXPORT int fclose(FILE *file) {
  NEXT(fclose_type, "fclose")
  ERRORS(ENOSPC, EIO)
  int error = fault_system("fclose", CALLER, errors);
  if (record_is_on() && __fwritable(file)) {
    ((int (*)(FILE *))fault_next("fflush"))(file);
    record_content(fileno(file));
  }
  int result = next(file);
  if (!error) return result;
  errno = error;
  return EOF;
}

typedef int (*fcntl_type)(int, int, ...);

static int control(const char *name, fcntl_type next, const void *caller, int fd, int what, void *argument) {
  static const int of_locks[] = {ENOLCK, EIO, 0}, of_copies[] = {EMFILE, 0};
  bool locks = what == F_SETLK || what == F_OFD_SETLK || what == F_GETLK || what == F_OFD_GETLK;
  if (locks && ((struct flock *)argument)->l_type == F_UNLCK) locks = false; // giving a lock back doesn't fail
  int error = locks || what == F_DUPFD_CLOEXEC ? fault_system(name, caller, locks ? of_locks : of_copies) : 0;
  if (!error) return next(fd, what, argument);
  errno = error;
  return -1;
}

#define FCNTL(name) \
  EXPORT int name(int fd, int what, ...) { \
    NEXT(fcntl_type, #name) \
    va_list arguments; \
    va_start(arguments, what); \
    void *argument = va_arg(arguments, void *); \
    va_end(arguments); \
    return control(#name, next, CALLER, fd, what, argument); \
  }

FCNTL(fcntl)
FCNTL(fcntl64)

typedef void *(*mmap_type)(void *, size_t, int, int, int, off_t);

#define MMAP(name) \
  EXPORT void *name(void *at, size_t length, int protection, int flags, int fd, off_t offset) { \
    NEXT(mmap_type, #name) \
    ERRORS(ENOMEM, EIO) \
    if (fd >= 0) MAY_FAIL(#name, MAP_FAILED); \
    return next(at, length, protection, flags, fd, offset); \
  }

MMAP(mmap)
MMAP(mmap64)

// --- processes, threads and descriptors

PLAIN(pid_t, fork, -1, (void), (), EAGAIN, ENOMEM)
PLAIN(pid_t, waitpid, -1, (pid_t pid, int *status, int options), (pid, status, options), EINTR)
PLAIN(int, pipe2, -1, (int ends[2], int flags), (ends, flags), EMFILE, ENFILE)
PLAIN(int, pipe, -1, (int ends[2]), (ends), EMFILE, ENFILE)
PLAIN(int, eventfd, -1, (unsigned value, int flags), (value, flags), EMFILE, ENFILE, ENOMEM)
PLAIN(int, epoll_create1, -1, (int flags), (flags), EMFILE, ENFILE, ENOMEM)
PLAIN(int, epoll_wait, -1, (int set, struct epoll_event *events, int room, int time), (set, events, room, time), EINTR)
PLAIN(int, poll, -1, (struct pollfd *fds, nfds_t count, int time), (fds, count, time), EINTR)
PLAIN(ssize_t, getrandom, -1, (void *bytes, size_t length, unsigned flags), (bytes, length, flags), EINTR)

typedef int (*epoll_ctl_type)(int, int, int, struct epoll_event *);

EXPORT int epoll_ctl(int set, int what, int fd, struct epoll_event *event) {
  NEXT(epoll_ctl_type, "epoll_ctl")
  ERRORS(ENOMEM)
  if (what == EPOLL_CTL_ADD) MAY_FAIL("epoll_ctl", -1);
  return next(set, what, fd, event);
}

typedef int (*create_type)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *settings, void *(*run)(void *), void *argument) {
  NEXT(create_type, "pthread_create")
  ERRORS(EAGAIN)
  MAY_FAIL("pthread_create", EAGAIN);
  return next(thread, settings, run, argument);
}

// --- sockets

PLAIN(int, socket, -1, (int family, int type_, int protocol), (family, type_, protocol), EMFILE, ENFILE, ENOBUFS)
PLAIN(int, socketpair, -1, (int family, int type_, int protocol, int ends[2]), (family, type_, protocol, ends), EMFILE, ENFILE)
PLAIN(int, connect, -1, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), ECONNREFUSED, ENETUNREACH, ETIMEDOUT)
PLAIN(int, bind, -1, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size), EADDRINUSE, EACCES)
PLAIN(int, listen, -1, (int fd, int backlog), (fd, backlog), EADDRINUSE)
PLAIN(int, accept, -1, (int fd, struct sockaddr *from, socklen_t *size), (fd, from, size), EMFILE, ECONNABORTED, EINTR)
PLAIN(int, accept4, -1, (int fd, struct sockaddr *from, socklen_t *size, int flags), (fd, from, size, flags), EMFILE, ECONNABORTED, EINTR)
PLAIN(ssize_t, recv, -1, (int fd, void *bytes, size_t length, int flags), (fd, bytes, length, flags), ECONNRESET, EINTR)

EXPORT ssize_t send(int fd, const void *bytes, size_t length, int flags) {
  typedef ssize_t (*type)(int, const void *, size_t, int);
  NEXT(type, "send")
  ERRORS(ECONNRESET, FAULT_SHORT, EINTR, EPIPE)
  MAY_STOP("send", length);
  return next(fd, bytes, length, flags);
}
