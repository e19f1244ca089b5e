// SPDX-License-Identifier: MIT
// Operating system functions that Lua lacks, for the monotonic clock, terminals and files.
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core_parts.h"
#include "shared/argument.h"
#include "shared/class.h"
#include "shared/clock.h"
#include "shared/descriptor.h"
#include "shared/field.h"
#include "shared/file.h"

// --- clock and terminal

static int now(lua_State *L) {
  lua_pushnumber(L, clock_now());
  return 1;
}

static int terminal(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= 2, 1, "must be 0, 1 or 2");
  struct winsize size;
  if (!isatty((int)fd)) lua_pushnil(L);
  else lua_pushinteger(L, ioctl((int)fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80);
  return 1;
}

// --- files

// Pushes nil, a message of the form "PATH: reason", and errno. Call push_file_problem immediately after file_open has failed.
static int push_file_problem(lua_State *L, const char *path) {
  int error = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, file_problem(error));
  lua_pushinteger(L, error);
  return 3;
}

static int close_stream(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

// open(path, "r" or "x") → a Lua file | nil, message, errno
static int open_file(lua_State *L) {
  static const char *const modes[] = {"r", "x", NULL};
  const char *path = argument_text(L, 1);
  bool reads = luaL_checkoption(L, 2, "r", modes) == 0;
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  stream->closef = NULL; // marks the stream as closed until the file is open
  luaL_getmetatable(L, LUA_FILEHANDLE);
  if (lua_isnil(L, -1)) return luaL_error(L, "the library io is not open");
  lua_setmetatable(L, -2);
  struct stat info;
  int fd = file_open(path, reads ? O_RDONLY : O_WRONLY | O_CREAT | O_EXCL, 0666, &info);
  if (fd < 0) return push_file_problem(L, path);
  if (!(stream->f = fdopen(fd, reads ? "r" : "w"))) {
    descriptor_close(fd);
    return luaL_fileresult(L, 0, path);
  }
  stream->closef = close_stream;
  return 1;
}

// rename_new(from, to) → true | nil, message, errno
static int rename_new(lua_State *L) {
  const char *from = argument_text(L, 1), *to = argument_text(L, 2);
  return luaL_fileresult(L, file_rename_new(from, to), to);
}

static int file_status(lua_State *L) {
  const char *path = argument_text(L, 1);
  struct stat status;
  char stamp[FILE_STAMP_SIZE];
  if (stat(path, &status) != 0) return luaL_fileresult(L, 0, path);
  lua_createtable(L, 0, 5);
  field_set_string(L, "kind", S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory" : "other");
  field_set_integer(L, "mode", status.st_mode & 07777);
  field_set_integer(L, "size", (lua_Integer)status.st_size);
  field_set_number(L, "mtime", (lua_Number)status.st_mtim.tv_sec + (lua_Number)status.st_mtim.tv_nsec / 1e9);
  file_stamp(&status, stamp);
  field_set_string(L, "stamp", stamp);
  return 1;
}

// make_directory(path, mode) → true | nil, message, errno
// Waits until a new directory is on disk, since a power cut could otherwise lose even synced files in the directory.
static int make_directory(lua_State *L) {
  const char *path = argument_text(L, 1);
  lua_Integer mode = luaL_optinteger(L, 2, 0777);
  luaL_argcheck(L, mode >= 0 && mode <= 07777, 2, "must be permissions");
  const char *parent = lua_pushfstring(L, "%s/..", path);
  bool made = mkdir(path, (mode_t)mode) == 0;
  if (made && !file_sync_folder(parent) && errno != EACCES) { // a directory that can't be read can't be synced
    int error = errno;
    rmdir(path);
    errno = error;
    made = false;
  } else if (!made && errno == EEXIST) {
    struct stat status;
    made = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    if (!made) errno = EEXIST;
  }
  return luaL_fileresult(L, made, path);
}

// real_path(path) → the absolute path of an existing file, without links | nil, message, errno
static int real_path(lua_State *L) {
  const char *path = argument_text(L, 1);
  char found[PATH_MAX];
  if (!realpath(path, found)) return luaL_fileresult(L, 0, path);
  lua_pushstring(L, found);
  return 1;
}

// link(from, to) → true | nil, message, errno. Gives a file a second name; never replaces a file.
static int link_file(lua_State *L) {
  const char *from = argument_text(L, 1), *to = argument_text(L, 2);
  return luaL_fileresult(L, link(from, to) == 0, to);
}

static int make_temporary_directory(lua_State *L) {
  const char *prefix = argument_text(L, 1);
  luaL_argcheck(L, !strchr(prefix, '/'), 1, "must be a name, not a path");
  const char *parent = getenv("TMPDIR");
  if (!parent || !*parent) parent = "/tmp";
  const char *path = lua_pushfstring(L, "%s/%sXXXXXX", parent, prefix);
  size_t size = strlen(path) + 1;
  char *made = memcpy(lua_newuserdatauv(L, size, 0), path, size);
  if (!mkdtemp(made)) return luaL_fileresult(L, 0, path);
  lua_pushstring(L, made);
  return 1;
}

static int remove_path(lua_State *L) {
  const char *path = argument_text(L, 1);
  return luaL_fileresult(L, remove(path) == 0, path);
}

// A locked file. The lock is released when the userdata that represents it is closed or collected.
#define LOCK "omni.lock"

static int lock_release(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, LOCK);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

// lock(path) → lock | nil, message, errno. Creates the file if it is missing; the file stays.
static int lock(lua_State *L) {
  const char *path = argument_text(L, 1);
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  luaL_setmetatable(L, LOCK);
  struct stat info;
  if ((*fd = file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0666, &info)) < 0) return push_file_problem(L, path);
  // On a file system that doesn't support locks, lock() succeeds without locking anything.
  if (flock(*fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: another run holds it", path);
  lua_pushinteger(L, EWOULDBLOCK);
  return 3;
}

static const luaL_Reg functions[] = {{"now", now},
                                     {"terminal", terminal},
                                     {"stat", file_status},
                                     {"make_directory", make_directory},
                                     {"real_path", real_path},
                                     {"link", link_file},
                                     {"make_temporary_directory", make_temporary_directory},
                                     {"remove", remove_path},
                                     {"lock", lock},
                                     {"open", open_file},
                                     {"rename_new", rename_new},
                                     {NULL, NULL}};

void system_open(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
  static const luaL_Reg methods[] = {{"close", lock_release}, {"__gc", lock_release}, {"__close", lock_release}, {NULL, NULL}};
  class_add(L, LOCK, methods);
}
