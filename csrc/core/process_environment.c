// SPDX-License-Identifier: MIT
// A child process's argument list and environment. The environment contains none of omni's secrets.
#include "core/process_environment.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "shared/ascii.h"

extern char **environ;

char *process_check_text(lua_State *L, const char *what) {
  size_t length;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "process: %s must be a string, not a %s", what, luaL_typename(L, -1));
  const char *text = lua_tolstring(L, -1, &length);
  if (strlen(text) != length) luaL_error(L, "process: %s must not contain a NUL", what);
  return (char *)(uintptr_t)text;
}

// Pops a string, anchors it in the table at `anchor` and appends it to the array.
static void append(lua_State *L, int anchor, char **array, size_t *count, const char *what) {
  array[*count] = process_check_text(L, what);
  lua_rawseti(L, anchor, (lua_Integer)++*count);
}

char **process_check_argv(lua_State *L, int given) {
  luaL_checktype(L, given, LUA_TTABLE);
  size_t total = lua_rawlen(L, given), count = 0;
  luaL_argcheck(L, total > 0, given, "must name a program");
  lua_newtable(L);
  int anchor = lua_gettop(L);
  char **argv = lua_newuserdatauv(L, (total + 1) * sizeof *argv, 0);
  while (count < total) {
    lua_rawgeti(L, given, (lua_Integer)count + 1);
    append(L, anchor, argv, &count, "an argument");
  }
  argv[count] = NULL;
  return argv;
}

// Returns whether the value contains a URL with a user name, and thus perhaps a password. Variables such as http_proxy and DATABASE_URL can
// contain a URL with a login.
static bool holds_login(const char *value) {
  const char *host = strstr(value, "://");
  return host && memchr(host + 3, '@', strcspn(host + 3, "/?#"));
}

// Returns whether an environment entry is, or looks like, a secret. Child processes don't inherit secrets, but a caller can pass them in
// `environment`.
static bool is_secret(const char *entry) {
  static const char *const words[] = {"KEY", "TOKEN", "SECRET", "PASSW", "PASSPHRASE", "CREDENTIAL"};
  size_t length = strcspn(entry, "=");
  if (strncmp(entry, "CRUN_", 5) == 0 || holds_login(entry + length)) return true;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    size_t size = strlen(words[i]);
    for (size_t at = 0; at + size <= length; at++)
      if (ascii_equal(entry + at, words[i], size)) return true;
  }
  return false;
}

char **process_check_environment(lua_State *L) {
  if (lua_isnil(L, -1)) lua_newtable(L);
  if (!lua_istable(L, -1)) luaL_error(L, "process: environment must be a table, not a %s", luaL_typename(L, -1));
  int given = lua_gettop(L), anchor = given + 1;
  size_t total = 0, count = 0;
  for (size_t i = 0; environ && environ[i]; i++) total++;
  for (lua_pushnil(L); lua_next(L, given); lua_pop(L, 1)) total++;
  lua_newtable(L);
  char **all = lua_newuserdatauv(L, (total + 1) * sizeof *all, 0);
  // Reads `environ` again in each iteration, since an allocation may run a finalizer that sets an environment variable.
  for (size_t i = 0; environ && environ[i] && count < total; i++) {
    lua_pushstring(L, environ[i]);
    const char *entry = lua_tostring(L, -1);
    lua_pushlstring(L, entry, strcspn(entry, "="));
    bool replaced = lua_rawget(L, given) != LUA_TNIL;
    lua_pop(L, 1);
    if (replaced || is_secret(entry)) {
      lua_pop(L, 1);
      continue;
    }
    append(L, anchor, all, &count, "an environment variable");
  }
  for (lua_pushnil(L); lua_next(L, given) && count < total;) {
    const char *value = process_check_text(L, "the value of an environment variable");
    lua_pushvalue(L, -2);
    const char *name = process_check_text(L, "the name of an environment variable");
    if (!*name || strchr(name, '=')) luaL_error(L, "process: '%s' can't name an environment variable", name);
    lua_pushfstring(L, "%s=%s", name, value);
    append(L, anchor, all, &count, "an environment variable");
    lua_pop(L, 2);
  }
  all[count] = NULL;
  return all;
}
