// SPDX-License-Identifier: MIT
// Accepts the callbacks that Lua has registered (expected callbacks) without running Lua. Lua registers a token for each task whose id is
// known. If a callback contains a registered token and the id of the token's task, the listener responds immediately, and stores the
// callback's arrival for Lua. Requests that aren't expected callbacks go to Lua, which also decides how to refuse an invalid callback.
#include <gnutls/crypto.h>
#include <lauxlib.h>
#include <search.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>

#include "core/json_reader.h"
#include "listener/listener.h"
#include "shared/ascii.h"

enum {
  TOKEN = 32,  // number of hexadecimal digits in a token
  DIGEST = 32, // size of a SHA-256 digest in bytes
};

// The response text, which must be the same as in lua/omni/callbacks/receiver.lua.
static const char TEXT[] = "accepted\n";

typedef struct {
  unsigned char digest[DIGEST]; // the token's SHA-256 digest; must be the first field, since the tree compares it
  lua_Integer number;
  char task_id[];
} expected_callback;

typedef struct {
  lua_Integer number;
  bool final; // whether the callback reports that the task is over
} expected_arrival;

static int compare(const void *a, const void *b) {
  return memcmp(a, b, DIGEST);
}

static int hex_digit(char c) {
  c = ascii_lower(c);
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// --- a request

// Returns the expected callback whose token is the last part of the path, or NULL.
static const expected_callback *find(listener *l, const char *path) {
  size_t length = strlen(path);
  if (length > 0 && path[length - 1] == '/') length--;
  if (length <= TOKEN || path[length - TOKEN - 1] != '/') return NULL;
  char token[TOKEN];
  for (size_t i = 0; i < TOKEN; i++) {
    token[i] = ascii_lower(path[length - TOKEN + i]);
    if (hex_digit(token[i]) < 0) return NULL;
  }
  unsigned char digest[DIGEST];
  if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token, sizeof token, digest) != 0) return NULL;
  expected_callback *const *found = tfind(digest, &l->expected, compare);
  return found ? *found : NULL;
}

static bool has_encoding(const buffer *headers) {
  if (!headers->data) return false;
  for (const char *at = headers->data, *end = at + headers->length; at < end;) {
    if (ascii_is(at, "content-encoding")) return true;
    at += strlen(at) + 1; // the value
    at += strlen(at) + 1;
  }
  return false;
}

static bool is_text(const json_document *d, uint32_t value, const char *text) {
  const json_value *v = &d->values[value];
  size_t length = strlen(text);
  return v->end - v->start == length && ascii_equal(d->text + v->start, text, length);
}

// Returns whether a callback's body contains the task's id. Also returns false if the id or the status contains escape sequences, or if the
// body is unusually large; Lua then handles the callback.
static bool names_task(buffer *body, const char *task_id, bool *final) {
  json_document d;
  if (!buffer_reserve(body, 1)) return false;
  body->data[body->length] = '\0';
  if (!json_read_short(body->data, body->length, &d)) return false;
  uint32_t task = json_callback_task(&d), id = json_member_of(&d, task, "task_id", JSON_STRING);
  uint32_t status = json_member_of(&d, task, "status", JSON_STRING);
  if (id == JSON_NONE || status == JSON_NONE || d.values[id].escaped || d.values[status].escaped) return false;
  size_t length = strlen(task_id);
  if (d.values[id].end - d.values[id].start != length || memcmp(d.text + d.values[id].start, task_id, length) != 0) return false;
  *final = is_text(&d, status, "success") || is_text(&d, status, "failed");
  return d.values[status].end > d.values[status].start;
}

bool expected_callback_accept(listener *l, request *r) {
  if (!l->expected || r->file || !r->method || strcmp(r->method, "POST") != 0 || has_encoding(&r->headers)) return false;
  const expected_callback *e = find(l, r->target);
  expected_arrival arrival = {.number = e ? e->number : 0};
  return e && names_task(&r->body, e->task_id, &arrival.final) && buffer_append(&l->arrivals, &arrival, sizeof arrival);
}

// --- for Lua

static void check_digest(lua_State *L, unsigned char digest[DIGEST]) {
  size_t length;
  const char *hex = luaL_checklstring(L, 2, &length);
  bool good = length == 2 * DIGEST;
  for (size_t i = 0; good && i < DIGEST; i++) {
    int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest[i] = (unsigned char)(high * 16 + low);
  }
  luaL_argcheck(L, good, 2, "a SHA-256 expected");
}

// expect(digest, task_id) → number
int expected_callback_add(lua_State *L, listener *l) {
  unsigned char digest[DIGEST];
  check_digest(L, digest);
  size_t length;
  const char *task_id = luaL_checklstring(L, 3, &length);
  if (!l->accepted) {
    l->accepted = MHD_create_response_from_buffer(strlen(TEXT), (void *)(uintptr_t)TEXT, MHD_RESPMEM_PERSISTENT);
    if (l->accepted) MHD_add_response_header(l->accepted, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
  }
  expected_callback_remove(L, l);
  expected_callback *e = l->accepted ? malloc(sizeof *e + length + 1) : NULL;
  if (!e) return luaL_error(L, "not enough memory");
  memcpy(e->digest, digest, DIGEST);
  memcpy(e->task_id, task_id, length + 1);
  e->number = ++l->last_expected;
  if (!tsearch(e, &l->expected, compare)) {
    free(e);
    return luaL_error(L, "not enough memory");
  }
  lua_pushinteger(L, e->number);
  return 1;
}

// forget(digest)
int expected_callback_remove(lua_State *L, listener *l) {
  unsigned char digest[DIGEST];
  check_digest(L, digest);
  expected_callback *const *found = tfind(digest, &l->expected, compare);
  expected_callback *e = found ? *found : NULL;
  if (!e) return 0;
  tdelete(digest, &l->expected, compare);
  free(e);
  return 0;
}

// callback() → number, final | nothing
int expected_callback_next(lua_State *L, listener *l) {
  expected_arrival arrival;
  if (l->arrivals_read == l->arrivals.length) return 0;
  memcpy(&arrival, l->arrivals.data + l->arrivals_read, sizeof arrival);
  l->arrivals_read += sizeof arrival;
  if (l->arrivals_read == l->arrivals.length) l->arrivals_read = l->arrivals.length = 0;
  lua_pushinteger(L, arrival.number);
  lua_pushboolean(L, arrival.final);
  return 2;
}

void expected_callback_free(listener *l) {
  tdestroy(l->expected, free);
  l->expected = NULL;
  buffer_free(&l->arrivals);
  l->arrivals_read = 0;
  if (l->accepted) MHD_destroy_response(l->accepted);
  l->accepted = NULL;
}
