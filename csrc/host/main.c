// SPDX-License-Identifier: MIT
// The program omni: Lua, all of lua/omni as text, and the C modules as data, in one file (docs/internals/program.md).
// Everything that it does is in lua/omni/cli; here are only the things that must be C: where the modules come from,
// signals, and what the command line asks of the system through the table `omni.host`.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/argument.h"
#include "inherited.h"
#include "streams.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

enum { EXIT_FAILED = 1, EXIT_INTERRUPTED = 130 };

// Written by csrc/host/embed.lua. `chunk` is empty for a C module.
struct embedded {
  const char *name, *chunk;
  const unsigned char *data;
  size_t size;
};
extern const struct embedded embedded[]; // ends with a row without a name

// --- modules

static int load_text(lua_State *L) {
  const struct embedded *module = lua_touserdata(L, lua_upvalueindex(1));
  if (luaL_loadbufferx(L, (const char *)module->data, module->size, module->chunk, "t") != LUA_OK) return lua_error(L);
  lua_pushvalue(L, 1);
  lua_pushstring(L, module->chunk + 1);
  lua_call(L, 2, 1);
  return 1;
}

static bool write_all(int fd, const unsigned char *data, size_t size) {
  while (size > 0) {
    ssize_t written = write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= (size_t)written;
  }
  return true;
}

// Loads the module from memory; NULL where the system forbids that. The descriptor stays open: it names the module for
// the dynamic linker, which would take the next module at the same number for this one.
static void *open_in_memory(const struct embedded *module) {
  int fd = memfd_create(module->name, MFD_CLOEXEC | MFD_EXEC);
  if (fd < 0 && errno == EINVAL) fd = memfd_create(module->name, MFD_CLOEXEC); // before Linux 6.3
  if (fd < 0) return NULL;
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  void *library = write_all(fd, module->data, module->size) ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!library) close(fd);
  return library;
}

// The same by way of a private file, which is gone again once it is loaded.
static void *open_from_file(const struct embedded *module) {
  const char *directory = getenv("TMPDIR");
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/omni-XXXXXX", directory && *directory ? directory : "/tmp");
  if (length < 0 || (size_t)length >= sizeof path) return NULL;
  int fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0) return NULL;
  bool written = write_all(fd, module->data, module->size);
  void *library = close(fd) == 0 && written ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  unlink(path);
  return library;
}

static int load_module(lua_State *L) {
  const struct embedded *module = lua_touserdata(L, lua_upvalueindex(1));
  char symbol[64];
  snprintf(symbol, sizeof symbol, "luaopen_%s", module->name);
  for (char *dot = symbol; (dot = strchr(dot, '.'));) *dot = '_';
  void *library = open_in_memory(module);
  if (!library) library = open_from_file(module);
  void *address = library ? dlsym(library, symbol) : NULL;
  if (!address) {
    const char *why = dlerror();
    return luaL_error(L, "%s can't be loaded: %s", module->name, why ? why : strerror(errno));
  }
  lua_CFunction open;
  memcpy(&open, &address, sizeof open); // ISO C knows no cast between the two
  lua_pushcfunction(L, open);
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static void preload_modules(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  for (const struct embedded *module = embedded; module->name; module++) {
    lua_pushlightuserdata(L, (void *)module);
    lua_pushcclosure(L, *module->chunk ? load_text : load_module, 1);
    lua_setfield(L, -2, module->name);
  }
  lua_pop(L, 1);
}

// --- where other modules are found

#define USER_PATH "omni.path" // in the registry
#define USER_CPATH "omni.cpath"

// Whether `path`, in which each template ends with the separator, holds this one.
static bool holds(luaL_Buffer *path, const char *template, size_t length) {
  const char *at = luaL_buffaddr(path), *end = at + luaL_bufflen(path);
  for (const char *next; at < end; at = next + 1) {
    next = memchr(at, *LUA_PATH_SEP, (size_t)(end - at));
    if ((size_t)(next - at) == length && memcmp(at, template, length) == 0) return true;
  }
  return false;
}

// Adds the templates that begin with a slash and aren't there yet.
static void add_absolute(luaL_Buffer *path, const char *templates) {
  for (size_t length; *templates; templates += length + (templates[length] != '\0')) {
    length = strcspn(templates, LUA_PATH_SEP);
    if (*templates != '/' || holds(path, templates, length)) continue;
    luaL_addlstring(path, templates, length);
    luaL_addstring(path, LUA_PATH_SEP);
  }
}

// What the program itself requires (lua-cjson, argparse) comes from the system's folders, then from those that LUA_PATH names (a
// rock of the user's may lie there); never from the working directory, where anything may lie.
static void keep_absolute(lua_State *L, const char *field, const char *system, const char *keep_as) {
  luaL_Buffer path;
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_getfield(L, -1, field);
  const char *users = lua_tostring(L, -1);
  luaL_buffinit(L, &path);
  add_absolute(&path, system);
  add_absolute(&path, users);
  if (luaL_bufflen(&path) > 0) luaL_buffsub(&path, 1); // the last separator
  luaL_pushresult(&path);
  lua_setfield(L, -3, field);
  lua_setfield(L, LUA_REGISTRYINDEX, keep_as);
  lua_pop(L, 1);
}

// --- signals

static volatile sig_atomic_t caught; // the first signal's number
static bool nobody_reads;            // stdout is a pipe whose reader is gone: reported like a signal, SIGPIPE
static int wake[2] = {-1, -1};       // a pipe to ourselves: readable once a signal came

static void wake_up(void) {
  ssize_t ignored = write(wake[1], "", 1);
  (void)ignored;
}

static void on_signal(int number) {
  int before = errno;
  if (caught) _exit(EXIT_INTERRUPTED);
  caught = number;
  wake_up();
  errno = before;
}

static void on_broken_pipe(void) {
  nobody_reads = true;
  wake_up();
}

// Without SA_RESTART: a question on the terminal ends when it is interrupted.
static bool catch_signals(void) {
  struct sigaction action = {.sa_handler = on_signal}, before;
  sigemptyset(&action.sa_mask);
  if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL); // nohup
  inherited_unblock();
  return true;
}

// --- what Lua sees as `omni.host`

// host.interrupted() → the number of the signal that came, or nil
static int interrupted(lua_State *L) {
  if (caught || nobody_reads) lua_pushinteger(L, caught ? caught : SIGPIPE);
  else lua_pushnil(L);
  return 1;
}

// host.wakefd() → the descriptor that becomes readable when a signal came
static int wakefd(lua_State *L) {
  lua_pushinteger(L, wake[0]);
  return 1;
}

// host.drain(): makes it unreadable again
static int drain(lua_State *L) {
  (void)L;
  char bytes[16];
  while (read(wake[0], bytes, sizeof bytes) > 0) continue;
  return 0;
}

// host.rows() → how many rows the terminal behind stdout has, or nil
static int rows(lua_State *L) {
  struct winsize size;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) lua_pushinteger(L, size.ws_row);
  else lua_pushnil(L);
  return 1;
}

// host.output_failed() → whether something could not be written to stdout
static int output_failed(lua_State *L) {
  lua_pushboolean(L, streams_failed());
  return 1;
}

// host.setenv(name, value): for this process and its children
static int set_environment(lua_State *L) {
  return luaL_fileresult(L, setenv(argument_text(L, 1), argument_text(L, 2), 1) == 0, NULL);
}

static int open_host(lua_State *L) {
  static const luaL_Reg functions[] = {{"interrupted", interrupted}, {"wakefd", wakefd}, {"drain", drain}, {"rows", rows},
                                       {"output_failed", output_failed}, {"setenv", set_environment}, {NULL, NULL}};
  luaL_newlib(L, functions);
  // host.path, host.cpath: where plain Lua would look for modules, LUA_PATH and LUA_CPATH included; for scripts of the user's
  lua_getfield(L, LUA_REGISTRYINDEX, USER_PATH);
  lua_setfield(L, -2, "path");
  lua_getfield(L, LUA_REGISTRYINDEX, USER_CPATH);
  lua_setfield(L, -2, "cpath");
  return 1;
}

// --- start

static int with_traceback(lua_State *L) {
  const char *message = luaL_tolstring(L, 1, NULL);
  luaL_traceback(L, L, message, 1);
  return 1;
}

// Arguments: argc, argv. Answers the exit code.
static int protected_main(lua_State *L) {
  int argc = (int)lua_tointeger(L, 1);
  char **argv = lua_touserdata(L, 2);
  luaL_checkversion(L);
  luaL_openlibs(L);
  keep_absolute(L, "path", LUA_PATH_DEFAULT, USER_PATH);
  keep_absolute(L, "cpath", LUA_CPATH_DEFAULT, USER_CPATH);
  preload_modules(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, open_host);
  lua_setfield(L, -2, "omni.host");

  lua_createtable(L, argc, 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_getglobal(L, "require");
  lua_pushliteral(L, "omni.cli.main");
  lua_call(L, 1, 1);
  lua_insert(L, -2);
  lua_call(L, 1, 1);
  return 1;
}

int main(int argc, char **argv) {
  inherited_reset();
  bool streams = streams_open(on_broken_pipe);
  if (streams && argc == 2 && strcmp(argv[1], "--version") == 0) { // before anything heavy
    puts("omni " OMNI_VERSION);
    return EXIT_SUCCESS;
  }
  lua_State *L = streams ? luaL_newstate() : NULL;
  if (!L || !catch_signals()) {
    fputs("omni: out of memory or descriptors\n", stderr);
    return EXIT_FAILED;
  }
  lua_pushcfunction(L, with_traceback);
  lua_pushcfunction(L, protected_main);
  lua_pushinteger(L, argc);
  lua_pushlightuserdata(L, argv);
  int code = EXIT_FAILED;
  if (lua_pcall(L, 2, 1, 1) == LUA_OK) {
    code = (int)lua_tointeger(L, -1);
  } else {
    fprintf(stderr, "omni: this is a bug in omni; please report it with the text below\n%s\n", lua_tostring(L, -1));
  }
  lua_close(L);
  return code;
}
