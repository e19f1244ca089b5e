// SPDX-License-Identifier: MIT
// Records what a process does to the files of one folder, so that power_loss.lua can compute which states a power loss may leave.
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

// One operation: fixed fields, then two texts (a path and another path, or bytes).
typedef struct {
  int kind;
  ino_t inode;
  int64_t number; // an offset, a length, or whether a sync succeeded
  size_t first, second;
} operation;

static const char *const kinds[] = {"create", "folder", "write", "size", "sync", "rename", "link", "remove", "mark"};
enum { CREATE, FOLDER, WRITE, SIZE, SYNC, RENAME, LINK, REMOVE, MARK };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *root; // NULL: nothing is recorded
static char *log_bytes;
static size_t log_length, log_room;

static bool is_inside(const char *path) {
  return root && strncmp(path, root, strlen(root)) == 0 && path[strlen(root)] == '/';
}

static void append(const void *bytes, size_t length) {
  if (log_length + length > log_room) {
    log_room = 2 * (log_length + length);
    log_bytes = realloc(log_bytes, log_room);
    if (!log_bytes) abort();
  }
  if (length > 0) memcpy(log_bytes + log_length, bytes, length);
  log_length += length;
}

static void add(operation o, const char *first, const char *second) {
  pthread_mutex_lock(&lock);
  if (root) {
    append(&o, sizeof o);
    append(first, o.first);
    append(second, o.second);
  }
  pthread_mutex_unlock(&lock);
}

static void add_path(int kind, ino_t inode, const char *path, const char *other) {
  add((operation){.kind = kind, .inode = inode, .first = strlen(path), .second = other ? strlen(other) : 0}, path, other);
}

bool record_is_on(void) {
  return root != NULL;
}

bool record_exists(const char *path) {
  struct stat info;
  return !is_inside(path) || lstat(path, &info) == 0;
}

void record_created(const char *path) {
  struct stat info;
  int before = errno;
  if (is_inside(path) && lstat(path, &info) == 0) add_path(S_ISDIR(info.st_mode) ? FOLDER : CREATE, info.st_ino, path, NULL);
  errno = before;
}

void record_names(const char *from, const char *to, bool keeps_from) {
  if (is_inside(from) || is_inside(to)) add_path(keeps_from ? LINK : RENAME, 0, from, to);
}

void record_removed(const char *path) {
  if (is_inside(path)) add_path(REMOVE, 0, path, NULL);
}

// The inode of an open file; power_loss.lua ignores the inodes that it doesn't know.
static bool has_inode(int fd, struct stat *info) {
  int before = errno;
  bool fine = root && fstat(fd, info) == 0 && (S_ISREG(info->st_mode) || S_ISDIR(info->st_mode));
  errno = before;
  return fine;
}

void record_write(int fd, const void *bytes, ssize_t written, int64_t at) {
  struct stat info;
  if (written <= 0 || !has_inode(fd, &info)) return;
  if (at < 0) at = lseek(fd, 0, SEEK_CUR) - written;
  add((operation){.kind = WRITE, .inode = info.st_ino, .number = at, .first = (size_t)written}, bytes, NULL);
}

void record_size(int fd, int64_t length) {
  struct stat info;
  if (has_inode(fd, &info)) add((operation){.kind = SIZE, .inode = info.st_ino, .number = length}, NULL, NULL);
}

void record_sync(int fd, bool fine) {
  struct stat info;
  if (has_inode(fd, &info)) add((operation){.kind = SYNC, .inode = info.st_ino, .number = fine}, NULL, NULL);
}

// stdio's own writes can't be seen, so this records the whole file.
void record_content(int fd) {
  struct stat info;
  char bytes[4096];
  if (!has_inode(fd, &info) || !S_ISREG(info.st_mode)) return;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDONLY | O_CLOEXEC);
  if (again < 0) return;
  int64_t at = 0;
  for (ssize_t got; (got = read(again, bytes, sizeof bytes)) > 0; at += got)
    add((operation){.kind = WRITE, .inode = info.st_ino, .number = at, .first = (size_t)got}, bytes, NULL);
  close(again);
  add((operation){.kind = SIZE, .inode = info.st_ino, .number = at}, NULL, NULL);
}

// --- for Lua

// record(folder): starts to record
int record_start(lua_State *L) {
  struct stat info;
  const char *path = luaL_checkstring(L, 1);
  if (stat(path, &info) != 0) return luaL_error(L, "%s: %s", path, strerror(errno));
  umask(077); // the ledger's file must be readable by its owner only, also in a state that disk.lua has written
  log_length = 0;
  root = strdup(path);
  lua_pushinteger(L, (lua_Integer)info.st_ino);
  return 1;
}

// mark(text): records that something has happened
int record_mark(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  add((operation){.kind = MARK, .first = length}, text, NULL);
  return 0;
}

// recorded() → array of { kind, inode, number, text, text }: stops recording
int record_stop(lua_State *L) {
  pthread_mutex_lock(&lock);
  free(root);
  root = NULL;
  pthread_mutex_unlock(&lock);
  lua_newtable(L);
  lua_Integer count = 0;
  for (size_t at = 0; at < log_length;) {
    operation o;
    memcpy(&o, log_bytes + at, sizeof o);
    at += sizeof o;
    lua_createtable(L, 5, 0);
    lua_pushstring(L, kinds[o.kind]);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, (lua_Integer)o.inode);
    lua_rawseti(L, -2, 2);
    lua_pushinteger(L, o.number);
    lua_rawseti(L, -2, 3);
    lua_pushlstring(L, log_bytes + at, o.first);
    lua_rawseti(L, -2, 4);
    lua_pushlstring(L, log_bytes + at + o.first, o.second);
    lua_rawseti(L, -2, 5);
    at += o.first + o.second;
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}
