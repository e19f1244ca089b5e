// SPDX-License-Identifier: MIT
// The HTTP client as Lua sees it: options in, verbs that start an exchange each, and a pollable. Nothing in it blocks.
#include <curl/curl.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "core_parts.h"
#include "pool.h"
#include "task.h"

#define CLIENT "omni.http"
#define API "/api/v1/client/job/"

enum { CLIENT_VALUE = 1, OWNER = 2 }; // an exchange's user values

typedef struct {
  exchange_settings settings;
  pool pool;
  bool closed;
} client;

// --- opening and closing

static void close_client(client *c) {
  if (c->closed) return;
  c->closed = true;
  pool_close(&c->pool);
  settings_free(&c->settings);
}

static client *check_client(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  if (c->closed) luaL_error(L, "the client is closed");
  return c;
}

static int open_client(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  client *c = lua_newuserdatauv(L, sizeof *c, 1);
  memset(c, 0, sizeof *c);
  c->pool.readiness = c->pool.wake = -1;
  luaL_setmetatable(L, CLIENT);
  lua_newtable(L); // anchors the exchanges that aren't closed: reference → userdata
  lua_setiuservalue(L, 2, 1);
  settings_take(L, &c->settings);
  if (!pool_open(&c->pool, (int)c->settings.max_connections)) return luaL_error(L, "can't make a client: %s", strerror(errno));
  return 1;
}

static int client_close(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  if (!c->closed) {
    close_client(c);
    lua_newtable(L);
    lua_setiuservalue(L, 1, 1);
  }
  return 0;
}

// --- verbs: each pushes a new exchange, which the next step starts to send

// Every verb's first argument is the owner: what `finished` returns when the exchange is done.
static exchange *new_exchange(lua_State *L, client *c, exchange_kind kind) {
  exchange *x = lua_newuserdatauv(L, sizeof *x, 2);
  memset(x, 0, sizeof *x);
  x->kind = kind;
  x->state = CLOSED;
  x->total = -1;
  x->settings = &c->settings;
  luaL_setmetatable(L, EXCHANGE);
  lua_pushvalue(L, 1); // the client lives at least as long as its exchanges
  lua_setiuservalue(L, -2, CLIENT_VALUE);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, OWNER);
  return x;
}

static int start(lua_State *L, client *c, exchange *x) {
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, -2);
  x->anchor = luaL_ref(L, -2);
  lua_pop(L, 1);
  pool_start(&c->pool, x);
  return 1;
}

// An exchange that isn't queued yet has no finalizer to free what it owns.
static int no_memory(lua_State *L, exchange *x) {
  exchange_release(x);
  return luaL_error(L, "not enough memory");
}

static void set_url(lua_State *L, exchange *x, const char *base, const char *path) {
  size_t base_length = strlen(base), path_length = strlen(path);
  if (!(x->url = malloc(base_length + path_length + 1))) no_memory(L, x);
  memcpy(x->url, base, base_length);
  memcpy(x->url + base_length, path, path_length + 1);
}

// The body is the string at `index`; its type has been checked.
static void set_body(lua_State *L, exchange *x, int index) {
  const char *body = lua_tolstring(L, index, &x->body_length);
  if (!(x->body = malloc(x->body_length + 1))) no_memory(L, x);
  memcpy(x->body, body, x->body_length + 1);
}

// submit(client, owner, body) → exchange, whose result is the task id
static int client_submit(lua_State *L) {
  client *c = check_client(L);
  luaL_checkstring(L, 3);
  exchange *x = new_exchange(L, c, SUBMIT);
  set_url(L, x, c->settings.base_url, API "CreateTask");
  set_body(L, x, 3);
  return start(L, c, x);
}

// Writes at most three bytes for each of text's, and a NUL.
static void percent_encode(char *out, const char *text, size_t length) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (strchr(plain, byte))
      *out++ = (char)byte;
    else
      *out++ = '%', *out++ = "0123456789ABCDEF"[byte >> 4], *out++ = "0123456789ABCDEF"[byte & 15];
  }
  *out = '\0';
}

// query(client, owner, task_id) → exchange, whose result is the task table
static int client_query(lua_State *L) {
  client *c = check_client(L);
  size_t length;
  const char *id = luaL_checklstring(L, 3, &length);
  luaL_argcheck(L, task_id_valid(id, length), 3, "not a task id (1 to 256 printable ASCII characters without spaces)");
  exchange *x = new_exchange(L, c, QUERY);
  static const char path[] = API "TaskInfo?task_id=";
  const char *base = c->settings.server ? c->settings.base_path : c->settings.base_url;
  size_t base_length = strlen(base);
  char *target = malloc(base_length + sizeof path + length * 3);
  if (!target || !(x->task_id = strdup(id))) {
    free(target);
    return no_memory(L, x);
  }
  *(c->settings.server ? &x->target : &x->url) = target;
  memcpy(target, base, base_length);
  memcpy(target + base_length, path, sizeof path);
  percent_encode(target + base_length + sizeof path - 1, id, length);
  return start(L, c, x);
}

// call(client, owner, method, path, body|nil) → exchange, whose result is the answer's `data`
static int client_call(lua_State *L) {
  client *c = check_client(L);
  static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", NULL};
  const char *method = methods[luaL_checkoption(L, 3, NULL, methods)];
  const char *path = luaL_checkstring(L, 4);
  const char *body = luaL_optstring(L, 5, NULL);
  bool fine = path[0] == '/';
  for (const char *at = path; *at; at++) fine = fine && *at > ' ' && *at <= '~' && *at != '#' && *at != '\\';
  luaL_argcheck(L, fine, 4, "a path begins with '/' and holds printable ASCII characters without spaces");
  exchange *x = new_exchange(L, c, CALL);
  x->method = method;
  set_url(L, x, c->settings.base_url, path);
  if (body) set_body(L, x, 5);
  return start(L, c, x);
}

static void add_range(lua_State *L, exchange *x) {
  char line[1100];
  snprintf(line, sizeof line, "Range: bytes=%lld-", (long long)x->asked_from);
  bool fine = header_add(&x->own_headers, line);
  if (x->validator && strlen(x->validator) < 1000 && !strpbrk(x->validator, "\r\n")) {
    snprintf(line, sizeof line, "If-Range: %s", x->validator);
    fine = fine && header_add(&x->own_headers, line);
  }
  if (!fine) no_memory(L, x);
}

// download(client, owner, url, path, offset, validator|nil, total|nil) → exchange, whose result is the file's size; or nil,
// failure at once. validator and total: what the server said of the file whose beginning PATH.part holds.
static int client_download(lua_State *L) {
  client *c = check_client(L);
  size_t length;
  const char *url = luaL_checklstring(L, 3, &length);
  const char *path = luaL_checkstring(L, 4);
  lua_Integer offset = luaL_optinteger(L, 5, 0);
  const char *validator = luaL_optstring(L, 6, NULL);
  lua_Integer total = luaL_optinteger(L, 7, -1);
  luaL_argcheck(L, offset >= 0, 5, "an offset is 0 or more");
  luaL_argcheck(L, strlen(url) == length, 3, "a URL holds no NUL");
  exchange *x = new_exchange(L, c, DOWNLOAD);
  x->asked_from = offset;
  set_url(L, x, url, "");
  x->expected_total = offset > 0 ? total : -1;
  if (offset > 0 && validator && !(x->validator = strdup(validator))) return no_memory(L, x);
  if (offset > 0) add_range(L, x);
  if ((x->file = download_open(path, offset))) return start(L, c, x);
  int error = errno;
  exchange_release(x);
  lua_pushnil(L);
  lua_pushfstring(L, "%s can't be written: %s", path,
                  error == EWOULDBLOCK ? "another download is writing to it"
                  : error == ELOOP     ? "its .part is a symbolic link"
                                       : strerror(error));
  failure_push(L, "io", lua_tostring(L, -1), false);
  lua_remove(L, -2);
  return 2;
}

static bool is_media_type(const char *text) {
  size_t length = strlen(text);
  for (size_t i = 0; i < length; i++)
    if (text[i] < ' ' || text[i] > '~') return false;
  return length > 0 && length < 256;
}

// upload(client, owner, url, path, content_type) → exchange, whose result is the file's size; or nil, failure at once.
// The file is PUT to the URL, without the key; a redirect isn't followed. Safe to repeat.
static int client_upload(lua_State *L) {
  client *c = check_client(L);
  size_t url_length, path_length;
  const char *url = luaL_checklstring(L, 3, &url_length), *path = luaL_checklstring(L, 4, &path_length);
  const char *type = luaL_checkstring(L, 5);
  luaL_argcheck(L, strlen(url) == url_length, 3, "a URL holds no NUL");
  luaL_argcheck(L, strlen(path) == path_length, 4, "a path holds no NUL");
  luaL_argcheck(L, is_media_type(type), 5, "not a media type");
  const char *type_line = lua_pushfstring(L, "Content-Type: %s", type);
  exchange *x = new_exchange(L, c, UPLOAD);
  set_url(L, x, url, "");
  if (!header_add(&x->own_headers, type_line) || !header_add(&x->own_headers, "Expect:")) return no_memory(L, x);
  if ((x->source = upload_open(path))) {
    x->total = upload_size(x->source);
    return start(L, c, x);
  }
  int error = errno;
  exchange_release(x);
  lua_pushnil(L);
  lua_pushfstring(L, "%s can't be read: %s", path, error == EINVAL ? "it isn't a file" : strerror(error));
  failure_push(L, "io", lua_tostring(L, -1), false);
  lua_remove(L, -2);
  return 2;
}

// --- pollable

static int client_pollfd(lua_State *L) {
  lua_pushinteger(L, check_client(L)->pool.readiness);
  return 1;
}

static int client_events(lua_State *L) {
  lua_pushliteral(L, "r");
  return 1;
}

static int client_timeout(lua_State *L) {
  double left = pool_timeout(&check_client(L)->pool);
  if (left < 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, left);
  return 1;
}

static int client_step(lua_State *L) {
  pool_step(&check_client(L)->pool);
  return 0;
}

// An exchange is anchored from its start until it is closed, so it needs no finalizer; those cost more than all the rest of it.
static void unanchor(lua_State *L, int client_index, exchange *x) {
  lua_getiuservalue(L, client_index, 1);
  luaL_unref(L, -1, x->anchor);
  lua_pop(L, 1);
}

// finished(client) → the owner of the next exchange that is done (each one once), or nil
static int client_finished(lua_State *L) {
  client *c = check_client(L);
  exchange *x = pool_next_done(&c->pool);
  if (!x) return 0;
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, x->anchor);
  lua_getiuservalue(L, -1, OWNER);
  return 1;
}

// running(client) → how many exchanges hold a connection
static int client_running(lua_State *L) {
  lua_pushinteger(L, check_client(L)->pool.running);
  return 1;
}

// owners(client) → array of the owners of all exchanges that haven't been told of
static int client_owners(lua_State *L) {
  client *c = check_client(L);
  int count = 0;
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

// busy(client) → whether anything is running or not yet told
static int client_busy(lua_State *L) {
  const exchange_list *l = check_client(L)->pool.lists;
  lua_pushboolean(L, l[RUNNING].first || l[FINISHING].first || l[DONE].first);
  return 1;
}

// --- the exchange

static int exchange_result(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  if (x->state != DONE && x->state != TOLD) return luaL_error(L, x->state == CLOSED ? "the exchange is closed" : "the exchange still runs");
  return exchange_push_result(L, x);
}

static int exchange_done(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  lua_pushboolean(L, x->state >= DONE);
  return 1;
}

// progress(exchange) → bytes of the file so far (got, or given to the connection), total | nil, validator | nil
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

// sends(exchange) → how often libcurl was about to send a submit (more than once: it was stopped)
static int exchange_sends(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  lua_pushinteger(L, x->sends);
  return 1;
}

static int exchange_close(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  if (x->state != CLOSED && lua_getiuservalue(L, 1, CLIENT_VALUE) == LUA_TUSERDATA) {
    client *c = lua_touserdata(L, -1);
    unanchor(L, lua_gettop(L), x);
    pool_drop(&c->pool, x);
  }
  exchange_release(x);
  return 0;
}

static const luaL_Reg client_methods[] = {{"submit", client_submit},     {"query", client_query},       {"call", client_call},
                                          {"download", client_download}, {"upload", client_upload},     {"pollfd", client_pollfd},
                                          {"events", client_events},     {"timeout", client_timeout},   {"step", client_step},
                                          {"finished", client_finished}, {"busy", client_busy},         {"running", client_running},
                                          {"owners", client_owners},     {"close", client_close},       {"__gc", client_close},
                                          {"__close", client_close},     {NULL, NULL}};

static const luaL_Reg exchange_methods[] = {{"result", exchange_result}, {"done", exchange_done},   {"progress", exchange_progress},
                                            {"sends", exchange_sends},   {"close", exchange_close}, {"__close", exchange_close},
                                            {NULL, NULL}};

static void make_class(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");

  lua_pop(L, 1);
}

void client_open(lua_State *L) {
  make_class(L, CLIENT, client_methods);
  make_class(L, EXCHANGE, exchange_methods);
  lua_pushcfunction(L, open_client);
  lua_setfield(L, -2, "client");
}
