// SPDX-License-Identifier: MIT
// The Lua handle of the ledger, the database that records every submit request. Lua starts a verb and takes the verb's result later, so Lua
// never waits. Each ledger backend is a Lua module that is built with this file.
#include "ledger/ledger.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>
#include <sys/eventfd.h>

#include "ledger/worker.h"
#include "shared/argument.h"
#include "shared/class.h"
#include "shared/field.h"

// The user value of a handle is a table: request → its owner.
typedef struct {
  worker worker;
  bool made;        // worker_release must be called
  lua_Integer busy; // number of requests whose result Lua hasn't taken yet
  request *given;   // the request whose result `finished` returned last, until the caller has handled that result
  buffer notified;  // notifications that Lua takes one by one; each ends with a NUL
  size_t told;      // how many bytes of `notified` Lua has taken
  bool pushing;     // whether `finished` is currently pushing the result of `given`
} ledger;

static ledger *check(lua_State *L) {
  return luaL_checkudata(L, 1, ledger_module);
}

static ledger *check_open(lua_State *L) {
  ledger *l = check(L);
  if (!l->worker.running) luaL_error(L, "the ledger is closed");
  return l;
}

// --- requests in Lua

// Pushes a userdata that frees the request stored in it. After calling push_box, the caller can safely raise an error, or run finalizers
// that use this ledger.
static request **push_box(lua_State *L) {
  request **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, ledger_request_class);
  return box;
}

static int free_box(lua_State *L) {
  request **box = luaL_checkudata(L, 1, ledger_request_class);
  request_free(*box);
  *box = NULL;
  return 0;
}

// --- opening and closing

// open(name) → ledger. Doesn't touch the database yet.
static int open_it(lua_State *L) {
  const char *name = argument_text(L, 1);
  luaL_argcheck(L, *name, 1, "must be a file's path or a database's address");
  ledger *l = lua_newuserdatauv(L, sizeof *l, 1);
  *l = (ledger){.made = false};
  luaL_setmetatable(L, ledger_module);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  l->made = true;
  if (!worker_start(&l->worker, name)) return luaL_error(L, "the ledger's thread can't be started: %s", strerror(errno));
  return 1;
}

static int close_it(lua_State *L) {
  ledger *l = check(L);
  if (l->made) worker_stop(&l->worker);
  return 0;
}

static int release(lua_State *L) {
  ledger *l = check(L);
  if (l->made) worker_release(&l->worker);
  request_free(l->given);
  buffer_free(&l->notified);
  *l = (ledger){.made = false};
  return 0;
}

// --- starting a verb

// Raises an error for a parameter that isn't in the table at index `known`, and for a value that SQL can't store.
static void check_parameters(lua_State *L, int parameters, int known, const char *verb) {
  for (lua_pushnil(L); lua_next(L, parameters); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "ledger: %s: the names of parameters must be strings", verb);
    const char *name = lua_tostring(L, -2);
    if (lua_getfield(L, known, name) == LUA_TNIL) luaL_error(L, "ledger: %s has no parameter '%s'", verb, name);
    lua_pop(L, 1);
    size_t length;
    int kind = lua_type(L, -1);
    if (kind == LUA_TSTRING) {
      const char *text = lua_tolstring(L, -1, &length);
      if (strlen(text) != length) luaL_error(L, "ledger: %s: '%s' must not contain a NUL", verb, name);
    } else if (kind == LUA_TNUMBER) {
      if (isnan(lua_tonumber(L, -1))) luaL_error(L, "ledger: %s: '%s' must be a number, not NaN", verb, name);
    } else if (kind != LUA_TBOOLEAN) {
      luaL_error(L, "ledger: %s: '%s' must be a string, a number or a boolean, not a %s", verb, name, lua_typename(L, kind));
    }
  }
}

// Appends one parameter to the list: its name at index `at` of the Lua stack, and its value at the next index. Never raises an error.
static void note(lua_State *L, int at, values *parameters) {
  size_t length;
  const char *name = lua_tolstring(L, at, &length);
  values_add_text(parameters, name, length);
  if (lua_type(L, at + 1) == LUA_TSTRING) {
    const char *text = lua_tolstring(L, at + 1, &length);
    values_add_text(parameters, text, length);
  } else if (lua_isinteger(L, at + 1)) {
    values_add_integer(parameters, lua_tointeger(L, at + 1));
  } else if (lua_isboolean(L, at + 1)) {
    values_add_integer(parameters, lua_toboolean(L, at + 1));
  } else {
    values_add_real(parameters, lua_tonumber(L, at + 1));
  }
}

// ledger:start(owner, verb, parameters|nil). Upvalue: verb → { its number, parameter = true, ... }.
static int start(lua_State *L) {
  ledger *l = check_open(L);
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "expected an owner, got nil");
  const char *verb = luaL_checkstring(L, 3);
  lua_settop(L, 4);
  if (lua_isnil(L, 4)) {
    lua_newtable(L);
    lua_replace(L, 4);
  }
  luaL_checktype(L, 4, LUA_TTABLE);
  if (lua_getfield(L, lua_upvalueindex(1), verb) == LUA_TNIL) return luaL_error(L, "ledger: unknown verb '%s'", verb);
  check_parameters(L, 4, 5, verb);
  lua_rawgeti(L, 5, 1);
  request **box = push_box(L), *r = *box = request_new((int)lua_tointeger(L, -2));
  if (!r) return luaL_error(L, "not enough memory");
  for (lua_pushnil(L); lua_next(L, 4); lua_pop(L, 1)) note(L, lua_gettop(L) - 1, &r->parameters);
  if (r->parameters.problem) return luaL_error(L, "ledger: %s: %s", verb, r->parameters.problem);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, r);
  if (!l->worker.running) { // a finalizer has closed the ledger
    lua_pushnil(L);
    lua_rawsetp(L, -2, r);
    check_open(L);
  }
  *box = NULL;
  l->busy++;
  worker_add(&l->worker, r);
  return 0;
}

// --- taking results

static void push_value(lua_State *L, const values *rows, const value *c) {
  switch (c->kind) {
    case VALUE_INTEGER: lua_pushinteger(L, c->as.integer); break;
    case VALUE_REAL: lua_pushnumber(L, c->as.real); break;
    case VALUE_TEXT: lua_pushlstring(L, values_text(rows, c), c->as.text.length); break;
    case VALUE_NULL: lua_pushnil(L); break;
  }
}

// Pushes an array of rows. Each row is a table whose keys are the column names.
static void push_rows(lua_State *L, const request *r) {
  const values *rows = &r->rows;
  size_t count = r->columns ? values_count(rows) / r->columns - 1 : 0;
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_createtable(L, 0, (int)r->columns);
    for (size_t column = 0; column < r->columns; column++) {
      push_value(L, rows, values_get(rows, (i + 1) * r->columns + column));
      lua_setfield(L, -2, values_text(rows, values_get(rows, column)));
    }
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void failure_push(lua_State *L, const char *code, const char *message) {
  lua_createtable(L, 0, 2);
  field_set_string(L, "code", code);
  field_set_string(L, "message", message ? message : "the ledger can't be used: not enough memory");
}

// Drops the request whose result Lua has handled. Allocates nothing.
static void drop_given(lua_State *L, ledger *l) {
  lua_getiuservalue(L, 1, 1);
  lua_pushnil(L);
  lua_rawsetp(L, -2, l->given);
  lua_pop(L, 1);
  request_free(l->given);
  l->given = NULL;
  l->busy--;
}

// push_given(ledger) → owner, rows | nil, failure | nil
static int push_given(lua_State *L) {
  const request *r = check(L)->given;
  lua_getiuservalue(L, 1, 1);
  lua_rawgetp(L, -1, r);
  if (r->failed) {
    lua_pushnil(L);
    failure_push(L, "ledger_failed", r->failure);
  } else {
    push_rows(L, r);
    lua_pushnil(L);
  }
  return 3;
}

// ledger:finished() → owner, rows | owner, nil, failure | nothing
// When called with a second argument, `finished` acts as the iterator of a `for` loop. If the body of a `for` loop over `finished` raises
// an error, the next such loop starts with the same result. While `finished` is pushing a result, a finalizer that calls `finished` gets no
// result.
static int finished(lua_State *L) {
  ledger *l = check(L);
  bool iterates = lua_gettop(L) > 1;
  if (!l->made || l->pushing) return 0;
  if (l->given && !lua_isnoneornil(L, 2)) drop_given(L, l);
  if (!l->given && !(l->given = worker_take(&l->worker))) return 0;
  lua_settop(L, 1);
  lua_pushcfunction(L, push_given);
  lua_pushvalue(L, 1);
  l->pushing = true;
  int status = lua_pcall(L, 1, 3, 0);
  l->pushing = false;
  if (status != LUA_OK) return lua_error(L);
  if (!iterates) drop_given(L, l);
  return 3;
}

// --- the pollable

static int pollfd(lua_State *L) {
  lua_pushinteger(L, check_open(L)->worker.wake);
  return 1;
}

static int timeout(lua_State *L) {
  ledger *l = check_open(L);
  if (l->given || worker_has_done(&l->worker)) lua_pushinteger(L, 0);
  else lua_pushnil(L);
  return 1;
}

static int step(lua_State *L) {
  ledger *l = check_open(L);
  eventfd_t ignored;
  eventfd_read(l->worker.wake, &ignored);
  lua_pushboolean(L, l->given || worker_has_done(&l->worker));
  return 1;
}

// ledger:trouble() → why started verbs wait for the database, or nothing
static int trouble(lua_State *L) {
  ledger *l = check(L);
  char text[1024];
  if (!l->made || !worker_trouble(&l->worker, text, sizeof text)) return 0;
  failure_push(L, "ledger_failed", text);
  return 1;
}

// ledger:listen(on): sets whether `notified` returns notifications
static int listen_it(lua_State *L) {
  ledger *l = check_open(L);
  worker_listen(&l->worker, lua_toboolean(L, 2));
  return 0;
}

// ledger:notified() → the next notification of another program, or nothing
static int notified(lua_State *L) {
  ledger *l = check(L);
  if (!l->made) return 0;
  if (l->told == l->notified.length) {
    l->told = 0;
    if (!worker_take_notifications(&l->worker, &l->notified)) return 0;
  }
  const char *text = l->notified.data + l->told;
  lua_pushstring(L, text);
  l->told += strlen(text) + 1;
  return 1;
}

static int busy(lua_State *L) {
  lua_pushinteger(L, check(L)->busy);
  return 1;
}

// --- the module

static bool is_letter(char c) {
  return c >= 'a' && c <= 'z';
}

// Adds the names of the parameters (`:name`) in a verb's SQL to the table at the top of the stack. Ignores colons within quotes, and names
// that begin with "_", whose values come from the backend.
static void add_parameters(lua_State *L, const char *sql) {
  bool quoted = false;
  for (; *sql; sql++) {
    if (*sql == '\'') quoted = !quoted;
    if (quoted || *sql != ':' || !is_letter(sql[1])) continue;
    const char *name = sql + 1;
    size_t length = 0;
    while (is_letter(name[length]) || name[length] == '_' || (name[length] >= '0' && name[length] <= '9')) length++;
    lua_pushlstring(L, name, length);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
  }
}

static void push_verbs(lua_State *L) {
  lua_createtable(L, 0, ledger_verb_count);
  for (int i = 0; i < ledger_verb_count; i++) {
    lua_newtable(L);
    add_parameters(L, ledger_verbs[i].sql);
    lua_pushinteger(L, i);
    lua_rawseti(L, -2, 1);
    lua_setfield(L, -2, ledger_verbs[i].name);
  }
}

int ledger_push_module(lua_State *L) {
  static const luaL_Reg methods[] = {{"finished", finished}, {"busy", busy},     {"trouble", trouble}, {"pollfd", pollfd},
                                     {"listen", listen_it},  {"notified", notified},
                                     {"timeout", timeout},   {"step", step},     {"close", close_it},
                                     {"__gc", release},      {"__close", close_it}, {NULL, NULL}};
  static const luaL_Reg box_methods[] = {{"__gc", free_box}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"open", open_it}, {NULL, NULL}};
  luaL_checkversion(L);
  ledger_check_library(L);
  class_add(L, ledger_request_class, box_methods);
  class_add(L, ledger_module, methods);
  luaL_getmetatable(L, ledger_module);
  lua_getfield(L, -1, "__index");
  push_verbs(L);
  lua_pushcclosure(L, start, 1);
  lua_setfield(L, -2, "start");
  luaL_newlib(L, functions);
  return 1;
}
