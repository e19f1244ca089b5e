// SPDX-License-Identifier: MIT
// Makes text safe to show on a terminal, and measures its width.
#include "core/text.h"

#include <locale.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#include "core/core_parts.h"
#include "shared/class.h"

// Decodes the code point at `text`, which has at least one byte. Returns the code point's size in bytes, or 0 for invalid UTF-8: a code
// point that is truncated, overlong, a surrogate, or above U+10FFFF.
static size_t decode(const unsigned char *text, size_t length, uint32_t *code) {
  unsigned char first = text[0];
  if (first < 0x80) return *code = first, 1;
  size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || size > length) return 0;
  uint32_t value = first & (0x7F >> size);
  for (size_t i = 1; i < size; i++) {
    if ((text[i] & 0xC0) != 0x80) return 0;
    value = value << 6 | (text[i] & 0x3F);
  }
  if ((size == 3 && value < 0x800) || (size == 4 && value < 0x10000) || value > 0x10FFFF) return 0;
  if (value >= 0xD800 && value <= 0xDFFF) return 0;
  return *code = value, size;
}

static bool is_control(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0);
}

// Returns whether a code point changes the direction of the text after it. Returns false for direction marks, since right-to-left text
// needs them.
static bool is_bidi_control(uint32_t code) {
  return (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

// How text_clean changes the next part of its input: `taken` bytes of the text become the `size` bytes at `bytes`.
typedef struct {
  size_t taken, size;
  const char *bytes;
} piece;

static piece next_piece(const char *text, size_t length) {
  uint32_t code = 0;
  size_t size = decode((const unsigned char *)text, length, &code);
  if (size == 0) return (piece){1, 1, "?"};
  if (code == '\n' || code == '\t' || code == '\r' || code == 0x2028 || code == 0x2029) return (piece){size, 1, " "};
  if (is_control(code) || is_bidi_control(code)) return (piece){size, 1, "?"};
  return (piece){size, size, text};
}

#define ELLIPSIS "\xE2\x80\xA6"

void text_clean(luaL_Buffer *out, const char *text, size_t length, size_t max_bytes) {
  // The first pass determines whether the whole text fits and, if not, where to cut it; the second pass writes the text.
  size_t ellipsis = max_bytes >= strlen(ELLIPSIS) ? strlen(ELLIPSIS) : 0;
  size_t written = 0, until = 0, at = 0;
  while (at < length) {
    piece next = next_piece(text + at, length - at);
    if (next.size > max_bytes - written) break;
    written += next.size;
    at += next.taken;
    if (written <= max_bytes - ellipsis) until = at;
  }
  bool fits = at == length;
  if (fits) until = length;
  for (at = 0; at < until;) {
    piece next = next_piece(text + at, length - at);
    luaL_addlstring(out, next.bytes, next.size);
    at += next.taken;
  }
  if (!fits) luaL_addlstring(out, ELLIPSIS, ellipsis);
}

static int clean(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_Integer max_bytes = luaL_optinteger(L, 2, LUA_MAXINTEGER);
  luaL_argcheck(L, max_bytes >= 0, 2, "must not be negative");
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  text_clean(&out, text, length, (size_t)max_bytes);
  luaL_pushresult(&out);
  return 1;
}

// The class name of the locale object whose wcwidth supports Unicode. The locale for character widths is created when it is first used, and
// exists as long as the Lua state.
#define WIDTHS "omni.widths"

static int widths_release(lua_State *L) {
  locale_t *widths = luaL_checkudata(L, 1, WIDTHS);
  if (*widths) freelocale(*widths);
  *widths = (locale_t)0;
  return 0;
}

static locale_t widths_locale(locale_t *widths) {
  static const char *const names[] = {"C.UTF-8", "en_US.UTF-8"};
  for (size_t i = 0; !*widths && i < sizeof names / sizeof *names; i++)
    *widths = newlocale(LC_CTYPE_MASK, names[i], (locale_t)0);
  return *widths;
}

// columns(text) → how many terminal columns the text takes
// A control character counts as 0 columns, and a character that the locale doesn't support counts as 1. Upvalue: the locale.
static int columns(lua_State *L) {
  size_t length, sum = 0;
  const unsigned char *text = (const unsigned char *)luaL_checklstring(L, 1, &length);
  locale_t wide = (locale_t)0, before = (locale_t)0;
  for (size_t at = 0; at < length;) {
    uint32_t code = 0;
    size_t size = decode(text + at, length - at, &code);
    at += size ? size : 1;
    if (size <= 1) {
      sum += size == 0 || !is_control(code);
      continue;
    }
    if (!wide && (wide = widths_locale(lua_touserdata(L, lua_upvalueindex(1))))) before = uselocale(wide);
    int width = wide ? wcwidth((wchar_t)code) : -1;
    sum += width >= 0 ? (size_t)width : !is_control(code);
  }
  if (wide) uselocale(before);
  lua_pushinteger(L, (lua_Integer)sum);
  return 1;
}

void text_open(lua_State *L) {
  lua_pushcfunction(L, clean);
  lua_setfield(L, -2, "clean");
  locale_t *widths = lua_newuserdatauv(L, sizeof *widths, 0);
  *widths = (locale_t)0;
  static const luaL_Reg widths_methods[] = {{"__gc", widths_release}, {NULL, NULL}};
  class_add(L, WIDTHS, widths_methods);
  luaL_setmetatable(L, WIDTHS);
  lua_pushcclosure(L, columns, 1);
  lua_setfield(L, -2, "columns");
}
