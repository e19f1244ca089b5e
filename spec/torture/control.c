// SPDX-License-Identifier: MIT
// The Lua module `faults`: chooses which calls fail, and runs Lua code in child processes, which a fault may crash or hang.
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <link.h>
#include <lua.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"

// --- the modules

static const struct {
  const char *part; // of the file's name
  int of;
} kinds[] = {
    {"/omni/core.so", OF_OMNI}, {"/omni/ledger_postgresql.so", OF_OMNI}, {"libpq.so", OF_SQLITE},
    {"/omni/ledger_sqlite.so", OF_OMNI}, {"/omni/listener.so", OF_OMNI}, {"libcurl", OF_CURL},
    {"libnghttp2", OF_CURL},    {"libsqlite3", OF_SQLITE},           {"libmicrohttpd", OF_MHD},      {"libgnutls", OF_TLS},
    {"libssl", OF_TLS},         {"libcrypto", OF_TLS},               {"libc.so", OF_LIBC},
};

static struct {
  uintptr_t from, to;
  int of;
} ranges[64];
static int range_count;

static int note_module(struct dl_phdr_info *info, size_t size, void *first) {
  int of = 0;
  (void)size;
  if (*(bool *)first) of = OF_LUA; // the interpreter
  *(bool *)first = false;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (strstr(info->dlpi_name, kinds[i].part)) of = kinds[i].of;
  for (int i = 0; of && i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || range_count == sizeof ranges / sizeof *ranges) continue;
    ranges[range_count].from = info->dlpi_addr + part->p_vaddr;
    ranges[range_count].to = ranges[range_count].from + part->p_memsz;
    ranges[range_count++].of = of;
  }
  return 0;
}

// --- which calls fail

enum { CALLS = 1 << 16, FRAMES = 24 };
static atomic_int armed; // a fault_kind
static atomic_long count, failures;
static long from, calls;
static int targets, variant;
static pid_t alone;    // under `make coverage`, the only process whose calls fail: gcov crashes if memory runs out in a process of omni's
static char only[32]; // calls whose names contain this text
static const char *names[CALLS]; // of the counted calls
static void *frames[FRAMES];     // the stack of the first failure
static int frame_count;

void *fault_next(const char *name) {
  return dlsym(RTLD_NEXT, name);
}

bool fault_here(enum fault_kind kind, const char *name, const void *caller) {
  if (atomic_load_explicit(&armed, memory_order_relaxed) != (int)kind || !strstr(name, only)) return false;
  if (alone && getpid() != alone) return false;
  uintptr_t at = (uintptr_t)caller;
  int i = 0;
  while (i < range_count && !(at >= ranges[i].from && at < ranges[i].to && (ranges[i].of & targets))) i++;
  if (i == range_count) return false;
  long number = atomic_fetch_add(&count, 1) + 1;
  if (number < CALLS) names[number] = name;
  if (number < from || number >= from + calls) return false;
  if (atomic_fetch_add(&failures, 1) == 0) {
    int before = atomic_exchange(&armed, FAULT_NONE);
    frame_count = backtrace(frames, FRAMES);
    atomic_store(&armed, before);
  }
  return true;
}

int fault_system(const char *name, const void *caller, const int *errors) {
  if (atomic_load_explicit(&armed, memory_order_relaxed) != FAULT_SYSTEM) return 0;
  int number = 0, wanted = variant < 0 ? -variant : 0;
  bool has = !wanted;
  for (; errors[number]; number++) has = has || errors[number] == wanted;
  if (!has || !fault_here(FAULT_SYSTEM, name, caller)) return 0;
  return wanted ? wanted : errors[variant % number];
}

static const char *violation;

void fault_violation(const char *what) {
  violation = what;
}

// arm(kind, from, calls, targets, variant, only): the calls number `from` to `from + calls - 1` will fail, of those whose names contain `only`
static int arm(lua_State *L) {
  static const char *const words[] = {"none", "memory", "system", NULL};
  int kind = luaL_checkoption(L, 1, NULL, words);
  from = (long)luaL_checkinteger(L, 2);
  calls = (long)luaL_checkinteger(L, 3);
  targets = (int)luaL_checkinteger(L, 4);
  variant = (int)luaL_optinteger(L, 5, 0);
  snprintf(only, sizeof only, "%s", luaL_optstring(L, 6, ""));
  alone = getenv("OMNI_COVERAGE") ? getpid() : 0;
  bool first = true;
  range_count = 0;
  dl_iterate_phdr(note_module, &first);
  count = failures = 0;
  frame_count = 0;
  atomic_store(&armed, kind);
  return 0;
}

// disarm() → the number of counted calls, the number of failed calls, what omni must not have done | nil
static int disarm(lua_State *L) {
  atomic_store(&armed, FAULT_NONE);
  lua_pushinteger(L, count);
  lua_pushinteger(L, failures);
  lua_pushstring(L, violation);
  return 3;
}

// names() → array of the names of the counted calls
static int get_names(lua_State *L) {
  long last = count < CALLS ? count : CALLS - 1;
  lua_createtable(L, (int)last, 0);
  for (long i = 1; i <= last; i++) {
    lua_pushstring(L, names[i] ? names[i] : "?");
    lua_rawseti(L, -2, i);
  }
  return 1;
}

// stack() → text: the stack of the first call that failed
static int stack(lua_State *L) {
  char **lines = backtrace_symbols(frames, frame_count);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 2; lines && i < frame_count && i < 12; i++) {
    luaL_addstring(&b, "\n    ");
    luaL_addstring(&b, lines[i]);
  }
  luaL_pushresult(&b);
  free(lines);
  return 1;
}

// --- children

static int report_fd = -1;

static void on_crash(int number) {
  static void *crash[FRAMES];
  static const char words[] = "crashed at\n";
  atomic_store(&armed, FAULT_NONE);
  (void)!write(report_fd, words, sizeof words - 1);
  backtrace_symbols_fd(crash, backtrace(crash, FRAMES), report_fd);
  static const char after[] = "after the failure at\n";
  (void)!write(report_fd, after, sizeof after - 1);
  backtrace_symbols_fd(frames, frame_count, report_fd);
  signal(number, SIG_DFL);
  raise(number);
}

// fork() → pid, descriptor of its report | 0 in the child
static int make_child(lua_State *L) {
  int ends[2];
  void *ignored[1];
  backtrace(ignored, 1); // loads libgcc
  if (pipe2(ends, O_CLOEXEC) != 0) return luaL_error(L, "pipe: %s", strerror(errno));
  pid_t pid = fork();
  if (pid < 0) return luaL_error(L, "fork: %s", strerror(errno));
  if (pid > 0) {
    close(ends[1]);
    lua_pushinteger(L, pid);
    lua_pushinteger(L, ends[0]);
    return 2;
  }
  close(ends[0]);
  report_fd = ends[1];
  static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGILL};
  for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) signal(crashes[i], on_crash);
  lua_pushinteger(L, 0);
  return 1;
}

extern void __lsan_do_leak_check(void) __attribute__((weak));

// exit(text): ends a child, which reports this text
static int end_child(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  if (write(report_fd, text, length) != (ssize_t)length) _exit(3);
  if (__lsan_do_leak_check) __lsan_do_leak_check();
  if (getenv("OMNI_COVERAGE")) exit(0); // lets gcov write its counters
  _exit(0);
}

// wait(array of { pid, fd, deadline = monotonic seconds }) → index, text, "exit"|"signal"|"hang", code: the first child that has ended
static int wait_child(lua_State *L) {
  static struct pollfd polled[256];
  static char bytes[65536];
  double now = luaL_checknumber(L, 2);
  int children = (int)luaL_len(L, 1), least = 60000;
  for (int i = 0; i < children && i < 256; i++) {
    lua_rawgeti(L, 1, i + 1);
    lua_rawgeti(L, -1, 2);
    polled[i] = (struct pollfd){.fd = (int)lua_tointeger(L, -1), .events = POLLIN};
    lua_getfield(L, -2, "deadline");
    int left = (int)((lua_tonumber(L, -1) - now) * 1000);
    if (left < least) least = left < 0 ? 0 : left;
    lua_pop(L, 3);
  }
  if (poll(polled, (nfds_t)children, least) < 0) return luaL_error(L, "poll: %s", strerror(errno));
  int found = 0;
  while (found < children && polled[found].revents == 0) found++;
  bool hangs = found == children;
  if (hangs) found = 0; // the oldest has the earliest deadline
  lua_rawgeti(L, 1, found + 1);
  lua_rawgeti(L, -1, 1);
  pid_t pid = (pid_t)lua_tointeger(L, -1);
  if (hangs) kill(pid, SIGABRT); // the child reports its stack
  if (hangs && poll(polled, 1, 5000) == 0) kill(pid, SIGKILL);
  size_t length = 0;
  for (ssize_t got = 1; got > 0 && length < sizeof bytes; length += got > 0 ? (size_t)got : 0)
    got = read(polled[found].fd, bytes + length, sizeof bytes - length);
  close(polled[found].fd);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  lua_pushinteger(L, found + 1);
  lua_pushlstring(L, bytes, length);
  lua_pushstring(L, hangs ? "hang" : WIFSIGNALED(status) ? "signal" : "exit");
  lua_pushinteger(L, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  return 4;
}

__attribute__((constructor)) static void begin(void) {
  unsetenv("LD_PRELOAD"); // programs that this one starts are left alone
}

EXPORT int luaopen_faults(lua_State *L);

EXPORT int luaopen_faults(lua_State *L) {
  static const luaL_Reg functions[] = {{"arm", arm},         {"disarm", disarm},  {"names", get_names}, {"stack", stack},
                                       {"fork", make_child}, {"exit", end_child}, {"wait", wait_child},
                                       {"record", record_start}, {"mark", record_mark}, {"recorded", record_stop}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
