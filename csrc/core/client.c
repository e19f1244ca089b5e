// SPDX-License-Identifier: MIT
// The HTTP client object for Lua. The client starts exchanges (client_methods.c), and the event loop polls the client. No function blocks.
#include "core/client.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#include "core/core_parts.h"
#include "shared/argument.h"
#include "shared/class.h"
#include "shared/descriptor.h"

#define CLIENT "omni.http"
#define LOCK "omni.http.lock"

// --- the lock

void client_lock(lua_State *L, int arguments) {
  lua_settop(L, arguments);
  lua_pushvalue(L, 1);
  if (luaL_testudata(L, 1, EXCHANGE)) lua_getiuservalue(L, 1, CLIENT_VALUE);
  lua_getiuservalue(L, -1, 2);
  client **lock = lua_touserdata(L, -1);
  lua_replace(L, arguments + 1);
  lua_settop(L, arguments + 1);
  lua_toclose(L, arguments + 1);
  (*lock)->locks++;
}

static int unlock(lua_State *L) {
  client **lock = lua_touserdata(L, 1);
  (*lock)->locks--;
  return 0;
}

static void check_unlocked(lua_State *L, const client *c) {
  if (c->locks) luaL_error(L, "it can't be closed while one of its own methods runs");
}

// --- opening and closing

static void close_client(client *c) {
  if (c->closed) return;
  c->closed = true;
  pool_close(&c->pool);
  client_options_free(&c->options);
}

client *client_check(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  if (c->closed) luaL_error(L, "the client is closed");
  return c;
}

static int open_client(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  client *c = lua_newuserdatauv(L, sizeof *c, 2);
  memset(c, 0, sizeof *c);
  c->pool.poll_set = c->pool.wake = -1;
  luaL_setmetatable(L, CLIENT);
  lua_newtable(L); // anchors the open exchanges: reference → userdata
  lua_setiuservalue(L, 2, 1);
  client **lock = lua_newuserdatauv(L, sizeof *lock, 0);
  *lock = c;
  luaL_setmetatable(L, LOCK);
  lua_setiuservalue(L, 2, 2);
  client_options_read(L, &c->options);
  descriptor_fill_standard(); // libcurl opens descriptors, too
  if (!pool_open(&c->pool, (int)c->options.max_connections)) return luaL_error(L, "can't create a client: %s", strerror(errno));
  return 1;
}

static int client_close(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  check_unlocked(L, c);
  if (!c->closed) {
    close_client(c);
    lua_newtable(L);
    lua_setiuservalue(L, 1, 1);
  }
  return 0;
}

// trust(client, other): lets this client fetch files from the kinds of networks on which the other client has reached the service
static int client_trust(lua_State *L) {
  client *c = client_check(L);
  const client *other = luaL_checkudata(L, 2, CLIENT);
  c->options.network.service |= other->options.network.service;
  return 0;
}

// network(client, url|nil) → { proxy, proxy_from, ... }: the settings for a URL; by default, for the service's URL
static int client_network(lua_State *L) {
  const client *c = client_check(L);
  client_lock(L, 2);
  const char *url = argument_text_or(L, 2, c->options.base_url);
  luaL_argcheck(L, url, 2, "expected a URL, since the client has no account");
  network_push(L, &c->options.network, url);
  return 1;
}

// --- pollable

static int client_pollfd(lua_State *L) {
  lua_pushinteger(L, client_check(L)->pool.poll_set);
  return 1;
}

static int client_timeout(lua_State *L) {
  double left = pool_timeout(&client_check(L)->pool);
  if (left < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, left);
  return 1;
}

static int client_step(lua_State *L) {
  pool_step(&client_check(L)->pool);
  return 0;
}

void client_unanchor(lua_State *L, exchange *x) {
  lua_getiuservalue(L, -1, 1);
  luaL_unref(L, -1, x->anchor);
  lua_pop(L, 1);
}

// finished(client) → the owner of the next finished exchange, or nil
// Over repeated calls, returns the owner of each finished exchange exactly once. When called with a second argument, `finished` acts as the
// iterator of a `for` loop. If the body of a `for` loop over `finished` raises an error, the next such loop starts with the exchange at
// which the error was raised.
static int client_finished(lua_State *L) {
  client *c = client_check(L);
  bool iterates = lua_gettop(L) > 1;
  exchange *x = pool_first_done(&c->pool);
  if (x && x->given && !lua_isnoneornil(L, 2)) {
    pool_report(&c->pool, x);
    x = pool_first_done(&c->pool);
  }
  if (!x) return 0;
  x->given = true;
  if (!iterates) pool_report(&c->pool, x);
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, x->anchor);
  lua_getiuservalue(L, -1, OWNER);
  return 1;
}

// running(client) → the number of exchanges that hold a connection
static int client_running(lua_State *L) {
  lua_pushinteger(L, client_check(L)->pool.running);
  return 1;
}

// owners(client) → array of the owners of all exchanges that `finished` hasn't returned
static int client_owners(lua_State *L) {
  client *c = client_check(L);
  int count = 0;
  client_lock(L, 1);
  lua_newtable(L);
  lua_getiuservalue(L, 1, 1);
  for (exchange_state state = RUNNING; state <= DONE; state++) {
    for (exchange *x = c->pool.lists[state].first; x; x = x->next) {
      lua_rawgeti(L, -1, x->anchor);
      lua_getiuservalue(L, -1, OWNER);
      lua_rawseti(L, -4, ++count);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
  return 1;
}

// busy(client) → whether any exchange is running or finished and not yet returned by `finished`
static int client_busy(lua_State *L) {
  const exchange_list *l = client_check(L)->pool.lists;
  lua_pushboolean(L, l[RUNNING].first || l[FINISHING].first || l[DONE].first);
  return 1;
}

// --- the exchange

static int exchange_result(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  if (x->state == CLOSED) return luaL_error(L, "the exchange is closed");
  if (x->state < DONE) return luaL_error(L, "the exchange is still running");
  client_lock(L, 2);
  return exchange_push_result(L, x);
}

static int exchange_done(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  lua_pushboolean(L, x->state >= DONE);
  return 1;
}

// progress(exchange) → the number of bytes of the file that were received or sent, total | nil, validator | nil
static int exchange_progress(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  lua_pushinteger(L, x->file ? download_offset(x->file) : x->source ? upload_offset(x->source) : 0);
  if (x->total >= 0)
    lua_pushinteger(L, x->total);
  else
    lua_pushnil(L);
  lua_pushstring(L, exchange_validator(x));
  return 3;
}

// stamp(exchange) → the stamp of PATH.part, or nil (see `download`)
static int exchange_stamp(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  char stamp[FILE_STAMP_SIZE];
  if (!x->file) return 0;
  download_stamp(x->file, stamp);
  lua_pushstring(L, stamp);
  return 1;
}

// Returns the exchange at index 1 if it is a complete download whose file doesn't have its final name yet; raises an error for any other
// exchange.
static exchange *check_whole(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  if ((x->state != DONE && x->state != REPORTED) || !x->file || x->kept) luaL_error(L, "expected a complete download");
  return x;
}

// head(exchange, most) → the file's first bytes, its Content-Encoding | nil, PATH.part; or nil, message
static int exchange_head(lua_State *L) {
  exchange *x = check_whole(L);
  lua_Integer most = luaL_checkinteger(L, 2);
  luaL_argcheck(L, most > 0 && most <= 65536, 2, "must be 1 to 65536");
  client_lock(L, 2);
  luaL_Buffer head;
  ssize_t got = download_head(x->file, luaL_buffinitsize(L, &head, (size_t)most), (size_t)most);
  if (got < 0) return luaL_fileresult(L, 0, download_part(x->file));
  luaL_pushresultsize(&head, (size_t)got);
  lua_pushstring(L, exchange_header(x, "Content-Encoding"));
  lua_pushstring(L, download_part(x->file));
  return 3;
}

// keep(exchange, replace): gives the downloaded file its final name. The exchange counts as running until the renamed file is on disk.
static int exchange_keep(lua_State *L) {
  exchange *x = check_whole(L);
  bool replace = lua_toboolean(L, 2);
  lua_getiuservalue(L, 1, CLIENT_VALUE);
  client *c = lua_touserdata(L, -1);
  pool_keep(&c->pool, x, replace);
  return 0;
}

// discard(exchange): empties the downloaded file, so that closing the exchange removes the file
static int exchange_discard(lua_State *L) {
  download_restart(check_whole(L)->file);
  return 0;
}

// header(exchange, name) → the value of a header of a finished exchange's response, or nil
static int exchange_get_header(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  const char *name = luaL_checkstring(L, 2);
  if (x->state != DONE && x->state != REPORTED) return luaL_error(L, "the exchange is still running, or closed");
  lua_pushstring(L, exchange_header(x, name));
  return 1;
}

// sends(exchange) → how often libcurl was about to send a submit; omni stops every attempt after the first
static int exchange_sends(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  lua_pushinteger(L, x->sends);
  return 1;
}

static int exchange_close(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  if (x->state != CLOSED && lua_getiuservalue(L, 1, CLIENT_VALUE) == LUA_TUSERDATA) {
    client *c = lua_touserdata(L, -1);
    check_unlocked(L, c);
    client_unanchor(L, x);
    pool_drop(&c->pool, x);
  }
  return 0;
}


static const luaL_Reg client_methods[] = {{"pollfd", client_pollfd},   {"timeout", client_timeout},
                                          {"step", client_step},       {"finished", client_finished}, {"busy", client_busy},
                                          {"running", client_running}, {"owners", client_owners},     {"close", client_close},
                                          {"trust", client_trust},     {"network", client_network},   {"__gc", client_close},
                                          {"__close", client_close},   {NULL, NULL}};

static const luaL_Reg exchange_methods[] = {{"result", exchange_result}, {"done", exchange_done},   {"progress", exchange_progress},
                                            {"head", exchange_head},       {"keep", exchange_keep},   {"discard", exchange_discard},
                                            {"stamp", exchange_stamp},     {"header", exchange_get_header},
                                            {"sends", exchange_sends},   {"close", exchange_close}, {"__close", exchange_close},
                                            {NULL, NULL}};

void client_open(lua_State *L) {
  static const luaL_Reg lock_methods[] = {{"__close", unlock}, {NULL, NULL}};
  class_add(L, LOCK, lock_methods);
  class_add(L, CLIENT, client_methods);
  class_add(L, CLIENT, client_exchange_methods);
  class_add(L, EXCHANGE, exchange_methods);
  lua_pushcfunction(L, open_client);
  lua_setfield(L, -2, "client");
}
