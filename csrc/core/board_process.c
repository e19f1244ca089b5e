// SPDX-License-Identifier: MIT
// Runs a board in its own process and Lua state, with limits on processor time and memory. The board can't access the parent process's
// data. The child process writes the board's result to a pipe.
//
// The functions that a board can call are defined in lua/omni/storyboard/language/environment.lua. This file contains only the parts that
// must be written in C: creating the Lua state, setting the limits, and opening files for the board.
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "shared/argument.h"
#include "core/core_parts.h"
#include "shared/file.h"
#include "core/process.h"

enum { EXIT_MEMORY = 3, EXIT_TIME = 4 }; // also in storyboard/language/confined_load.lua

typedef struct {
  const char *code, *argument, *folder;
  size_t code_size, argument_size, max_memory;
  double seconds;
} board;

// --- limits

static void on_time_limit(int number) {
  (void)number;
  _exit(EXIT_TIME);
}

static void set_limit(int resource) {
  struct rlimit none = {0, 0};
  setrlimit(resource, &none);
}

static void set_limits(double seconds) {
  struct sigaction action = {.sa_handler = on_time_limit};
  sigemptyset(&action.sa_mask);
  sigaction(SIGPROF, &action, NULL);
  if (seconds < 0.001) seconds = 0.001; // setitimer would interpret 0 as "no limit"
  if (seconds > 1e6) seconds = 1e6;
  struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds, .tv_usec = (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)}};
  setitimer(ITIMER_PROF, &timer, NULL); // counts processor time
  set_limit(RLIMIT_CORE);
  set_limit(RLIMIT_FSIZE); // doesn't limit pipes
#ifdef RLIMIT_NPROC
  set_limit(RLIMIT_NPROC);
#endif
}

// The memory allocator for the board's Lua state. `budget` points to the number of bytes that the board may still allocate.
static void *allocate(void *budget, void *block, size_t before, size_t size) {
  size_t *left = budget;
  if (!block) before = 0; // for a new block, Lua passes the new object's type as `before`
  if (size == 0) {
    free(block);
    *left += before;
    return NULL;
  }
  if (size > before && size - before > *left) return NULL;
  void *moved = realloc(block, size);
  if (moved) *left = *left + before - size;
  return moved;
}

// --- reading files

static int close_file(lua_State *L) {
  luaL_Stream *file = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(file->f) == 0, NULL);
}

// Returns NULL if a board may open the file at the resolved path `real`, and otherwise the reason why it may not.
static const char *refusal(const char *real, const char *folder) {
  size_t length = strlen(folder);
  if (strncmp(real, folder, length) != 0 || real[length] != '/')
    return "a board can read only files in its own folder and the folders below";
  if (strstr(real + length, "/.")) return "a board can't read hidden files (those whose name, or whose folder's name, begins with a dot)";
  return NULL;
}

// open(path) → a file for reading | nil, message. Relative paths start at the board's folder.
static int open_board_file(lua_State *L) {
  const char *given = argument_text(L, 1), *folder = lua_tostring(L, lua_upvalueindex(1));
  lua_settop(L, 1);
  const char *path = *given == '/' ? given : lua_pushfstring(L, "%s/%s", folder, given);
  luaL_Stream *file = lua_newuserdatauv(L, sizeof *file, 0);
  file->closef = NULL;
  luaL_setmetatable(L, LUA_FILEHANDLE);

  char real[PATH_MAX];
  struct stat status;
  const char *why = realpath(path, real) ? refusal(real, folder) : strerror(errno);
  int fd = why ? -1 : file_open(real, O_RDONLY, 0, &status);
  file->f = fd < 0 ? NULL : fdopen(fd, "r");
  if (file->f) {
    file->closef = close_file;
    return 1;
  }
  if (!why) why = file_problem(errno);
  if (fd >= 0) close(fd);
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", given, why);
  return 2;
}

// --- the child

// Runs in protected mode. Calls the board's code with the function `open` and the string `argument`, and writes the returned bytes to the
// pipe.
static int run(lua_State *L) {
  static const luaL_Reg libraries[] = {
    {LUA_GNAME, luaopen_base},         {LUA_COLIBNAME, luaopen_coroutine}, {LUA_TABLIBNAME, luaopen_table},
    {LUA_STRLIBNAME, luaopen_string},  {LUA_MATHLIBNAME, luaopen_math},    {LUA_UTF8LIBNAME, luaopen_utf8},
    {LUA_IOLIBNAME, luaopen_io},       {LUA_OSLIBNAME, luaopen_os},        {LUA_DBLIBNAME, luaopen_debug},
  };
  const board *b = lua_touserdata(L, 1);
  for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
    luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
    lua_pop(L, 1);
  }
  if (luaL_loadbufferx(L, b->code, b->code_size, "=omni", "b") != LUA_OK) return lua_error(L);
  lua_pushstring(L, b->folder);
  lua_pushcclosure(L, open_board_file, 1);
  lua_pushlstring(L, b->argument, b->argument_size);
  lua_call(L, 2, 1);
  size_t size;
  const char *bytes = luaL_checklstring(L, -1, &size);
  lua_pushboolean(L, file_write(STDOUT_FILENO, bytes, size) == size);
  return 1;
}

// Runs in the child process. Doesn't close the Lua state, so that the board's finalizers don't run.
static int inside(const void *argument) {
  const board *b = argument;
  set_limits(b->seconds);
  lua_State *L = luaL_newstate();
  if (!L) return EXIT_MEMORY;
  size_t left = b->max_memory;
  lua_setallocf(L, allocate, &left);
  lua_pushcfunction(L, run);
  lua_pushlightuserdata(L, (void *)b);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_ERRMEM) return EXIT_MEMORY;
  return status == LUA_OK && lua_toboolean(L, -1) ? EXIT_SUCCESS : EXIT_FAILURE;
}

// core.board_process(code, argument, { folder, cpu_seconds, max_memory, max_output }) → process | nil, message
static int start(lua_State *L) {
  board b;
  lua_settop(L, 3);
  b.code = luaL_checklstring(L, 1, &b.code_size);
  b.argument = luaL_checklstring(L, 2, &b.argument_size);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_getfield(L, 3, "folder");
  b.folder = argument_text(L, -1);
  lua_getfield(L, 3, "cpu_seconds");
  b.seconds = luaL_checknumber(L, -1);
  lua_getfield(L, 3, "max_memory");
  b.max_memory = (size_t)luaL_checkinteger(L, -1);
  lua_getfield(L, 3, "max_output");
  size_t max_output = (size_t)luaL_checkinteger(L, -1);
  return process_push_inside(L, inside, &b, max_output);
}

void board_process_open(lua_State *L) {
  lua_pushcfunction(L, start);
  lua_setfield(L, -2, "board_process");
}
