// SPDX-License-Identifier: MIT
// The client's methods that start an exchange. Each method pushes a new exchange; the client's next `step` starts sending the request. Each
// method's first argument is the owner of the new exchange, which can be any Lua value. When an exchange is done, the client's method
// `finished` returns the exchange's owner.
#include "core/client.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "core/envelope.h"
#include "core/task_parser.h"
#include "shared/argument.h"
#include "shared/file.h"

#define API "/api/v1/client/job/"

// --- exchanges

// Pushes a new exchange, which the client keeps alive. Until the exchange is started or abandoned, the caller must not allocate Lua values,
// since a Lua error would leak the exchange's memory.
static exchange *new_exchange(lua_State *L, client *c, const exchange_kind *kind) {
  exchange *x = lua_newuserdatauv(L, sizeof *x, 2);
  memset(x, 0, sizeof *x);
  x->kind = kind;
  x->state = CLOSED;
  x->total = -1;
  x->options = &c->options;
  luaL_setmetatable(L, EXCHANGE);
  lua_pushvalue(L, 1); // keeps the client alive as long as the exchange exists
  lua_setiuservalue(L, -2, CLIENT_VALUE);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, OWNER);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, -2);
  x->anchor = luaL_ref(L, -2);
  lua_pop(L, 1);
  client_check(L); // a finalizer may have closed the client during an allocation
  return x;
}

static int start(client *c, exchange *x) {
  pool_start(&c->pool, x);
  return 1;
}

static void give_up(lua_State *L, exchange *x) {
  exchange_release(x);
  lua_pushvalue(L, 1);
  client_unanchor(L, x);
  lua_pop(L, 1);
}

static int no_memory(lua_State *L, exchange *x) {
  give_up(L, x);
  return luaL_error(L, "not enough memory");
}

static void set_url(lua_State *L, exchange *x, const char *base, const char *path) {
  size_t base_length = strlen(base), path_length = strlen(path);
  if (!(x->url = malloc(base_length + path_length + 1))) no_memory(L, x);
  memcpy(x->url, base, base_length);
  memcpy(x->url + base_length, path, path_length + 1);
}

// Copies the string at `index` into the exchange as the request's body. The caller must have checked that the value is a string.
static void set_body(lua_State *L, exchange *x, int index) {
  const char *body = lua_tolstring(L, index, &x->body_length);
  if (!(x->body = malloc(x->body_length + 1))) no_memory(L, x);
  memcpy(x->body, body, x->body_length + 1);
}

// --- calls to the service

// Returns the client at index 1, which must have an account. Raises an error when the client has no account.
static client *check_account(lua_State *L) {
  client *c = client_check(L);
  if (!c->options.base_url) luaL_error(L, "the client has no account");
  return c;
}

// submit(client, owner, body) → exchange; its result is the task id
static int client_submit(lua_State *L) {
  client *c = check_account(L);
  luaL_checkstring(L, 3);
  exchange *x = new_exchange(L, c, &exchange_submit);
  set_url(L, x, c->options.base_url, API "CreateTask");
  set_body(L, x, 3);
  return start(c, x);
}

// Writes `text` in percent-encoded form to `out`, which must have room for three bytes per byte of `text`, plus a NUL.
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

// query(client, owner, task_id) → exchange; its result is the task table
static int client_query(lua_State *L) {
  client *c = check_account(L);
  size_t length;
  const char *id = luaL_checklstring(L, 3, &length);
  luaL_argcheck(L, task_id_valid(id, length), 3, "not a task id (1 to 256 printable ASCII characters without spaces)");
  exchange *x = new_exchange(L, c, &exchange_query);
  static const char path[] = API "TaskInfo?task_id=";
  const char *base = c->options.server ? c->options.base_path : c->options.base_url;
  size_t base_length = strlen(base);
  char *target = malloc(base_length + sizeof path + length * 3);
  if (!target || !(x->task_id = strdup(id))) {
    free(target);
    return no_memory(L, x);
  }
  *(c->options.server ? &x->target : &x->url) = target;
  memcpy(target, base, base_length);
  memcpy(target + base_length, path, sizeof path);
  percent_encode(target + base_length + sizeof path - 1, id, length);
  return start(c, x);
}

// call(client, owner, method, path, body|nil) → exchange; its result is the response's `data`
static int client_call(lua_State *L) {
  client *c = check_account(L);
  static const char *const methods[] = {"GET", "POST", "PUT", "DELETE", "PATCH", NULL};
  const char *method = methods[luaL_checkoption(L, 3, NULL, methods)];
  const char *path = argument_text(L, 4);
  const char *body = luaL_optstring(L, 5, NULL);
  bool fine = path[0] == '/';
  for (const char *at = path; *at; at++) fine = fine && *at > ' ' && *at <= '~' && *at != '#' && *at != '\\';
  luaL_argcheck(L, fine, 4, "must start with '/' and contain only printable ASCII characters without spaces");
  exchange *x = new_exchange(L, c, &exchange_call);
  x->method = method;
  set_url(L, x, c->options.base_url, path);
  if (body) set_body(L, x, 5);
  return start(c, x);
}

// --- requests to any server, without the key

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

// Raises an error if the client signs its requests and the URL doesn't belong to the client's object store, since no other server may
// receive a signature.
static void check_covered(lua_State *L, const client *c, const char *url) {
  if (!signing_covers(&c->options.signing, url)) luaL_error(L, "this client sends requests to its store only");
}

// Pushes nil and a failure if the URL contains an address that omni refuses to connect to. Behind a proxy, omni can check only URLs that
// contain an IP address, since the proxy looks up host names itself.
static bool push_if_refused(lua_State *L, const client *c, const char *url) {
  refused_address refused;
  check_covered(L, c, url);
  if (c->options.signing.url) return false;
  if (network_allows_url(&c->options.network, url, &refused)) return false;
  lua_pushnil(L);
  exchange_push_refusal(L, &refused);
  return true;
}

// Replaces the message at the top of the stack with a failure. The caller must have pushed nil and then the message. Returns the number of
// pushed values.
static int push_io_failure(lua_State *L) {
  failure_push(L, "io", lua_tostring(L, -1), false);
  lua_remove(L, -2);
  return 2;
}

// download(client, owner, url, path, offset, stamp|nil, validator|nil, total|nil) → exchange, or nil and a failure
// A download's result is the size of the downloaded file in bytes. The arguments `offset` and `stamp` describe the state in which the
// previous attempt left PATH.part; `validator` and `total` come from the server's response to that attempt.
static int client_download(lua_State *L) {
  client *c = client_check(L);
  const char *url = argument_text(L, 3), *path = argument_text(L, 4);
  lua_Integer offset = luaL_optinteger(L, 5, 0);
  const char *stamp = argument_text_or(L, 6, NULL), *validator = argument_text_or(L, 7, NULL);
  lua_Integer total = luaL_optinteger(L, 8, -1);
  luaL_argcheck(L, offset >= 0, 5, "must be 0 or more");
  if (push_if_refused(L, c, url)) return 2;
  exchange *x = new_exchange(L, c, &exchange_download);
  set_url(L, x, url, "");
  if ((x->file = download_open(path, offset, stamp))) {
    x->asked_from = offset = download_offset(x->file);
    x->expected_total = offset > 0 ? total : -1;
    if (offset > 0 && validator && !(x->validator = strdup(validator))) return no_memory(L, x);
    if (offset > 0) add_range(L, x);
    if (!signing_add_headers(&c->options.signing, &x->own_headers, NULL)) return no_memory(L, x);
    return start(c, x);
  }
  int error = errno;
  give_up(L, x);
  lua_pushnil(L);
  if (error == EEXIST)
    lua_pushfstring(L, "%s can't be written: it is no regular file", path);
  else
    lua_pushfstring(L, "%s.part can't be written: %s", path,
                    error == EWOULDBLOCK ? "another download is writing to it"
                    : error == EMLINK    ? "it has other names, too"
                                         : file_problem(error));
  return push_io_failure(L);
}

static bool is_media_type(const char *text) {
  size_t length = strlen(text);
  for (size_t i = 0; i < length; i++)
    if (text[i] < ' ' || text[i] > '~') return false;
  return length > 0 && length < 256;
}

// Returns NULL if there is no argument at `index`, and otherwise the argument, which must be "UNSIGNED-PAYLOAD" or a SHA-256 digest in
// hexadecimal digits.
static const char *check_sha256(lua_State *L, int index) {
  const char *sha256 = argument_text_or(L, index, NULL);
  bool is_digest = sha256 && strlen(sha256) == 64 && strspn(sha256, "0123456789abcdef") == 64;
  luaL_argcheck(L, !sha256 || is_digest || strcmp(sha256, "UNSIGNED-PAYLOAD") == 0, index, "not a SHA-256");
  return sha256;
}

// upload(client, owner, url, path, content_type, sha256|nil, first|nil, length|nil) → exchange, or nil and a failure
// Sends the whole file, or `length` bytes starting at the offset `first`, in a PUT request without the API key. The exchange's result is
// the number of bytes sent. A client that signs its requests needs `sha256`, the digest of the bytes to send. A caller can safely repeat an
// upload.
static int client_upload(lua_State *L) {
  client *c = client_check(L);
  const char *url = argument_text(L, 3), *path = argument_text(L, 4), *type = argument_text(L, 5), *sha256 = check_sha256(L, 6);
  lua_Integer first = luaL_optinteger(L, 7, 0), length = luaL_optinteger(L, 8, -1);
  luaL_argcheck(L, is_media_type(type), 5, "not a media type");
  luaL_argcheck(L, first >= 0, 7, "must be 0 or more");
  if (push_if_refused(L, c, url)) return 2;
  const char *type_line = lua_pushfstring(L, "Content-Type: %s", type);
  exchange *x = new_exchange(L, c, &exchange_upload);
  set_url(L, x, url, "");
  // libcurl would sign an empty "Expect:" header, although it doesn't send that header
  bool fine = header_add(&x->own_headers, type_line) && (c->options.signing.url || header_add(&x->own_headers, "Expect:"));
  if (!fine || !signing_add_headers(&c->options.signing, &x->own_headers, sha256)) return no_memory(L, x);
  if ((x->source = upload_open(path, first, length))) {
    x->total = upload_size(x->source);
    return start(c, x);
  }
  int error = errno;
  give_up(L, x);
  lua_pushnil(L);
  lua_pushfstring(L, "%s can't be read: %s", path, file_problem(error));
  return push_io_failure(L);
}

// post(client, owner, url, body, content_type) → exchange
// Whatever the HTTP status is, the exchange's result is { status, text }, where `text` is the beginning of the response's body. Sends the
// request at most once and without the API key, and doesn't follow redirects.
static int client_post(lua_State *L) {
  client *c = client_check(L);
  const char *url = argument_text(L, 3), *type = argument_text(L, 5);
  luaL_checkstring(L, 4);
  luaL_argcheck(L, is_media_type(type), 5, "not a media type");
  check_covered(L, c, url);
  const char *type_line = lua_pushfstring(L, "Content-Type: %s", type);
  exchange *x = new_exchange(L, c, &exchange_post);
  set_url(L, x, url, "");
  set_body(L, x, 4);
  if (!header_add(&x->own_headers, type_line) || !header_add(&x->own_headers, "Expect:")) return no_memory(L, x);
  return start(c, x);
}

// request(client, owner, method, url, body|nil, sha256|nil) → exchange, whose result is { status, text, length, etag } for any status.
// `sha256` is the SHA-256 digest of the request's body. Sends the request without the API key; libcurl may send the request twice. Follows
// no redirect.
static int client_request(lua_State *L) {
  client *c = client_check(L);
  static const char *const methods[] = {"HEAD", "GET", "POST", "PUT", "DELETE", NULL};
  const char *method = methods[luaL_checkoption(L, 3, NULL, methods)], *url = argument_text(L, 4), *sha256 = check_sha256(L, 6);
  bool has_body = !lua_isnoneornil(L, 5);
  if (has_body) luaL_checkstring(L, 5);
  if (push_if_refused(L, c, url)) return 2;
  exchange *x = new_exchange(L, c, &exchange_request);
  x->method = method;
  set_url(L, x, url, "");
  if (has_body) set_body(L, x, 5);
  if (!signing_add_headers(&c->options.signing, &x->own_headers, sha256)) return no_memory(L, x);
  return start(c, x);
}

const luaL_Reg client_exchange_methods[] = {{"submit", client_submit},     {"query", client_query},   {"call", client_call},
                                 {"download", client_download}, {"upload", client_upload}, {"post", client_post},
                                 {"request", client_request},
                                 {NULL, NULL}};
