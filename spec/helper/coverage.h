// SPDX-License-Identifier: MIT
// Records which lines of omni's Lua files run (`make coverage`). Every Lua state gets a debug hook. The hook sets one byte for each line
// that runs, in a record file for each source file. All processes map the record files into memory, so a record survives when a process is
// killed.
//
// gcov counts the lines of C. It writes its counters when a process ends, but not when a process is killed.
//
// The coverage build includes this file in every C file, so that each Lua state that omni creates gets the hook. coverage.c contains a Lua
// module that gives the hook to an interpreter. If Lua code sets a debug hook, that hook replaces this one until Lua code removes it.
#pragma once
#include <fcntl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { COVERAGE_LINES = 4096, COVERAGE_SLOTS = 1024 };

typedef struct {
  const void *source; // the address of the chunk's name in Lua; the address can be reused for another name
  char name[100];
  unsigned char *lines; // NULL: not one of omni's files
} coverage_slot;

// Maps the record file for a source file into memory. A chunk's name is "@lua/omni/x.lua", "@omni/x.lua" (in the program), or "@" and an
// absolute path.
__attribute__((unused)) static unsigned char *coverage_map(const char *name) {
  const char *folder = getenv("OMNI_COVERAGE"), *within = strstr(name, "omni/");
  for (const char *next = within; next && (next = strstr(next + 1, "lua/omni/"));) within = next + 4;
  size_t length = within ? strlen(within) : 0;
  if (!folder || name[0] != '@' || length < 5 || strcmp(within + length - 4, ".lua") != 0) return NULL;
  char path[1024];
  int written = snprintf(path, sizeof path, "%s/%s", folder, within);
  if (written < 0 || (size_t)written >= sizeof path) return NULL;
  for (char *at = path + strlen(folder) + 1; *at; at++)
    if (*at == '/') *at = '+';
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return NULL;
  void *lines = ftruncate(fd, COVERAGE_LINES) == 0 ? mmap(NULL, COVERAGE_LINES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  close(fd);
  return lines == MAP_FAILED ? NULL : lines;
}

// Returns the slot for a source file, or an empty slot, or the last slot if all slots are taken.
static coverage_slot *coverage_find(coverage_slot *slots, const void *source) {
  size_t home = ((size_t)source >> 4) % COVERAGE_SLOTS, step = 0;
  while (step < COVERAGE_SLOTS - 1) {
    coverage_slot *slot = &slots[(home + step++) % COVERAGE_SLOTS];
    if (!slot->source || slot->source == source) return slot;
  }
  return &slots[(home + step) % COVERAGE_SLOTS];
}

__attribute__((unused)) static void coverage_line(lua_State *L, lua_Debug *ar) {
  static __thread coverage_slot *slots;
  if (!lua_getinfo(L, "Sl", ar) || ar->currentline < 1 || ar->currentline >= COVERAGE_LINES) return;
  if (!slots && !(slots = calloc(COVERAGE_SLOTS, sizeof *slots))) return;
  coverage_slot *slot = coverage_find(slots, ar->source);
  if (slot->source != ar->source || strncmp(slot->name, ar->source, sizeof slot->name - 1) != 0) {
    if (slot->lines) munmap(slot->lines, COVERAGE_LINES);
    slot->source = ar->source;
    snprintf(slot->name, sizeof slot->name, "%s", ar->source);
    slot->lines = coverage_map(ar->source);
  }
  if (slot->lines) slot->lines[ar->currentline] = 1;
}

// Replaces debug.gethook: returns nothing for the coverage hook, since Lua code couldn't restore it.
static int coverage_gethook(lua_State *L) {
  lua_State *other = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  if (lua_gethook(other) == coverage_line) return 0;
  int top = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, top, LUA_MULTRET);
  return lua_gettop(L);
}

// Replaces debug.sethook: sets the coverage hook again when Lua code removes its own hook.
static int coverage_sethook(lua_State *L) {
  lua_State *other = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  int top = lua_gettop(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, top, 0);
  if (!lua_gethook(other)) lua_sethook(other, coverage_line, LUA_MASKLINE, 0);
  return 0;
}

// Gives the hook to a state. The debug library must be on top of the stack.
static void coverage_begin(lua_State *L) {
  static const luaL_Reg replaced[] = {{"gethook", coverage_gethook}, {"sethook", coverage_sethook}, {NULL, NULL}};
  for (const luaL_Reg *one = replaced; one->name; one++) {
    lua_getfield(L, -1, one->name);
    lua_pushcclosure(L, one->func, 1);
    lua_setfield(L, -2, one->name);
  }
  lua_sethook(L, coverage_line, LUA_MASKLINE, 0);
}

__attribute__((unused)) static void coverage_openlibs(lua_State *L) {
  luaL_openlibs(L);
  lua_getglobal(L, "debug");
  coverage_begin(L);
  lua_pop(L, 1);
}

__attribute__((unused)) static int coverage_open_debug(lua_State *L) {
  luaopen_debug(L);
  coverage_begin(L);
  return 1;
}

void __gcov_dump(void);

// Replaces _exit, which doesn't write gcov's counters. The handler of a board's time limit calls _exit, too, but may not call __gcov_dump.
__attribute__((unused)) static _Noreturn void coverage_exit(int code) {
  sigset_t blocked;
  if (sigprocmask(SIG_BLOCK, NULL, &blocked) == 0 && !sigismember(&blocked, SIGPROF)) __gcov_dump();
  _exit(code);
}

#define _exit coverage_exit
// A board's process must be able to write the counters.
#define setrlimit(resource, limit) ((resource) == RLIMIT_FSIZE ? 0 : setrlimit(resource, limit))
#define luaL_openlibs coverage_openlibs
#define luaopen_debug coverage_open_debug
