// SPDX-License-Identifier: MIT
// Starts programs without a shell. A process object can be polled until the program has ended and all its output has been read.
//
// A pidfd reports when the program exits. End-of-file on a pipe doesn't show that the program has exited, since the program's own children
// may keep the pipe open. Without a pidfd, as on Linux before 5.3, `timeout` makes the event loop call `step` many times per second. Even
// with a pidfd, `step` calls waitpid to get the program's exit status.
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "core/core_parts.h"
#include "core/poll_set.h"
#include "core/process.h"
#include "core/process_environment.h"
#include "core/process_output.h"
#include "core/process_start.h"
#include "core/text.h"
#include "shared/argument.h"
#include "shared/class.h"
#include "shared/clock.h"
#include "shared/descriptor.h"
#include "shared/field.h"

#define PROCESS "omni.process"
#define CHECK_INTERVAL 0.02 // seconds between two calls to `step` if there is no pidfd

enum { AT_ONCE = 1 << 20 };                                  // maximum number of bytes that one step reads from a pipe
enum { DEFAULT_OUTPUT = 1 << 20, LARGEST_OUTPUT = 1 << 30 }; // default and largest number of output bytes that omni keeps per pipe

typedef struct {
  pid_t pid; // 0: the program wasn't started, or has been reaped
  int pidfd, poll_set;
  double check_at; // without a pidfd: the time at which `step` must be called again
  bool closed, ended;
  int exit, signal; // once the program has ended, `exit` or `signal` is >= 0, unless other code in this process has reaped the child
  process_output out, err;
} process;

// --- the end of a program

// Returns whether the program has ended. The exit status stays unknown if other code in this process has reaped the child.
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

// Kills the process group, and the process itself in case it has left the group. Don't call kill_group after the program has been reaped,
// since its process group's ID may then belong to another program.
static void kill_group(process *p) {
  kill(-p->pid, SIGKILL);
  kill(p->pid, SIGKILL);
}

// Kills and reaps the program if it is still running, and frees the process's resources. Idempotent.
static void release(process *p) {
  if (!has_ended(p, WNOHANG)) {
    kill_group(p);
    // A program that can be killed exits promptly, so this wait is short. A program that runs as another user can't be killed, so `release`
    // doesn't wait for its end.
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

// --- starting a program

static start_failure start_program(process *p, start_request *what, bool pipe_out, bool pipe_err) {
  start_failure failure = {.error = 0};
  if ((p->poll_set = poll_set_new()) < 0) return (start_failure){.error = errno};
  if ((!pipe_out || process_output_open(&p->out, p->poll_set, &what->out)) &&
      (!pipe_err || process_output_open(&p->err, p->poll_set, &what->err)))
    failure = process_start(what, &p->pid);
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

// --- options

// Returns the index of the option's value in `allowed`; the default value is at index 0.
static int check_choice(lua_State *L, const char *name, const char *const allowed[]) {
  int choice = 0;
  if (lua_getfield(L, 2, name) != LUA_TNIL) {
    const char *given = process_check_text(L, name);
    while (allowed[choice] && strcmp(allowed[choice], given) != 0) choice++;
    if (!allowed[choice])
      luaL_error(L, "process: %s must be \"pipe\", \"null\" or \"inherit\", not \"%s\"", name, given);
  }
  lua_pop(L, 1);
  return choice;
}

static const char *check_directory(lua_State *L) {
  const char *directory = lua_getfield(L, 2, "directory") == LUA_TNIL ? NULL : process_check_text(L, "directory");
  return directory; // stays on the stack
}

// Returns the value of an option that specifies a number of bytes.
static size_t check_bytes(lua_State *L, const char *name, lua_Integer otherwise, lua_Integer most) {
  lua_Integer bytes = otherwise;
  int whole = 1;
  if (lua_getfield(L, 2, name) != LUA_TNIL) bytes = lua_tointegerx(L, -1, &whole);
  if (!whole || bytes < 0 || bytes > most) luaL_error(L, "process: %s must be a whole number of bytes, 0 to %I", name, (LUAI_UACINT)most);
  lua_pop(L, 1);
  return (size_t)bytes;
}

// --- methods

static int push_failure(lua_State *L, const start_request *what, start_failure failure) {
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
  start_request what = {.inside = inside, .argument = argument, .out = TO_NULL, .err = TO_NULL};
  p->out.max = max_output;
  start_failure failure = start_program(p, &what, true, false);
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
  start_request what = {.argv = process_check_argv(L, 1), .directory = check_directory(L), .max_memory = max_memory};
  lua_getfield(L, 2, "environment");
  what.environment = process_check_environment(L);
  what.out = out == 2 ? INHERIT : TO_NULL;
  what.err = err == 2 ? INHERIT : TO_NULL;
  start_failure failure = start_program(p, &what, out == 1, err == 0);
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
    // Before reading the pipes, checks whether the program has ended, so that no output is missed.
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
