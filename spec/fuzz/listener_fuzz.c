// SPDX-License-Identifier: MIT
// Sends any bytes to a listener and treats the requests as callbacks. Checks for crashes, leaks and Lua errors, for requests that two
// servers could read differently, and for state that remains after the connection has ended. The first byte of the input selects how the
// rest is sent and answered.
#include <arpa/inet.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/core_parts.h"
#include "listener/listener.h"

int luaopen_cjson(lua_State *L);
int luaopen_omni_listener(lua_State *L);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

// Bits of the first byte.
enum { PIECE = 7, HALF_CLOSE = 8, LATER = 16, GONE = 32, LARGE = 64, FAULT = 128 };

static const char program[] =
    "local listener, core = ... "
    "local kept = {} "
    // the token 0123456789abcdef0123456789abcdef
    "local expected = listener:expect('3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9', 'd6956973-2f17-43d4-8514-af6cc3a2f55d')"
    "local function check(request)"
    "  assert(request:path():find('^[^%c ]*$') and #request:body() <= 4096 and request:address() == '192.0.2.1')"
    "  assert(request:method():find('^[%w!#$%%&\\'*+.^_`|~-]+$') and not (request:query() or ''):find('[%c ]'))"
    "  assert(not request:headers()['transfer-encoding'])"
    "  for name, value in pairs(request:headers()) do"
    "    assert(name:find('^[%w!#$%%&\\'*+.^_`|~-]+$') and name == name:lower() and not value:find('[^\\t\\32-\\126\\128-\\255]'))"
    "  end "
    "end "
    "local function answer(request, large, fault)"
    "  local task, failure = core.parse_callback(request:body())"
    "  if task then request:answer(200, nil, large and ('x'):rep(100000) or '', fault and { cut = 3, reset = true } or nil)"
    "  elseif fault then request:drop { reset = large }"
    "  else request:answer(400, { ['X-Why'] = failure.code }, failure.code) end "
    "end "
    "local function serve(later, large, fault)"
    "  listener:step()"
    "  local count = 0 "
    "  for number, final in listener.callback, listener do"
    "    count = count + 1 "
    "    assert(number == expected and type(final) == 'boolean')"
    "  end "
    "  for request in listener.next, listener do"
    "    count = count + 1 "
    "    check(request)"
    "    if later then kept[#kept + 1] = request else answer(request, large, fault) end "
    "  end "
    "  return count "
    "end "
    "local function settle(large, fault)"
    "  for i, request in ipairs(kept) do if i % 3 ~= 0 then answer(request, large, fault) end end "
    "  kept = {} "
    "  collectgarbage() "
    "end "
    // Returns whether a request's head must be refused. Ignores what libmicrohttpd hides: a NUL in place of a CR, and lines before a
    // request that start with a NUL, which it skips like empty lines.
    "local function foul(bytes)"
    "  local count "
    "  bytes = bytes:gsub('%z\\n', '\\r\\n')"
    "  repeat bytes, count = bytes:gsub('^[\\r\\n]+', ''):gsub('^%z[^\\n]*\\n', '') until count == 0 "
    "  local head = bytes:match('^(.-\\n\\r?\\n)')"
    "  return head and (head:find('\\0', 1, true) or head:find('\\n[ \\t]') or head:find('[^\\r]\\n')) ~= nil "
    "end "
    "return serve, settle, foul";

static lua_State *L;
static listener *l;
enum { SERVE = 1, SETTLE, FOUL };

static void require_that(int fine) {
  if (!fine) abort();
}

static void open_state(void) {
  L = luaL_newstate();
  luaL_openlibs(L);
  luaL_requiref(L, "cjson", luaopen_cjson, 0);
  luaL_requiref(L, "omni.listener", luaopen_omni_listener, 0);
  lua_settop(L, 0);
  require_that(luaL_loadstring(L, program) == LUA_OK);
  require_that(luaL_dostring(L, "return require 'omni.listener'.open { max_body = 4096, max_bodies = 8192, max_header = 2048 }") == LUA_OK);
  l = lua_touserdata(L, -1);
  require_that(l != NULL);
  lua_newtable(L);
  envelope_open(L);
  task_open(L);
  require_that(lua_pcall(L, 2, 3, 0) == LUA_OK);
}

// Calls one of the program's functions with the pushed arguments. Returns its number or boolean.
static int call(int function, int arguments) {
  lua_pushvalue(L, function);
  lua_insert(L, -arguments - 1);
  if (lua_pcall(L, arguments, 1, 0) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    abort();
  }
  int result = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return result;
}

static int serve(uint8_t how) {
  lua_pushboolean(L, how & LATER);
  lua_pushboolean(L, how & LARGE);
  lua_pushboolean(L, how & FAULT);
  return call(SERVE, 3);
}

static void settle(uint8_t how) {
  lua_pushboolean(L, how & LARGE);
  lua_pushboolean(L, how & FAULT);
  call(SETTLE, 2);
}

// Checks that the response starts with a status line.
static void drain(int fd, bool *begun) {
  char text[65536];
  for (ssize_t got; (got = recv(fd, text, sizeof text, MSG_DONTWAIT)) > 0; *begun = true)
    if (!*begun) require_that(got < 9 || strncmp(text, "HTTP/1.1 ", 9) == 0);
}

static unsigned connections(void) {
  return MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  static const size_t pieces[] = {65536, 1, 2, 3, 7, 64, 500, 4000};
  if (!L) open_state();
  if (length == 0) return 0;
  uint8_t how = *bytes++;
  length--;
  lua_pushlstring(L, (const char *)bytes, length);
  int foul = call(FOUL, 1), requests = 0, pair[2];
  bool begun = false;
  struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(0xc0000201)}; // 192.0.2.1
  require_that(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
  require_that(MHD_add_connection(l->daemon, pair[0], (struct sockaddr *)&from, sizeof from) == MHD_YES);
  for (size_t at = 0; at < length;) {
    size_t piece = pieces[how & PIECE] < length - at ? pieces[how & PIECE] : length - at;
    if (send(pair[1], bytes + at, piece, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)piece) break;
    at += piece;
    requests += serve(how);
    drain(pair[1], &begun);
  }
  if (how & HALF_CLOSE) shutdown(pair[1], SHUT_WR);
  for (int i = 0; i < 4; i++) {
    requests += serve(how);
    drain(pair[1], &begun);
  }
  if (how & GONE) close(pair[1]);
  settle(how);
  for (int i = 0; i < 4; i++) {
    requests += serve(how & ~LATER);
    if (!(how & GONE)) drain(pair[1], &begun);
  }
  if (!(how & GONE)) close(pair[1]);
  for (int i = 0; i < 64 && connections() > 0; i++) serve(how & ~LATER);
  settle(how);
  require_that(!foul || requests == 0);
  require_that(connections() == 0 && !l->requests && !l->queue && !l->addresses && l->bodies == 0);
  for (phase at = 0; at < PHASES; at++) require_that(!l->first[at] && !l->last[at]);
  return 0;
}
