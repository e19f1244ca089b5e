// SPDX-License-Identifier: MIT
// Reads a listener's options. One row for each of the listener's options, with the option's name, default and limits.
#include <lauxlib.h>
#include <limits.h>
#include <string.h>

#include "listener/listener.h"
#include "shared/argument.h"

enum { BODIES = 64 }; // the default of max_bodies is this many times max_body

static const struct {
  const char *name;
  lua_Integer standard, least, most;
} wholes[WHOLES] = {
    [PORT] = {"port", 0, 0, 65535},
    [MAX_BODY] = {"max_body", 1 << 20, 0, LLONG_MAX / 128},
    [MAX_BODIES] = {"max_bodies", -1, 0, LLONG_MAX}, // -1: BODIES times max_body
    [MAX_HEADER] = {"max_header", 16384, 512, 1 << 24},
    [MAX_CONNECTIONS] = {"max_connections", 1000, 1, INT_MAX},
    [MAX_PER_ADDRESS] = {"max_connections_per_address", 64, 1, INT_MAX},
};

static const struct {
  const char *name;
  double standard;
} times[TIMES] = {
    [IDLE] = {"idle_timeout", 15},
    [HEADER] = {"header_timeout", 15},
    [BODY] = {"body_timeout", 60},
    [ANSWER] = {"answer_timeout", 600},
};

static const char *const texts[] = {"host", "tls_certificate", "tls_key", "body_directory"};

static void check_known(lua_State *L) {
  const char *known[WHOLES + TIMES + sizeof texts / sizeof *texts + 1] = {NULL};
  int count = 0;
  for (int i = 0; i < WHOLES; i++) known[count++] = wholes[i].name;
  for (int i = 0; i < TIMES; i++) known[count++] = times[i].name;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) known[count++] = texts[i];
  argument_check_keys(L, 1, known, "listener.open");
}

static lua_Integer get_whole(lua_State *L, int i) {
  int good = 1;
  lua_Integer n = wholes[i].standard;
  if (lua_getfield(L, 1, wholes[i].name) != LUA_TNIL) {
    n = lua_tointegerx(L, -1, &good);
    if (!good || n < wholes[i].least || n > wholes[i].most)
      luaL_error(L, "listener.open: '%s' must be a whole number from %I to %I", wholes[i].name, (LUAI_UACINT)wholes[i].least,
                 (LUAI_UACINT)wholes[i].most);
  }
  lua_pop(L, 1);
  return n;
}

static double get_seconds(lua_State *L, int i) {
  double n = times[i].standard;
  if (lua_getfield(L, 1, times[i].name) != LUA_TNIL) {
    n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    if (!(n > 0 && n <= 1e9)) luaL_error(L, "listener.open: '%s' must be a number of seconds, more than 0", times[i].name);
  }
  lua_pop(L, 1);
  return n;
}

// Returns a string option, or NULL. The returned string stays on the Lua stack.
static const char *get_text(lua_State *L, const char *name) {
  size_t length;
  if (lua_getfield(L, 1, name) == LUA_TNIL) return NULL;
  if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "listener.open: '%s' must be a string", name);
  const char *text = lua_tolstring(L, -1, &length);
  if (strlen(text) != length) luaL_error(L, "listener.open: '%s' must not contain a NUL", name);
  return text;
}

listener_options listener_check_options(lua_State *L) {
  listener_options o;
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  check_known(L);
  for (int i = 0; i < WHOLES; i++) o.whole[i] = get_whole(L, i);
  for (int i = 0; i < TIMES; i++) o.seconds[i] = get_seconds(L, i);
  if (o.whole[MAX_BODIES] < 0) o.whole[MAX_BODIES] = BODIES * o.whole[MAX_BODY];
  if (o.whole[MAX_BODIES] < o.whole[MAX_BODY]) luaL_error(L, "listener.open: 'max_bodies' must not be less than 'max_body'");
  o.host = get_text(L, texts[0]);
  if (!o.host) o.host = "127.0.0.1";
  o.certificate = get_text(L, texts[1]);
  o.key = get_text(L, texts[2]);
  o.body_directory = get_text(L, texts[3]);
  if (!o.certificate != !o.key) luaL_error(L, "listener.open: 'tls_certificate' and 'tls_key' go together");
  return o;
}
