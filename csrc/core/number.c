// SPDX-License-Identifier: MIT
// Writes and reads numbers in the same way in every locale.
//
// The program that uses omni may change its locale at any time. In a locale with a decimal comma, C's printf and strtod, and therefore Lua
// and lua-cjson, write 0,5 instead of 0.5, and read [1,2] as one number. While it calls Lua's number functions or lua-cjson, omni sets the
// thread's locale to "C". Numbers that omni passes to lua-cjson contain no decimal point, since lua-cjson would expect the decimal point of
// the locale in which its last instance was created.
#include "core/number.h"

#include <lauxlib.h>
#include <locale.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core_parts.h"

int number_pcall(lua_State *L, int arguments) {
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0); // for "C", newlocale returns a static object, which must not be freed
  locale_t before = plain ? uselocale(plain) : (locale_t)0;
  int outcome = lua_pcall(L, arguments, 1, 0);
  if (plain) uselocale(before);
  return outcome;
}

// --- reading numbers

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *at) {
  while (is_digit(*at)) at++;
  return at;
}

// Writes the number at `at`, which must start with a digit, and returns the position after the number. The text must end with a NUL.
// Doesn't change digits after a second decimal point (`after_point`), as in "-.1.5", so that invalid JSON stays invalid.
static const char *add_number(luaL_Buffer *out, const char *at, bool after_point) {
  const char *whole = at, *point = skip_digits(whole), *fraction = point + 1;
  bool plain = after_point || *point != '.' || !is_digit(*fraction) || (*whole == '0' && point > whole + 1);
  const char *end = plain ? point : skip_digits(fraction);
  if (plain) {
    luaL_addlstring(out, whole, (size_t)(end - whole));
  } else {
    // Leaves out leading zeros, which JSON forbids: 0.05 becomes 5e-2, not 005e-2.
    const char *first = *whole == '0' ? fraction : whole;
    while (*whole == '0' && first < end - 1 && *first == '0') first++;
    if (first == whole) luaL_addlstring(out, whole, (size_t)(point - whole));
    if (first < fraction) first = fraction;
    luaL_addlstring(out, first, (size_t)(end - first));
  }
  long long exponent = plain ? 0 : fraction - end;
  if (*end == 'e' || *end == 'E') {
    const char *sign = end + 1, *digits = sign + (*sign == '-' || *sign == '+');
    const char *after = skip_digits(digits);
    if (after > digits && plain) {
      luaL_addlstring(out, end, (size_t)(after - end));
      end = after;
    } else if (after > digits) {
      // strtoll clamps an exponent that is too large; this is harmless, since as a double the number is 0 or infinite anyway
      long long given = strtoll(sign, NULL, 10);
      if (given < 1LL << 62 && given > -(1LL << 62)) exponent += given;
      else exponent = given / 2;
      end = after;
    }
  }
  if (!plain) {
    char text[32];
    int length = snprintf(text, sizeof text, "e%lld", exponent);
    luaL_addlstring(out, text, (size_t)length);
  }
  return end;
}

// Returns the position after a JSON string whose opening quote is at `at`. Returns the position of the final NUL if the string is
// unterminated.
static const char *skip_string(const char *at) {
  for (at++; *at && *at != '"'; at++)
    if (*at == '\\' && at[1]) at++;
  return *at ? at + 1 : at;
}

// Returns the start of the next number that isn't inside a string, or the end of the JSON text. `at` must not be inside a string.
static const char *next_number(const char *at) {
  while (*at && !is_digit(*at)) at = *at == '"' ? skip_string(at) : at + 1;
  return at;
}

// Returns whether the text contains a decimal point between two digits, even within a string.
static bool may_hold_point(const char *text, size_t length) {
  for (const char *at = text; (at = memchr(at, '.', (size_t)(text + length - at))); at++)
    if (is_digit(at[1]) && at > text && is_digit(at[-1])) return true;
  return false;
}

void number_neutral(lua_State *L, int text, size_t skip) {
  size_t length;
  const char *from = lua_tolstring(L, text, &length) + skip;
  if (!may_hold_point(from, length - skip)) {
    if (skip) lua_pushlstring(L, from, length - skip);
    else lua_pushvalue(L, text);
    return;
  }
  const char *at = next_number(from);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  while (*at) {
    luaL_addlstring(&out, from, (size_t)(at - from));
    from = add_number(&out, at, at > from && at[-1] == '.');
    at = next_number(from);
  }
  luaL_addlstring(&out, from, (size_t)(at - from));
  luaL_pushresult(&out);
}

// --- writing numbers

// format(format, ...) → string.format's text, with a decimal point in every locale. Upvalue: string.format.
static int format(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  if (number_pcall(L, lua_gettop(L) - 1) != LUA_OK) return lua_error(L);
  return 1;
}

void number_open(lua_State *L) {
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_getfield(L, -1, "format");
  lua_remove(L, -2);
  lua_pushcclosure(L, format, 1);
  lua_setfield(L, -2, "format");
}
