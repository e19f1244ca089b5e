// SPDX-License-Identifier: MIT
// Uses epoll to combine many descriptors into one pollable descriptor. C modules use poll sets through poll_set.h, and the event loop uses
// them through core.poll_set.
#include "core/poll_set.h"

#include <errno.h>
#include <limits.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/core_parts.h"
#include "shared/class.h"
#include "shared/descriptor.h"

enum { AT_ONCE = 64 };

int poll_set_new(void) {
  return descriptor_raise(epoll_create1(EPOLL_CLOEXEC));
}

bool poll_set_add(int poll_set, int fd, int what, bool known) {
  struct epoll_event event = {.events = 0};
  event.data.fd = fd;
  if (what & READ_READY) event.events |= EPOLLIN;
  if (what & WRITE_READY) event.events |= EPOLLOUT;
  return epoll_ctl(poll_set, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0;
}

void poll_set_remove(int poll_set, int fd) {
  epoll_ctl(poll_set, EPOLL_CTL_DEL, fd, NULL);
}

int poll_set_wait(int poll_set, ready_fd *ready, int room, double seconds) {
  struct epoll_event events[AT_ONCE];
  // Rounds the wait up to whole milliseconds, since a poll that ends too early would turn the event loop into a busy loop.
  int milliseconds = seconds < 0 ? -1 : seconds > INT_MAX / 1000.0 ? INT_MAX : (int)ceil(seconds * 1000);
  int count = epoll_wait(poll_set, events, room < AT_ONCE ? room : AT_ONCE, milliseconds);
  for (int i = 0; i < count; i++) {
    unsigned e = events[i].events;
    ready[i].fd = events[i].data.fd;
    ready[i].what = (e & EPOLLIN ? READ_READY : 0) | (e & EPOLLOUT ? WRITE_READY : 0) | (e & (EPOLLERR | EPOLLHUP) ? BROKEN : 0);
  }
  return count < 0 ? 0 : count;
}

// --- for Lua

#define POLL_SET "omni.poll_set"

static int *check(lua_State *L) {
  int *poll_set = luaL_checkudata(L, 1, POLL_SET);
  if (*poll_set < 0) luaL_error(L, "the poll set is closed");
  return poll_set;
}

static int make(lua_State *L) {
  int *poll_set = lua_newuserdatauv(L, sizeof *poll_set, 0);
  *poll_set = -1;
  luaL_setmetatable(L, POLL_SET);
  if ((*poll_set = poll_set_new()) < 0) return luaL_error(L, "epoll: %s", strerror(errno));
  return 1;
}

static int add(lua_State *L) {
  int *poll_set = check(L), fd = (int)luaL_checkinteger(L, 2);
  if (!poll_set_add(*poll_set, fd, READ_READY, false)) return luaL_error(L, "can't watch descriptor %d: %s", fd, strerror(errno));
  return 0;
}

static int forget(lua_State *L) {
  int *poll_set = check(L);
  poll_set_remove(*poll_set, (int)luaL_checkinteger(L, 2));
  return 0;
}

static int wait_for(lua_State *L) {
  int *poll_set = check(L);
  double seconds = luaL_optnumber(L, 2, -1);
  luaL_checktype(L, 3, LUA_TTABLE);
  ready_fd ready[AT_ONCE];
  int count = poll_set_wait(*poll_set, ready, AT_ONCE, seconds);
  for (int i = 0; i < count; i++) {
    lua_pushboolean(L, 1);
    lua_rawseti(L, 3, ready[i].fd);
  }
  lua_pushinteger(L, count);
  return 1;
}

static int pollfd(lua_State *L) {
  lua_pushinteger(L, *check(L));
  return 1;
}

static int release(lua_State *L) {
  int *poll_set = luaL_checkudata(L, 1, POLL_SET);
  if (*poll_set >= 0) close(*poll_set);
  *poll_set = -1;
  return 0;
}

static const luaL_Reg methods[] = {{"add", add},       {"remove", forget}, {"wait", wait_for}, {"pollfd", pollfd},
                                   {"close", release}, {"__gc", release},  {"__close", release}, {NULL, NULL}};

void poll_set_open(lua_State *L) {
  class_add(L, POLL_SET, methods);
  lua_pushcfunction(L, make);
  lua_setfield(L, -2, "poll_set");
}
