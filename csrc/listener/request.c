// SPDX-License-Identifier: MIT
// The request objects in Lua, and the responses to requests.
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "listener/listener.h"
#include "shared/argument.h"
#include "shared/ascii.h"
#include "shared/class.h"
#include "shared/descriptor.h"
#include "shared/file.h"

#define REQUEST "omni.request"

// in bytes; larger response headers might not fit into the connection's memory along with the request's headers
enum { MAX_RESPONSE_HEADERS = 8192 };

// --- the life of a request

void request_free_body(request *r) {
  if (r->file_fd >= 0) close(r->file_fd);
  if (r->file) unlink(r->file);
  free(r->file);
  buffer_free(&r->body);
  r->file = NULL;
  r->file_fd = -1;
}

void request_free(request *r) {
  if (r->response) MHD_destroy_response(r->response);
  free(r->method);
  free(r->target);
  buffer_free(&r->headers);
  request_free_body(r);
  free(r);
}

void request_wake(request *r, request_state state) {
  r->state = state;
  r->listener->run_again = true;
  connection_enter(r->listener, r->connection, PHASE_ANSWER);
  MHD_resume_connection(r->connection->mhd);
}

// Copies the body into a Lua string, so that the garbage collector knows how much memory the request uses.
bool request_push(lua_State *L, listener *l) {
  request **box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = NULL;
  luaL_setmetatable(L, REQUEST);
  request *r;
  for (;;) {
    if (!(r = l->queue)) return false;
    unsigned long taken = l->taken;
    lua_pushlstring(L, r->body.data ? r->body.data : "", r->body.data ? r->body.length : 0);
    // if `taken` has changed, a finalizer has taken the request or closed the listener during an allocation
    if (l->taken == taken) break;
    lua_pop(L, 1);
  }
  l->taken++;
  lua_setiuservalue(L, -2, 1);
  size_t length = r->body.length;
  buffer_free(&r->body);
  r->body.length = length; // also set for a body in a file; the `size` method returns this length
  l->queue = r->after;
  if (!l->queue) l->queue_end = &l->queue;
  r->after = NULL;
  r->state = REQUEST_HELD;
  r->held = true;
  *box = r;
  return true;
}

static request *check(lua_State *L) {
  request **box = luaL_checkudata(L, 1, REQUEST);
  if (!*box) luaL_error(L, "this request was collected");
  return *box;
}

static int drop_unanswered(lua_State *L) {
  request *r = *(request **)luaL_checkudata(L, 1, REQUEST);
  if (r && r->state == REQUEST_HELD) request_wake(r, REQUEST_DROPPED);
  return 0;
}

static int collect(lua_State *L) {
  request **box = luaL_checkudata(L, 1, REQUEST);
  request *r = *box;
  drop_unanswered(L);
  *box = NULL;
  if (r) r->held = false;
  if (r && !r->connection) request_free(r);
  return 0;
}

// --- the parts of a request

static int method(lua_State *L) {
  lua_pushstring(L, check(L)->method);
  return 1;
}

static int path(lua_State *L) {
  lua_pushstring(L, check(L)->target);
  return 1;
}

static int query(lua_State *L) {
  lua_pushstring(L, check(L)->query); // nil for NULL
  return 1;
}

static int address(lua_State *L) {
  lua_pushstring(L, check(L)->address);
  return 1;
}

static void push_lower(lua_State *L, const char *name, size_t length) {
  luaL_Buffer b;
  char *lower = luaL_buffinitsize(L, &b, length);
  for (size_t i = 0; i < length; i++) lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
  luaL_pushresultsize(&b, length);
}

static int headers(lua_State *L) {
  const request *r = check(L);
  lua_newtable(L);
  if (!r->headers.data) return 1;
  for (const char *at = r->headers.data, *end = at + r->headers.length; at < end;) {
    size_t name_length = strlen(at);
    const char *value = at + name_length + 1;
    push_lower(L, at, name_length);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TSTRING) {
      lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
      lua_remove(L, -2);
    } else {
      lua_pop(L, 1);
      lua_pushstring(L, value);
    }
    lua_rawset(L, -3);
    at = value + strlen(value) + 1;
  }
  return 1;
}

static bool read_body(const char *path, char *to, size_t length) {
  struct stat info;
  int fd = file_open(path, O_RDONLY, 0, &info);
  if (fd < 0) return false;
  ssize_t got = file_read_at(fd, to, length, 0);
  if (got >= 0 && (size_t)got < length) errno = EIO; // the file has become shorter than the body
  descriptor_close(fd);
  return got >= 0 && (size_t)got == length;
}

static int body(lua_State *L) {
  const request *r = check(L);
  if (!r->file) return lua_getiuservalue(L, 1, 1), 1;
  luaL_Buffer b;
  char *room = luaL_buffinitsize(L, &b, r->body.length);
  if (!read_body(r->file, room, r->body.length)) return luaL_error(L, "request: the body can't be read: %s", strerror(errno));
  luaL_pushresultsize(&b, r->body.length);
  return 1;
}

static int size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check(L)->body.length);
  return 1;
}

static int body_file(lua_State *L) {
  lua_pushstring(L, check(L)->file); // nil for NULL
  return 1;
}

// --- the response

typedef struct {
  lua_Integer cut; // number of bytes after which the body ends early; -1: never
  request_end end;
} fault;

// Returns the value of an option that must be a non-negative integer, or `absent` if the option is nil.
static lua_Integer count_field(lua_State *L, int index, const char *name, lua_Integer absent) {
  int good = 1;
  lua_Integer n = absent;
  if (lua_getfield(L, index, name) != LUA_TNIL) {
    n = lua_tointegerx(L, -1, &good);
    if (!good || n < 0) luaL_error(L, "request: '%s' must be a whole number, 0 or more", name);
  }
  lua_pop(L, 1);
  return n;
}

static fault check_fault(lua_State *L, int index) {
  static const char *const known[] = {"cut", "reset", NULL};
  fault f = {.cut = -1};
  if (lua_isnoneornil(L, index)) return f;
  luaL_checktype(L, index, LUA_TTABLE);
  argument_check_keys(L, index, known, "request");
  f.cut = count_field(L, index, "cut", -1);
  if (f.cut >= 0) f.end = END_CUT;
  lua_getfield(L, index, "reset");
  if (lua_toboolean(L, -1)) f.end = END_RESET;
  lua_pop(L, 1);
  return f;
}

// Checks a header and pushes its value as a string. Accepts only numbers and strings as values, since luaL_tolstring would call a
// __tostring metamethod.
static void push_header(lua_State *L, const char *name, size_t length, int value) {
  if (!request_head_is_token(name, length)) luaL_error(L, "request: the name of an answer's header is malformed");
  if (ascii_is(name, "content-length") || ascii_is(name, "transfer-encoding"))
    luaL_error(L, "request: the header '%s' is set by the listener", name);
  if (lua_type(L, value) != LUA_TSTRING && lua_type(L, value) != LUA_TNUMBER)
    luaL_error(L, "request: the header '%s' must be a string or a number", name);
  size_t size;
  lua_pushvalue(L, value);
  const char *text = lua_tolstring(L, -1, &size);
  if (size == 0) luaL_error(L, "request: the header '%s' is empty", name);
  for (size_t i = 0; i < size; i++)
    if (((unsigned char)text[i] < 32 && text[i] != '\t') || text[i] == 127)
      luaL_error(L, "request: the header '%s' holds a control character", name);
}

// Checks the headers in the table at `index` and pushes them as a list of strings: name, value, name, value, ...
static void push_headers(lua_State *L, int index) {
  size_t all = 0, length, size;
  lua_Integer count = 0;
  lua_newtable(L);
  int list = lua_gettop(L);
  if (lua_isnoneornil(L, index)) return;
  luaL_checktype(L, index, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "request: the names of an answer's headers must be strings");
    const char *name = lua_tolstring(L, -2, &length);
    push_header(L, name, length, lua_absindex(L, -1));
    lua_tolstring(L, -1, &size);
    all += length + size + 4;
    if (all > MAX_RESPONSE_HEADERS) luaL_error(L, "request: an answer's headers must not exceed %d bytes", MAX_RESPONSE_HEADERS);
    lua_rawseti(L, list, count + 2);
    lua_pushvalue(L, -2);
    lua_rawseti(L, list, count + 1);
    count += 2;
  }
}

// Adds to a response the headers listed by push_headers. Allocates nothing in Lua, so that no finalizer runs.
static void add_headers(lua_State *L, int list, struct MHD_Response *response) {
  for (lua_Integer i = 1; lua_rawgeti(L, list, i) == LUA_TSTRING; i += 2) {
    const char *name = lua_tostring(L, -1);
    lua_rawgeti(L, list, i + 1);
    if (MHD_add_response_header(response, name, lua_tostring(L, -1)) != MHD_YES)
      luaL_error(L, "request: the header '%s' can't be sent", name);
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
}

// Returns whether the client has reset the connection. A client that has closed only its sending side may still be waiting for the
// response.
static bool connection_gone(const request *r) {
  struct pollfd p = {.fd = connection_socket(r->connection)};
  return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

static int answer(lua_State *L) {
  static const char *const known[] = {"file", "offset", "length", NULL};
  request *r = check(L);
  lua_settop(L, 5);
  lua_Integer status = luaL_checkinteger(L, 2);
  luaL_argcheck(L, status >= 200 && status <= 999, 2, "an HTTP status from 200 to 999 expected");
  push_headers(L, 3); // at index 6
  fault f = check_fault(L, 5);
  const char *file = NULL, *why = NULL;
  lua_Integer offset = 0, length = -1;
  if (lua_istable(L, 4)) {
    argument_check_keys(L, 4, known, "request");
    offset = count_field(L, 4, "offset", 0);
    length = count_field(L, 4, "length", -1);
    lua_getfield(L, 4, "file"); // the path stays on the stack, which keeps the string alive
    size_t size;
    file = luaL_checklstring(L, -1, &size);
    luaL_argcheck(L, strlen(file) == size, 4, "'file' must not contain a NUL");
  } else if (!lua_isnil(L, 4)) {
    luaL_checkstring(L, 4);
  }
  if (r->state == REQUEST_HELD && connection_gone(r)) request_wake(r, REQUEST_DROPPED);
  lua_pushboolean(L, false);
  if (r->state != REQUEST_HELD) return 1;

  // Up to the call to request_wake, this function allocates nothing in Lua, since a finalizer might close the listener. The request
  // immediately owns the new response, so a later error leaks nothing. Frees the response of an earlier call that raised an error.
  if (r->response) MHD_destroy_response(r->response);
  if (file) {
    r->response = response_from_file(r->listener, file, offset, length, f.cut, &why);
  } else {
    size_t size = 0;
    const char *text = lua_isnil(L, 4) ? "" : lua_tolstring(L, 4, &size);
    r->response = response_from_text(r->listener, text, size, f.cut);
  }
  if (why) {
    lua_pushnil(L);
    lua_pushfstring(L, "%s: %s", file, why);
    return 2;
  }
  if (!r->response) return luaL_error(L, "not enough memory");
  add_headers(L, 6, r->response);
  r->status = (unsigned)status;
  r->end = f.end;
  request_wake(r, REQUEST_ANSWERED);
  lua_pushboolean(L, true);
  return 1;
}

static int drop(lua_State *L) {
  request *r = check(L);
  fault f = check_fault(L, 2);
  bool can = r->state == REQUEST_HELD;
  if (can) {
    r->end = f.end;
    request_wake(r, REQUEST_DROPPED);
  }
  lua_pushboolean(L, can);
  return 1;
}

void request_open(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"method", method}, {"path", path},     {"query", query}, {"headers", headers}, {"body", body},
      {"size", size},       {"body_file", body_file},
      {"address", address}, {"answer", answer}, {"drop", drop},
      {"__gc", collect}, {"__close", drop_unanswered}, {NULL, NULL},
  };
  class_add(L, REQUEST, methods);
}
