// SPDX-License-Identifier: MIT
// Computes the SHA-256 of strings and files. A thread reads the file, since the file can be large and the disk slow.
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core_parts.h"
#include "shared/argument.h"
#include "shared/class.h"
#include "shared/descriptor.h"
#include "shared/field.h"
#include "shared/file.h"
#include "shared/thread.h"

#define DIGEST "omni.digest"

enum { CHUNK = 256 << 10, SHA256_SIZE = 32, MAX_BYTES = 64 };

typedef unsigned char sum[SHA256_SIZE];

static void push_hex(lua_State *L, const unsigned char *bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  char text[2 * MAX_BYTES];
  for (size_t i = 0; i < count; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  lua_pushlstring(L, text, 2 * count);
}

// sha256(text) → 64 hexadecimal digits
static int sha256(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  sum bytes;
  if (!EVP_Digest(text, length, bytes, NULL, EVP_sha256(), NULL)) return luaL_error(L, "SHA-256: not enough memory");
  push_hex(L, bytes, sizeof bytes);
  return 1;
}

// --- a file

enum { READING, DONE, STOPPED };

typedef struct {
  int fd, wake; // `fd`: the file; `wake`: an eventfd that the thread writes to when it ends; both are -1 once the digest is closed
  pthread_t thread;
  bool syncs;       // whether the thread also waits until the file is on disk
  bool running;     // whether the thread has been started and not yet joined
  atomic_int state; // READING: the thread is reading; STOPPED: Lua has closed the digest; DONE: the fields below are complete
  struct stat info; // the result of fstat when the file was opened
  bool synced;
  const char *problem;
  int error; // why there is no digest: an errno value, or 0 if `problem` contains the reason
  sum bytes;
} job;

static bool same_stamp(const struct stat *a, const struct stat *b) {
  char one[FILE_STAMP_SIZE], other[FILE_STAMP_SIZE];
  file_stamp(a, one);
  file_stamp(b, other);
  return strcmp(one, other) == 0;
}

// Computes the file's digest; on failure, sets `error` or `problem`.
static void read_all(job *j, EVP_MD_CTX *context, char *chunk) {
  struct stat after;
  off_t size = 0;
  while (atomic_load(&j->state) == READING) {
    ssize_t got = read(j->fd, chunk, CHUNK);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      j->error = errno;
      return;
    }
    if (got == 0) break;
    size += got;
    if (size > j->info.st_size) break; // stops, since another program is appending to the file, perhaps as fast as this loop reads the file
    EVP_DigestUpdate(context, chunk, (size_t)got);
  }
  if (fstat(j->fd, &after) != 0) j->error = errno;
  else if (size != j->info.st_size || !same_stamp(&j->info, &after)) j->problem = "the file changed while it was read";
  else if (!EVP_DigestFinal_ex(context, j->bytes, NULL)) j->error = ENOMEM;
  // Ignores the errors that file systems return if they can't sync files.
  else if (j->syncs) j->synced = fsync(j->fd) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
}

static void *work(void *argument) {
  job *j = argument;
  char *chunk = malloc(CHUNK);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (chunk && context && EVP_DigestInit_ex(context, EVP_sha256(), NULL)) read_all(j, context, chunk);
  else j->error = ENOMEM;
  EVP_MD_CTX_free(context);
  free(chunk);
  int expected = READING;
  atomic_compare_exchange_strong(&j->state, &expected, DONE);
  eventfd_write(j->wake, 1);
  return NULL;
}

static void release(job *j) {
  int expected = READING;
  atomic_compare_exchange_strong(&j->state, &expected, STOPPED);
  if (j->running) pthread_join(j->thread, NULL);
  j->running = false;
  if (j->fd >= 0) close(j->fd);
  if (j->wake >= 0) close(j->wake);
  j->fd = j->wake = -1;
}

// Opens the file. On failure, sets `problem` and returns false.
static bool open_file(job *j, const char *path) {
  j->fd = file_open(path, O_RDONLY, 0, &j->info);
  if (j->fd < 0) j->problem = file_problem(errno);
  return j->fd >= 0;
}

// Starts the thread. On failure, sets `error` and returns false.
static bool start(job *j) {
  int error = 0;
  posix_fadvise(j->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  if ((j->wake = descriptor_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) >= 0) {
    error = thread_start(&j->thread, work, j);
    j->running = error == 0;
  } else {
    error = errno;
  }
  if (error) j->error = error; // sets `error` only if the thread couldn't be started, since a running thread sets `error` itself
  return j->running;
}

// --- Lua functions

static int push_problem(lua_State *L, const job *j) {
  lua_pushnil(L);
  lua_pushstring(L, j->problem ? j->problem : strerror(j->error));
  return 2;
}

// digest(path, sync) → job | nil, message
static int make(lua_State *L) {
  const char *path = argument_text(L, 1);
  bool syncs = lua_toboolean(L, 2);
  job *j = memset(lua_newuserdatauv(L, sizeof *j, 0), 0, sizeof *j);
  j->fd = j->wake = -1;
  j->syncs = syncs;
  luaL_setmetatable(L, DIGEST);
  if (open_file(j, path) && start(j)) return 1;
  release(j);
  return push_problem(L, j);
}

static job *check(lua_State *L) {
  return luaL_checkudata(L, 1, DIGEST);
}

static job *check_open(lua_State *L) {
  job *j = check(L);
  if (j->wake < 0) luaL_error(L, "the digest is closed");
  return j;
}

static int pollfd(lua_State *L) {
  lua_pushinteger(L, check_open(L)->wake);
  return 1;
}

static int timeout(lua_State *L) {
  check(L);
  lua_pushnil(L);
  return 1;
}

static int step(lua_State *L) {
  job *j = check_open(L);
  eventfd_t ignored;
  eventfd_read(j->wake, &ignored);
  lua_pushboolean(L, atomic_load(&j->state) == DONE);
  return 1;
}

// job:result() → { sha256=, size=, stamp=, synced= } | nil, message; returns just nil while the thread reads
static int result(lua_State *L) {
  job *j = check_open(L);
  if (atomic_load(&j->state) != DONE) return lua_pushnil(L), 1;
  if (j->error || j->problem) return push_problem(L, j);
  lua_createtable(L, 0, 4);
  if (j->syncs) {
    lua_pushboolean(L, j->synced);
    lua_setfield(L, -2, "synced");
  }
  push_hex(L, j->bytes, sizeof j->bytes);
  lua_setfield(L, -2, "sha256");
  field_set_integer(L, "size", (lua_Integer)j->info.st_size);
  char stamp[FILE_STAMP_SIZE];
  file_stamp(&j->info, stamp);
  field_set_string(L, "stamp", stamp);
  return 1;
}

static int close_it(lua_State *L) {
  release(check(L));
  return 0;
}

static const luaL_Reg methods[] = {{"pollfd", pollfd}, {"timeout", timeout},  {"step", step},  {"result", result},
                                   {"close", close_it}, {"__close", close_it}, {"__gc", close_it}, {NULL, NULL}};

// token(bytes) → random bytes from the system, as hexadecimal digits
static int token(lua_State *L) {
  unsigned char bytes[MAX_BYTES];
  lua_Integer count = luaL_checkinteger(L, 1);
  luaL_argcheck(L, count >= 1 && count <= (lua_Integer)sizeof bytes, 1, "must be 1 to 64");
  // tells gcc the largest possible value, because gcc doesn't know that luaL_argcheck doesn't return
  size_t wanted = (size_t)count & (2 * MAX_BYTES - 1);
  if (wanted > sizeof bytes || getrandom(bytes, wanted, 0) != (ssize_t)wanted) return luaL_error(L, "the system has no random bytes");
  push_hex(L, bytes, wanted);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return 1;
}

void digest_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"sha256", sha256}, {"digest", make}, {"token", token}, {NULL, NULL}};
  class_add(L, DIGEST, methods);
  luaL_setfuncs(L, functions, 0);
}
