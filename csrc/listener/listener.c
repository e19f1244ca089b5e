// SPDX-License-Identifier: MIT
// omni.listener: a small HTTP server, based on libmicrohttpd and driven by the caller's event loop.
//
// The library libmicrohttpd runs only inside `step`. When a request is complete, its connection is suspended, and the request joins a
// queue. `listener:next()` takes a request off the queue and returns it to Lua. A response from Lua resumes the connection, and the next
// `step` sends the response. While a connection is suspended, libmicrohttpd doesn't poll it, and no timeout closes it.
#include "listener/listener.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/class.h"
#include "shared/descriptor.h"

#define LISTENER "omni.listener"

enum {
  POOL_EXTRA = 16384,  // bytes per connection for libmicrohttpd's own data and a response's headers, in addition to the request's headers
  CLOSING_ROUNDS = 64, // maximum number of times that a closing listener runs libmicrohttpd in order to send the remaining responses
  MAX_IDLE_STEPS = 16,         // steps
};

// Seconds. While a TLS handshake or a chunk-size line is incomplete, libmicrohttpd 0.9.75 keeps asking to run again immediately. After
// MAX_IDLE_STEPS steps without any event, the listener waits for PAUSE seconds, or until new data arrives.
static const double PAUSE = 0.05;

// The number of seconds that a refused client has to finish sending its request.
static const double LEAVING = 5;

// --- the socket; closing

// Opens a listening socket on a numeric address, and stores the actual address and port in the listener. Returns -1 and writes a message on
// failure.
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
  int fd = descriptor_raise(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  // Makes "::" accept IPv4 connections as well, whatever the system's default is.
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

// Stops the listener: accepts no more requests, drops requests that have no response yet, and sends the responses that it can send without
// waiting.
static void stop(listener *l) {
  l->closing = true;
  l->taken++;
  l->queue = NULL;
  l->queue_end = &l->queue;
  // Resumes suspended connections, since libmicrohttpd aborts the process if a suspended connection is left at the end.
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

// Idempotent.
static void release(listener *l) {
  if (l->daemon) stop(l);
  expected_callback_free(l);
  tls_release(l->credentials);
  free(l->certificate);
  free(l->key);
  free(l->body_directory);
  l->credentials = NULL;
  l->certificate = l->key = l->body_directory = NULL;
}

// --- opening

// Returns the configured maximum number of connections, or half of the process's descriptor limit if that is less.
static unsigned most_connections(lua_Integer wanted) {
  struct rlimit descriptors;
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0 || descriptors.rlim_cur == RLIM_INFINITY) return (unsigned)wanted;
  rlim_t half = descriptors.rlim_cur / 2;
  return half < (rlim_t)wanted ? (unsigned)half : (unsigned)wanted;
}

// Loads the certificate and key that the options name, if any. On failure, writes a message and returns false.
static bool load_tls(listener *l, const listener_options *o, char *message, size_t size) {
  if (!o->certificate) return true;
  snprintf(message, size, "this libmicrohttpd was built without TLS");
  if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) return false;
  snprintf(message, size, "not enough memory");
  l->certificate = strdup(o->certificate);
  l->key = strdup(o->key);
  if (!l->certificate || !l->key) return false;
  l->credentials = tls_load(l->certificate, l->key, message, size);
  return l->credentials != NULL;
}

static struct MHD_Daemon *start(listener *l, const listener_options *o, int fd) {
  static const struct MHD_OptionItem nothing[] = {{MHD_OPTION_END, 0, NULL}};
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
  if (strchr(l->host, ':')) flags |= MHD_USE_IPv6;
  if (l->credentials) flags |= MHD_USE_TLS;
  return MHD_start_daemon(flags, 0, connection_admit, l, request_intake_proceed, l,                               //
                          MHD_OPTION_LISTEN_SOCKET, fd,                                             //
                          MHD_OPTION_CONNECTION_LIMIT, most_connections(o->whole[MAX_CONNECTIONS]), //
                          MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)ceil(o->seconds[IDLE]),          //
                          MHD_OPTION_CONNECTION_MEMORY_LIMIT, 2 * l->max_header + POOL_EXTRA,       //
#if MHD_VERSION >= 0x01000000
                          MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, // request_head.c
#endif
                          MHD_OPTION_NOTIFY_CONNECTION, connection_notify, l,             //
                          MHD_OPTION_URI_LOG_CALLBACK, request_intake_begin, l,             //
                          MHD_OPTION_NOTIFY_COMPLETED, request_intake_finish, l,            //
                          MHD_OPTION_ARRAY, l->credentials ? tls_options : nothing, //
                          MHD_OPTION_END);
}

static int listener_open(lua_State *L) {
  listener_options o = listener_check_options(L);
  listener *l = lua_newuserdatauv(L, sizeof *l, 0);
  *l = (listener){
      .queue_end = &l->queue,
      .max_body = (size_t)o.whole[MAX_BODY],
      .max_bodies = (size_t)o.whole[MAX_BODIES],
      .max_header = (size_t)o.whole[MAX_HEADER],
      .max_per_address = (unsigned)o.whole[MAX_PER_ADDRESS],
      .allowed = {[PHASE_FIRST_HEAD] = o.seconds[HEADER],
                  // This phase includes the time between two requests, when a connection may stay idle for idle_timeout seconds.
                  [PHASE_HEAD] = ceil(o.seconds[IDLE]) + o.seconds[HEADER],
                  [PHASE_BODY] = o.seconds[BODY],
                  [PHASE_LEAVING] = fmin(o.seconds[BODY], LEAVING),
                  [PHASE_ANSWER] = o.seconds[ANSWER]},
  };
  luaL_setmetatable(L, LISTENER);
  descriptor_fill_standard(); // libmicrohttpd opens descriptors, too
  if (o.body_directory && !(l->body_directory = strdup(o.body_directory))) return luaL_error(L, "not enough memory");
  char message[PATH_MAX + 256];
  int fd = load_tls(l, &o, message, sizeof message) ? open_socket(l, o.host, (int)o.whole[PORT], message, sizeof message) : -1;
  if (fd >= 0) {
    l->daemon = start(l, &o, fd);
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
  l->run_again = false;
  unsigned before = connections(l);
  unsigned long calls = l->calls;
  connection_expire(l);
  MHD_run(l->daemon);
  // At its connection limit, libmicrohttpd ignores the listening socket; after a connection has ended, libmicrohttpd must run once more
  // before it accepts another connection.
  if (connections(l) < before) l->run_again = true;
  if (l->calls != calls) l->idle_steps = 0;
  else if (l->idle_steps < MAX_IDLE_STEPS) l->idle_steps++;
  lua_pushboolean(L, l->queue != NULL);
  return 1;
}

static int next(lua_State *L) {
  listener *l = check(L);
  return l->queue && request_push(L, l) ? 1 : 0;
}

static int expect(lua_State *L) {
  return expected_callback_add(L, check_alive(L));
}

static int forget(lua_State *L) {
  return expected_callback_remove(L, check(L));
}

static int callback(lua_State *L) {
  return expected_callback_next(L, check(L));
}

static int timeout(lua_State *L) {
  listener *l = check_alive(L);
  MHD_UNSIGNED_LONG_LONG milliseconds = 0;
  double wait = INFINITY;
  if (MHD_get_timeout(l->daemon, &milliseconds) == MHD_YES) wait = (double)milliseconds / 1000;
  if (l->idle_steps == MAX_IDLE_STEPS) wait = fmax(wait, PAUSE);
  wait = fmin(wait, connection_wait(l));
  if (l->queue || l->run_again || l->arrivals.length > 0) wait = 0;
  if (wait == INFINITY) lua_pushnil(L);
  else lua_pushnumber(L, wait);
  return 1;
}

static int pollfd(lua_State *L) {
  lua_pushinteger(L, MHD_get_daemon_info(check_alive(L)->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
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

// Open connections keep their old certificate.
static int reload(lua_State *L) {
  listener *l = check_alive(L);
  char message[PATH_MAX + 256];
  if (!l->certificate) return luaL_error(L, "this listener has no certificate");
  credentials *renewed = tls_load(l->certificate, l->key, message, sizeof message);
  if (!renewed) {
    lua_pushnil(L);
    lua_pushstring(L, message);
    return 2;
  }
  tls_release(l->credentials);
  l->credentials = renewed;
  lua_pushboolean(L, true);
  return 1;
}

static int listener_close(lua_State *L) {
  release(check(L));
  return 0;
}

LUAMOD_API int luaopen_omni_listener(lua_State *L);

__attribute__((visibility("default"))) int luaopen_omni_listener(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"step", step},     {"next", next}, {"timeout", timeout}, {"pollfd", pollfd},
      {"port", port}, {"host", host},       {"reload", reload},
      {"expect", expect}, {"forget", forget}, {"callback", callback},
      {"close", listener_close}, {"__gc", listener_close}, {"__close", listener_close}, {NULL, NULL},
  };
  static const luaL_Reg functions[] = {{"open", listener_open}, {NULL, NULL}};
  luaL_checkversion(L);
  request_open(L);
  class_add(L, LISTENER, methods);
  luaL_newlib(L, functions);
  return 1;
}
