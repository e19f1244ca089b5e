// SPDX-License-Identifier: MIT
// Starts programs without a shell. A process is pollable until the program has ended and all its output was read.
//
// A pidfd reports the end. (A pipe held open by the child would also be held by the child's own children.) Without pidfd (another system,
// or Linux before 5.3) `timeout` requests many checks per second. `step` calls waitpid in either case.
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "core/core_parts.h"
#include "core/poll_set.h"
#include "core/process.h"
#include "core/process_output.h"
#include "core/spawn.h"
#include "core/text.h"
#include "shared/argument.h"
#include "shared/ascii.h"
#include "shared/class.h"
#include "shared/clock.h"
#include "shared/descriptor.h"
#include "shared/field.h"

#define PROCESS "omni.process"
#define CHECK_INTERVAL 0.02 // seconds between checks without a pidfd

enum { AT_ONCE = 1 << 20 };                                  // bytes to read from a pipe in one step
enum { DEFAULT_OUTPUT = 1 << 20, LARGEST_OUTPUT = 1 << 30 }; // bytes kept of a pipe

extern char **environ;

typedef struct {
  pid_t pid; // 0: not started, or reaped
  int pidfd, poll_set;
  double check_at; // when to check again, without a pidfd
  bool closed, ended;
  int exit, signal; // one of them is >= 0 at the end, unless another part of this program reaped the child
  process_output out, err;
} process;

// --- the end

// Returns whether the program has ended. Its exit status stays unknown when another part of this process reaped it.
static bool has_ended(process *p, int options) {
  int status = 0;
  pid_t got;
  if (p->pid == 0) return true;
  do got = waitpid(p->pid, &status, options);
  while (got < 0 && errno == EINTR);
  if (got == 0) return false;
  if (got == p->pid && WIFEXITED(status)) p->exit = WEXITSTATUS(status);
  if (got == p->pid && WIFSIGNALED(status)) p->signal = WTERMSIG(status);
  p->pid = 0;
  if (p->pidfd >= 0) {
    poll_set_remove(p->poll_set, p->pidfd);
    close(p->pidfd);
    p->pidfd = -1;
  }
  return true;
}

// Kills the process group, and the process itself in case it left the group. Don't call it after the end: the number may then belong to
// another process.
static void kill_group(process *p) {
  kill(-p->pid, SIGKILL);
  kill(p->pid, SIGKILL);
}

// Kills and reaps the program if it still runs, and frees everything. Idempotent.
static void release(process *p) {
  if (!has_ended(p, WNOHANG)) {
    kill_group(p);
    // It ends at once, unless it runs as another user: then it can't be killed, and this doesn't wait.
    has_ended(p, kill(p->pid, 0) == 0 ? 0 : WNOHANG);
  }
  process_output_release(&p->out, p->poll_set);
  process_output_release(&p->err, p->poll_set);
  if (p->pidfd >= 0) close(p->pidfd);
  if (p->poll_set >= 0) close(p->poll_set);
  p->pidfd = p->poll_set = -1;
  p->pid = 0;
  p->closed = p->ended = true;
}

// --- the start

static spawn_failure start_program(process *p, spawn_what *what, bool pipe_out, bool pipe_err) {
  spawn_failure failure = {.error = 0};
  if ((p->poll_set = poll_set_new()) < 0) return (spawn_failure){.error = errno};
  if ((!pipe_out || process_output_open(&p->out, p->poll_set, &what->out)) &&
      (!pipe_err || process_output_open(&p->err, p->poll_set, &what->err)))
    failure = spawn(what, &p->pid);
  else
    failure.error = errno;
  if (what->out >= 0) close(what->out);
  if (what->err >= 0) close(what->err);
#ifdef SYS_pidfd_open
  if (p->pid > 0) p->pidfd = descriptor_raise((int)syscall(SYS_pidfd_open, p->pid, 0));
  if (p->pidfd >= 0 && !poll_set_add(p->poll_set, p->pidfd, READ_READY, false)) {
    close(p->pidfd);
    p->pidfd = -1;
  }
#endif
  return failure;
}

// --- arguments

// Returns the string at the top of the stack. Raises when it contains a NUL, where the system would cut it. exec's argument type is `char
// *`, though exec changes nothing.
static char *check_text(lua_State *L, const char *what) {
  size_t length;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "process: %s must be a string, not a %s", what, luaL_typename(L, -1));
  const char *text = lua_tolstring(L, -1, &length);
  if (strlen(text) != length) luaL_error(L, "process: %s must not contain a NUL", what);
  return (char *)(uintptr_t)text;
}

// Pops a string, anchors it in the table at `anchor` and appends it to the array.
static void append(lua_State *L, int anchor, char **array, size_t *count, const char *what) {
  array[*count] = check_text(L, what);
  lua_rawseti(L, anchor, (lua_Integer)++*count);
}

// Pushes a table that anchors the strings, and the array as a userdata.
static char **check_argv(lua_State *L, int given) {
  luaL_checktype(L, given, LUA_TTABLE);
  size_t total = lua_rawlen(L, given), count = 0;
  luaL_argcheck(L, total > 0, given, "must name a program");
  lua_newtable(L);
  int anchor = lua_gettop(L);
  char **argv = lua_newuserdatauv(L, (total + 1) * sizeof *argv, 0);
  while (count < total) {
    lua_rawgeti(L, given, (lua_Integer)count + 1);
    append(L, anchor, argv, &count, "an argument");
  }
  argv[count] = NULL;
  return argv;
}

// Returns whether the value contains a URL with a user name, and so perhaps a password (http_proxy, DATABASE_URL).
static bool holds_login(const char *value) {
  const char *host = strstr(value, "://");
  return host && memchr(host + 3, '@', strcspn(host + 3, "/?#"));
}

// Returns whether an environment entry is, or looks like, a secret. Child processes don't inherit it; a caller can pass it in
// `environment`.
static bool is_secret(const char *entry) {
  static const char *const words[] = {"KEY", "TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL"};
  size_t length = strcspn(entry, "=");
  if (strncmp(entry, "CRUN_", 5) == 0 || holds_login(entry + length)) return true;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t size = strlen(words[i]);
    for (size_t at = 0; at + size <= length; at++)
      if (ascii_equal(entry + at, words[i], size)) return true;
  }
  return false;
}

// Merges the table on top of the stack (or nil) over our environment without its secrets. Pushes what check_argv pushes.
static char **check_environment(lua_State *L) {
  if (lua_isnil(L, -1)) lua_newtable(L);
  if (!lua_istable(L, -1)) luaL_error(L, "process: environment must be a table, not a %s", luaL_typename(L, -1));
  int given = lua_gettop(L), anchor = given + 1;
  size_t total = 0, count = 0;
  for (size_t i = 0; environ && environ[i]; i++) total++;
  for (lua_pushnil(L); lua_next(L, given); lua_pop(L, 1)) total++;
  lua_newtable(L);
  char **all = lua_newuserdatauv(L, (total + 1) * sizeof *all, 0);
  // Reads `environ` anew each time: a finalizer may run at any allocation and set a variable.
  for (size_t i = 0; environ && environ[i] && count < total; i++) {
    lua_pushstring(L, environ[i]);
    const char *entry = lua_tostring(L, -1);
    lua_pushlstring(L, entry, strcspn(entry, "="));
    bool replaced = lua_rawget(L, given) != LUA_TNIL;
    lua_pop(L, 1);
    if (replaced || is_secret(entry)) {
      lua_pop(L, 1);
      continue;
    }
    append(L, anchor, all, &count, "an environment variable");
  }
  for (lua_pushnil(L); lua_next(L, given) && count < total;) {
    const char *value = check_text(L, "the value of an environment variable");
    lua_pushvalue(L, -2);
    const char *name = check_text(L, "the name of an environment variable");
    if (!*name || strchr(name, '=')) luaL_error(L, "process: '%s' can't name an environment variable", name);
    lua_pushfstring(L, "%s=%s", name, value);
    append(L, anchor, all, &count, "an environment variable");
    lua_pop(L, 2);
  }
  all[count] = NULL;
  return all;
}

// Returns the option's index in `allowed`; the default is at index 0.
static int check_choice(lua_State *L, const char *name, const char *const allowed[]) {
  int choice = 0;
  if (lua_getfield(L, 2, name) != LUA_TNIL) {
    const char *given = check_text(L, name);
    while (allowed[choice] && strcmp(allowed[choice], given) != 0) choice++;
    if (!allowed[choice])
      luaL_error(L, "process: %s must be \"pipe\", \"null\" or \"inherit\", not \"%s\"", name, given);
  }
  lua_pop(L, 1);
  return choice;
}

static const char *check_directory(lua_State *L) {
  const char *directory = lua_getfield(L, 2, "directory") == LUA_TNIL ? NULL : check_text(L, "directory");
  return directory; // stays on the stack
}

// Returns an option that is a number of bytes.
static size_t check_bytes(lua_State *L, const char *name, lua_Integer otherwise, lua_Integer most) {
  lua_Integer bytes = otherwise;
  int whole = 1;
  if (lua_getfield(L, 2, name) != LUA_TNIL) bytes = lua_tointegerx(L, -1, &whole);
  if (!whole || bytes < 0 || bytes > most) luaL_error(L, "process: %s must be a whole number of bytes, 0 to %I", name, (LUAI_UACINT)most);
  lua_pop(L, 1);
  return (size_t)bytes;
}

// --- methods

static int push_failure(lua_State *L, const spawn_what *what, spawn_failure failure) {
  const char *name = failure.in_directory ? what->directory : what->argv[0];
  bool missing = failure.error == ENOENT && !failure.in_directory;
  luaL_Buffer message;
  lua_pushnil(L);
  luaL_buffinit(L, &message);
  luaL_addstring(&message, failure.in_directory ? "can't enter directory '" : "can't start '");
  text_clean(&message, name, strlen(name), 200);
  luaL_addstring(&message, "': ");
  luaL_addstring(&message, missing ? "no such program" : strerror(failure.error));
  luaL_pushresult(&message);
  return 2;
}

static process *push_process(lua_State *L) {
  process *p = memset(lua_newuserdatauv(L, sizeof *p, 0), 0, sizeof *p);
  p->pidfd = p->poll_set = p->out.fd = p->err.fd = p->exit = p->signal = -1;
  luaL_setmetatable(L, PROCESS);
  return p;
}

int process_push_inside(lua_State *L, int (*inside)(const void *), const void *argument, size_t max_output) {
  process *p = push_process(L);
  spawn_what what = {.inside = inside, .argument = argument, .out = TO_NULL, .err = TO_NULL};
  p->out.max = max_output;
  spawn_failure failure = start_program(p, &what, true, false);
  if (failure.error == 0) return 1;
  release(p);
  lua_pushnil(L);
  lua_pushstring(L, strerror(failure.error));
  return 2;
}

static int make(lua_State *L) {
  static const char *const out_kinds[] = {"null", "pipe", "inherit", NULL};
  static const char *const err_kinds[] = {"pipe", "null", "inherit", NULL};
  static const char *const known[] = {"directory", "stdout", "stderr", "max_output", "environment", "max_memory", NULL};
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_newtable(L);
    lua_replace(L, 2);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  process *p = push_process(L);
  argument_check_keys(L, 2, known, "process");
  int out = check_choice(L, "stdout", out_kinds), err = check_choice(L, "stderr", err_kinds);
  p->out.max = p->err.max = check_bytes(L, "max_output", DEFAULT_OUTPUT, LARGEST_OUTPUT);
  size_t max_memory = check_bytes(L, "max_memory", 0, LUA_MAXINTEGER);
  spawn_what what = {.argv = check_argv(L, 1), .directory = check_directory(L), .max_memory = max_memory};
  lua_getfield(L, 2, "environment");
  what.environment = check_environment(L);
  what.out = out == 2 ? INHERIT : TO_NULL;
  what.err = err == 2 ? INHERIT : TO_NULL;
  spawn_failure failure = start_program(p, &what, out == 1, err == 0);
  if (failure.error != 0) {
    release(p);
    return push_failure(L, &what, failure);
  }
  lua_settop(L, 3);
  return 1;
}

static process *check(lua_State *L) {
  return luaL_checkudata(L, 1, PROCESS);
}

static process *check_open(lua_State *L) {
  process *p = check(L);
  if (p->closed) luaL_error(L, "the process is closed");
  return p;
}

static int pollfd(lua_State *L) {
  lua_pushinteger(L, check_open(L)->poll_set);
  return 1;
}

static int timeout(lua_State *L) {
  process *p = check(L);
  double left = p->check_at - clock_now();
  if (p->ended || p->pidfd >= 0) lua_pushnil(L);
  else lua_pushnumber(L, left > 0 ? left : 0);
  return 1;
}

static int step(lua_State *L) {
  process *p = check(L);
  if (!p->ended) {
    // Checks before it reads: everything that the program wrote before its end is then in the pipes.
    bool end = has_ended(p, WNOHANG);
    bool read_out = end ? process_output_read_rest(&p->out, p->poll_set) : process_output_read(&p->out, p->poll_set, AT_ONCE);
    bool read_err = end ? process_output_read_rest(&p->err, p->poll_set) : process_output_read(&p->err, p->poll_set, AT_ONCE);
    if (!read_out || !read_err) return luaL_error(L, "not enough memory");
    p->ended = end;
    p->check_at = clock_now() + CHECK_INTERVAL;
  }
  lua_pushboolean(L, p->ended);
  return 1;
}

static int result(lua_State *L) {
  process *p = check_open(L);
  if (!p->ended) return lua_pushnil(L), 1;
  lua_createtable(L, 0, 4);
  if (p->exit >= 0) field_set_integer(L, "exit", p->exit);
  if (p->signal >= 0) field_set_integer(L, "signal", p->signal);
  process_output_push(L, &p->out, p->out.bytes.length);
  lua_setfield(L, -2, "stdout");
  process_output_push(L, &p->err, p->err.bytes.length);
  lua_setfield(L, -2, "stderr");
  return 1;
}

static int read_output(lua_State *L) {
  process *p = check_open(L);
  process_output_push(L, &p->out, p->out.unread);
  p->out.unread = 0;
  return 1;
}

static int kill_it(lua_State *L) {
  process *p = check(L);
  if (!has_ended(p, WNOHANG)) kill_group(p);
  return 0;
}

static int close_it(lua_State *L) {
  release(check(L));
  return 0;
}

static const luaL_Reg methods[] = {{"pollfd", pollfd},     {"timeout", timeout},
                                   {"step", step},         {"result", result},    {"read", read_output},
                                   {"kill", kill_it},      {"close", close_it},   {"__close", close_it},
                                   {"__gc", close_it},     {NULL, NULL}};

void process_open(lua_State *L) {
  class_add(L, PROCESS, methods);
  lua_pushcfunction(L, make);
  lua_setfield(L, -2, "process");
}
