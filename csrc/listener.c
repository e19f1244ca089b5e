// SPDX-License-Identifier: MIT
// omni.listener: a small HTTP server on libmicrohttpd, driven by the caller's own loop.
//
// libmicrohttpd runs inside of `step` only. A request that is complete suspends its connection and is queued; `next` hands
// it to Lua; its answer wakes the connection, and the next `step` sends it. A suspended connection is watched by nobody and
// has no time-out: it waits for its answer.
#include "listener.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENER "omni.listener"

enum {
  POOL_EXTRA = 16384,  // bytes a connection for libmicrohttpd's own records and an answer's headers, beside the request's
  CLOSING_ROUNDS = 64, // how often a closing listener lets answers that were given already get on their way
};

// --- opening and closing

// Opens a socket that listens on a numeric address, and notes the real address and port. -1 with a message when it can't.
static int open_socket(listener *l, const char *host, int port, char *message, size_t size) {
  struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
  struct addrinfo *found = NULL;
  char service[16];
  snprintf(service, sizeof service, "%d", port);
  if (getaddrinfo(strcmp(host, "localhost") ? host : "127.0.0.1", service, &wanted, &found) != 0) {
    snprintf(message, size, "can't listen on '%s': not an IPv4 or IPv6 address", host);
    return -1;
  }
  int yes = 1, no = 0;
  struct sockaddr_storage bound;
  socklen_t length = sizeof bound;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  // "::" takes IPv4 too, whatever the system's default is.
  if (fd >= 0 && found->ai_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
  if (fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0 &&
      getsockname(fd, (struct sockaddr *)&bound, &length) == 0 &&
      getnameinfo((struct sockaddr *)&bound, length, l->host, sizeof l->host, service, sizeof service,
                  NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
    l->port = atoi(service);
  } else {
    snprintf(message, size, "can't listen on %s port %d: %s", host, port, strerror(errno));
    if (fd >= 0) close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  return fd;
}

// Orderly: takes no request any more, drops the unanswered ones, sends given answers as far as that doesn't block. May be
// called again.
static void release(listener *l) {
  if (!l->daemon) return;
  l->closing = true;
  l->queue = NULL;
  l->queue_end = &l->queue;
  // libmicrohttpd ends the whole process when it is stopped with a suspended connection.
  for (request *r = l->requests; r; r = r->next)
    if (r->state == REQUEST_QUEUED || r->state == REQUEST_HELD) request_wake(r, REQUEST_DROPPED);
  for (int round = 0; round < CLOSING_ROUNDS; round++) {
    MHD_UNSIGNED_LONG_LONG wait;
    MHD_run(l->daemon);
    if (MHD_get_timeout(l->daemon, &wait) != MHD_YES || wait > 0) break;
  }
  MHD_stop_daemon(l->daemon);
  l->daemon = NULL;
}

static lua_Integer whole(lua_State *L, const char *name, lua_Integer standard, lua_Integer least, lua_Integer most) {
  int good = 1;
  lua_Integer n = standard;
  if (lua_getfield(L, 1, name) != LUA_TNIL) n = lua_tointegerx(L, -1, &good);
  if (!good || n < least || n > most)
    luaL_error(L, "listener.open: '%s' must be a whole number from %I to %I", name, (LUAI_UACINT)least, (LUAI_UACINT)most);
  lua_pop(L, 1);
  return n;
}

static int listener_open(lua_State *L) {
  static const char *const known[] = {"host",  "port", "max_body", "max_header", "max_connections", "max_connections_per_address",
                                      "idle_timeout", NULL};
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  listener_check_keys(L, 1, known, "listener.open");
  int port = (int)whole(L, "port", 0, 0, 65535);
  size_t max_body = (size_t)whole(L, "max_body", 1 << 20, 0, LLONG_MAX / 4);
  size_t max_header = (size_t)whole(L, "max_header", 16384, 512, 1 << 24);
  unsigned most = (unsigned)whole(L, "max_connections", 1000, 1, INT_MAX);
  unsigned most_each = (unsigned)whole(L, "max_connections_per_address", 64, 1, INT_MAX);
  lua_getfield(L, 1, "idle_timeout");
  double idle = luaL_optnumber(L, -1, 15);
  if (!(idle > 0 && idle <= 1e9)) luaL_error(L, "listener.open: 'idle_timeout' must be a number of seconds, more than 0");
  lua_getfield(L, 1, "host");
  const char *host = luaL_optstring(L, -1, "127.0.0.1");

  listener *l = lua_newuserdatauv(L, sizeof *l, 0);
  memset(l, 0, sizeof *l);
  l->queue_end = &l->queue;
  l->max_body = max_body;
  l->max_header = max_header;
  luaL_setmetatable(L, LISTENER);
  char message[256];
  int fd = open_socket(l, host, port, message, sizeof message);
  if (fd >= 0) {
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | (strchr(l->host, ':') ? MHD_USE_IPv6 : 0), 0, NULL, NULL, intake_proceed, l,
        MHD_OPTION_LISTEN_SOCKET, fd,                                    //
        MHD_OPTION_CONNECTION_LIMIT, most,                               //
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, most_each,                   //
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ceil(idle),             //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, 2 * max_header + POOL_EXTRA, //
        MHD_OPTION_URI_LOG_CALLBACK, intake_begin, l,                    //
        MHD_OPTION_NOTIFY_COMPLETED, intake_finish, l,                   //
        MHD_OPTION_END);
    if (l->daemon) return 1;
    close(fd);
    snprintf(message, sizeof message, "can't listen: the system is out of descriptors or memory");
  }
  lua_pushnil(L);
  lua_pushstring(L, message);
  return 2;
}

// --- methods

static listener *check(lua_State *L) {
  return luaL_checkudata(L, 1, LISTENER);
}

static listener *check_alive(lua_State *L) {
  listener *l = check(L);
  if (!l->daemon) luaL_error(L, "this listener is closed");
  return l;
}

static unsigned connections(const listener *l) {
  return MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

static int step(lua_State *L) {
  listener *l = check_alive(L);
  l->again = false;
  unsigned before = connections(l);
  MHD_run(l->daemon);
  // At its limit libmicrohttpd leaves the listening socket alone, and only one more run takes that up again.
  if (connections(l) < before) l->again = true;
  lua_pushboolean(L, l->queue != NULL);
  return 1;
}

static int next(lua_State *L) {
  listener *l = check(L);
  if (!l->queue) return 0;
  request_push(L, l);
  return 1;
}

static int timeout(lua_State *L) {
  listener *l = check_alive(L);
  MHD_UNSIGNED_LONG_LONG wait = 0;
  if (l->queue || l->again) lua_pushinteger(L, 0);
  else if (MHD_get_timeout(l->daemon, &wait) == MHD_YES) lua_pushnumber(L, (lua_Number)wait / 1000);
  else lua_pushnil(L);
  return 1;
}

static int pollfd(lua_State *L) {
  lua_pushinteger(L, MHD_get_daemon_info(check_alive(L)->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
  return 1;
}

static int events(lua_State *L) {
  lua_pushliteral(L, "r");
  return 1;
}

static int port(lua_State *L) {
  lua_pushinteger(L, check(L)->port);
  return 1;
}

static int host(lua_State *L) {
  lua_pushstring(L, check(L)->host);
  return 1;
}

static int listener_close(lua_State *L) {
  release(check(L));
  return 0;
}

void listener_check_keys(lua_State *L, int index, const char *const known[], const char *what) {
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : luaL_typename(L, -2);
    int i = 0;
    while (known[i] && strcmp(known[i], name)) i++;
    if (!known[i]) luaL_error(L, "%s: unknown option '%s'", what, name);
  }
}

LUAMOD_API int luaopen_omni_listener(lua_State *L);

__attribute__((visibility("default"))) int luaopen_omni_listener(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"step", step},     {"next", next}, {"timeout", timeout}, {"pollfd", pollfd},
      {"events", events}, {"port", port}, {"host", host},       {"close", listener_close},
      {NULL, NULL},
  };
  static const luaL_Reg metamethods[] = {{"__gc", listener_close}, {"__close", listener_close}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", listener_open}, {NULL, NULL}};
  luaL_checkversion(L);
  request_open(L);
  luaL_newmetatable(L, LISTENER);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
