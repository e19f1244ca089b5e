// SPDX-License-Identifier: MIT
// The HTTP client as Lua sees it: options in, verbs that start an exchange each, and a pollable. Nothing in it blocks.
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core_parts.h"
#include "pool.h"
#include "task.h"

#define CLIENT "omni.http"
#define API "/api/v1/client/job/"

enum { MAX_KEY = 512 };
enum { CLIENT_VALUE = 1, OWNER = 2 }; // an exchange's user values

typedef struct {
  exchange_settings settings;
  pool pool;
  bool closed;
} client;

// --- opening and closing

static void free_list(struct curl_slist *list) {
  for (struct curl_slist *item = list; item; item = item->next) explicit_bzero(item->data, strlen(item->data));
  curl_slist_free_all(list);
}

static void close_client(client *c) {
  if (c->closed) return;
  c->closed = true;
  pool_close(&c->pool);
  free_list(c->settings.key_headers);
  free_list(c->settings.post_headers);
  free(c->settings.base_url);
  curl_url_cleanup(c->settings.server);
  free(c->settings.user_agent);
  free(c->settings.proxy);
  free(c->settings.ca_file);
}

static client *check_client(lua_State *L) {
  client *c = luaL_checkudata(L, 1, CLIENT);
  if (c->closed) luaL_error(L, "the client is closed");
  return c;
}

// An option that is a string without control characters; NULL when it isn't there. The string is the caller's to free.
static char *string_option(lua_State *L, const char *name) {
  if (lua_getfield(L, 1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  size_t length = 0;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (!text) luaL_error(L, "option '%s' must be a string", name);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) luaL_error(L, "option '%s' holds a control character", name);
  char *copy = strdup(text);
  if (!copy) luaL_error(L, "not enough memory");
  lua_pop(L, 1);
  return copy;
}

static double number_option(lua_State *L, const char *name, double standard, double least, double most) {
  double value = standard;
  if (lua_getfield(L, 1, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "option '%s' must be a number", name);
    value = lua_tonumber(L, -1);
    if (!(value >= least && value <= most)) luaL_error(L, "option '%s' must be a number from %f to %f", name, least, most);
  }
  lua_pop(L, 1);
  return value;
}

static bool is_loopback(const char *host) {
  return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

// Reads base_url; returns why it can't be used, or NULL.
static const char *take_base_url(client *c, char *text) {
  c->settings.base_url = text;
  CURLU *parts = curl_url();
  char *host = NULL, *part = NULL;
  const char *why = NULL;
  if (!parts || curl_url_set(parts, CURLUPART_URL, text, 0) != CURLUE_OK ||
      (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0))
    why = "it must be an http or https URL";
  else if (curl_url_get(parts, CURLUPART_USER, &part, 0) == CURLUE_OK || curl_url_get(parts, CURLUPART_PASSWORD, &part, 0) == CURLUE_OK)
    why = "it must not hold a user or a password";
  else if (strpbrk(text, "?# \\"))
    why = "it must not hold a query, a fragment, a space or a backslash";
  else if (curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
    c->settings.direct = is_loopback(host);
  curl_free(host), curl_free(part);
  curl_url_cleanup(parts);
  for (size_t length = strlen(text); length && text[length - 1] == '/';) text[--length] = '\0';
  return why;
}

// Splits base_url into server and base_path, unless a proxy may have to be given whole URLs. False for lack of memory.
static bool split_base_url(exchange_settings *s) {
  char *host = strstr(s->base_url, "://") + 3;
  size_t length = (size_t)(host - s->base_url) + strcspn(host, "/");
  s->base_path = s->base_url + length;
  bool plain_proxy = tolower((unsigned char)s->base_url[4]) != 's' && (s->proxy ? s->proxy[0] != '\0' : !s->direct);
  if (plain_proxy) return true;
  char *server = strndup(s->base_url, length);
  s->server = curl_url();
  bool fine = server && s->server && curl_url_set(s->server, CURLUPART_URL, server, 0) == CURLUE_OK;
  free(server);
  return fine;
}

static bool add_header(struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer) *list = longer;
  return longer != NULL;
}

// The key goes from Lua into the header lines and nowhere else. Returns why it can't be used, or NULL.
static const char *take_key(client *c, lua_State *L) {
  size_t length;
  lua_getfield(L, 1, "api_key");
  const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (!key) return "it must be a string";
  if (length < 1 || length > MAX_KEY) return "it must be of 1 to 512 characters";
  for (size_t i = 0; i < length; i++)
    if (key[i] <= ' ' || key[i] > '~') return "it must be of printable ASCII characters, without spaces or line breaks";
  char line[sizeof "x-api-key: " + MAX_KEY];
  strcpy(line, "x-api-key: ");
  memcpy(line + strlen(line), key, length + 1);
  bool fine = add_header(&c->settings.key_headers, line) && add_header(&c->settings.post_headers, line);
  explicit_bzero(line, sizeof line);
  if (fine) c->settings.key = c->settings.key_headers->data + strlen("x-api-key: ");
  lua_pop(L, 1);
  return fine ? NULL : "not enough memory";
}

// As lines of our own: what libcurl makes of its options for them it prints twice.
static bool add_common_headers(lua_State *L, exchange_settings *s) {
  const char *agent = lua_pushfstring(L, "User-Agent: %s", s->user_agent);
  bool fine = add_header(&s->key_headers, agent) && add_header(&s->post_headers, agent) &&
              add_header(&s->key_headers, "Accept-Encoding: gzip") && add_header(&s->post_headers, "Accept-Encoding: gzip") &&
              add_header(&s->post_headers, "Content-Type: application/json") &&
              add_header(&s->post_headers, "Expect:"); // a 417 to an explicit one is answered by sending again
  lua_pop(L, 1);
  return fine;
}

static long version_option(lua_State *L) {
  static const char *const names[] = {"auto", "1.1", "2-prior-knowledge", NULL};
  static const long versions[] = {CURL_HTTP_VERSION_2TLS, CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE};
  lua_getfield(L, 1, "http_version");
  const char *wanted = luaL_optstring(L, -1, "auto");
  for (int i = 0; names[i]; i++) {
    if (strcmp(names[i], wanted) == 0) {
      lua_pop(L, 1);
      return versions[i];
    }
  }
  return luaL_error(L, "option 'http_version' must be 'auto', '1.1' or '2-prior-knowledge'");
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
  exchange_settings *s = &c->settings;

  const char *why = "it must be a string";
  char *base_url = string_option(L, "base_url");
  if (!base_url || (why = take_base_url(c, base_url))) return luaL_error(L, "option 'base_url' can't be used: %s", why);
  if ((why = take_key(c, L))) return luaL_error(L, "option 'api_key' can't be used: %s", why);
  s->user_agent = string_option(L, "user_agent");
  if (!s->user_agent && !(s->user_agent = strdup("omni/" OMNI_VERSION))) return luaL_error(L, "not enough memory");
  if (!add_common_headers(L, s)) return luaL_error(L, "not enough memory");
  s->proxy = string_option(L, "proxy");
  s->ca_file = string_option(L, "ca_file");
  if (!split_base_url(s)) return luaL_error(L, "not enough memory");
  s->connect_timeout_ms = (long)ceil(number_option(L, "connect_timeout", 10, 0.001, 86400) * 1000);
  s->timeout_ms = (long)ceil(number_option(L, "timeout", 60, 0.001, 86400) * 1000);
  s->max_bytes = (size_t)number_option(L, "max_bytes", 8 * 1024 * 1024, 1024, 1 << 30);
  s->max_download_bytes = (int64_t)number_option(L, "max_download_bytes", 16.0 * (1 << 30), 1024, 1e15);
  int max_connections = (int)number_option(L, "max_connections", 64, 1, 10000);
  s->http_version = version_option(L);

  if (!pool_open(&c->pool, max_connections)) return luaL_error(L, "can't make a client: %s", strerror(errno));
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
  bool fine = add_header(&x->range_headers, line);
  if (x->validator && strlen(x->validator) < 1000 && !strpbrk(x->validator, "\r\n")) {
    snprintf(line, sizeof line, "If-Range: %s", x->validator);
    fine = fine && add_header(&x->range_headers, line);
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

// progress(exchange) → bytes of the file so far, total | nil, validator | nil
static int exchange_progress(lua_State *L) {
  exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  lua_pushinteger(L, x->file ? download_offset(x->file) : 0);
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

static const luaL_Reg client_methods[] = {{"submit", client_submit},   {"query", client_query},     {"call", client_call},
                                          {"download", client_download}, {"pollfd", client_pollfd},   {"events", client_events},
                                          {"timeout", client_timeout}, {"step", client_step},       {"finished", client_finished},
                                          {"busy", client_busy},       {"running", client_running},        {"owners", client_owners},       {"close", client_close},     {"__gc", client_close},
                                          {"__close", client_close},   {NULL, NULL}};

static const luaL_Reg exchange_methods[] = {{"result", exchange_result}, {"done", exchange_done}, {"progress", exchange_progress}, {"sends", exchange_sends},
                                            {"close", exchange_close},   {"__close", exchange_close},
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
