// SPDX-License-Identifier: MIT
#include "core/json_reader.h"

#include <lauxlib.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

// --- the list of values

// Doubles the memory for a document's values. The memory is a Lua userdata in the document's stack slot, so an error leaks nothing. Without
// Lua, returns false.
static bool grow(lua_State *L, json_document *d) {
  if (!L) return false;
  json_value *more = lua_newuserdatauv(L, (size_t)d->capacity * 2 * sizeof *more, 0);
  memcpy(more, d->values, d->count * sizeof *more);
  lua_replace(L, d->slot);
  d->values = more;
  d->capacity *= 2;
  return true;
}

static const char *fail(json_document *d, const char *why, const char *at) {
  d->why = why;
  d->at = (uint32_t)(at - d->text);
  return NULL;
}

static bool add(lua_State *L, json_document *d, json_type type, const char *start, uint32_t *value) {
  if (d->count == d->capacity && !grow(L, d)) {
    fail(d, "it contains too many values", start);
    return false;
  }
  *value = d->count++;
  d->values[*value] = (json_value){.start = (uint32_t)(start - d->text), .type = (uint8_t)type};
  return true;
}

// Sets the end of a value. The value must be the last value added, or an array or object whose last element is the last value added.
static void end(json_document *d, uint32_t value, const char *at) {
  d->values[value].end = (uint32_t)(at - d->text);
  d->values[value].next = d->count;
}

// --- reading. The text ends with a NUL, and contains no other. Each function returns the position after what it has read, or NULL.

static const char *skip_blanks(const char *at) {
  while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') at++;
  return at;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static int hex_digit(char c) {
  return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Returns the value of four hexadecimal digits, or -1 if there aren't four digits.
static int hex4(const char *at) {
  int value = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(at[i]);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// Decodes the escape sequence at `at`, which starts with a backslash, to a code point. Returns the number of bytes that were read, or 0 for
// an invalid escape sequence.
static size_t read_escape(const char *at, uint32_t *code) {
  static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  if (at[1] != 'u') {
    const char *name = at[1] ? strchr(names, at[1]) : NULL;
    if (!name) return 0;
    *code = (uint32_t)meanings[name - names];
    return 2;
  }
  int unit = hex4(at + 2);
  if (unit < 0) return 0;
  *code = (uint32_t)unit;
  if ((unit & 0xF800) != 0xD800) return 6;
  if (unit & 0x400 || at[6] != '\\' || at[7] != 'u') return 0;
  int low = hex4(at + 8);
  if (low < 0 || (low & 0xFC00) != 0xDC00) return 0;
  *code = 0x10000 + (((uint32_t)unit & 0x3FF) << 10 | ((uint32_t)low & 0x3FF));
  return 12;
}

static const char *read_string(lua_State *L, json_document *d, const char *at, const char *text_end) {
  const char *start = at + 1, *quote = memchr(start, '"', (size_t)(text_end - start));
  uint32_t value;
  if (!quote) return fail(d, "a string has no end", at);
  if (!add(L, d, JSON_STRING, start, &value)) return NULL;
  const char *escape = memchr(start, '\\', (size_t)(quote - start));
  d->values[value].escaped = escape != NULL;
  while (escape) {
    uint32_t code;
    size_t size = read_escape(escape, &code);
    if (size == 0) return fail(d, "invalid escape in a string", escape);
    escape += size;
    if (escape > quote) quote = memchr(escape, '"', (size_t)(text_end - escape)); // the quote was part of the escape
    if (!quote) return fail(d, "a string has no end", at);
    escape = memchr(escape, '\\', (size_t)(quote - escape));
  }
  end(d, value, quote);
  return quote + 1;
}

// Accepts every number that strtod accepts, even "1." and "-.5", but no plus sign, leading zeros, hexadecimal numbers, infinity or NaN.
static const char *read_number(lua_State *L, json_document *d, const char *at) {
  const char *start = at;
  if (*at == '-') at++;
  const char *whole = at;
  if (*at == '0' && (is_digit(at[1]) || (at[1] | 32) == 'x')) return fail(d, "invalid number", start);
  while (is_digit(*at)) at++;
  bool digits = at > whole;
  if (*at == '.' && (digits || is_digit(at[1])))
    for (at++; is_digit(*at); at++) digits = true;
  if (!digits) return fail(d, "invalid number", start);
  if (*at == 'e' || *at == 'E') {
    const char *exponent = at + 1 + (at[1] == '-' || at[1] == '+');
    if (is_digit(*exponent))
      for (at = exponent; is_digit(*at);) at++;
  }
  uint32_t value;
  if (!add(L, d, JSON_NUMBER, start, &value)) return NULL;
  end(d, value, at);
  return at;
}

static const char *read_word(lua_State *L, json_document *d, const char *at, json_type type, const char *word) {
  size_t length = strlen(word);
  uint32_t value;
  if (strncmp(at, word, length) != 0) return fail(d, "expected a value", at);
  if (!add(L, d, type, at, &value)) return NULL;
  end(d, value, at + length);
  return at + length;
}

static const char *read_value(lua_State *L, json_document *d, const char *at, const char *text_end, int depth);

static const char *read_name(lua_State *L, json_document *d, const char *at, const char *text_end) {
  if (*at != '"') return fail(d, "expected a name", at);
  if (!(at = read_string(L, d, at, text_end))) return NULL;
  at = skip_blanks(at);
  return *at == ':' ? skip_blanks(at + 1) : fail(d, "expected a colon", at);
}

// Reads an array or an object. JSON_MAX_DEPTH limits the depth of the recursion.
static const char *read_compound(lua_State *L, json_document *d, const char *at, const char *text_end, int depth) {
  bool object = *at == '{';
  char close = object ? '}' : ']';
  if (depth > JSON_MAX_DEPTH) return fail(d, "it is nested too deeply", at);
  uint32_t value;
  if (!add(L, d, object ? JSON_OBJECT : JSON_ARRAY, at, &value)) return NULL;
  at = skip_blanks(at + 1);
  while (*at != close) {
    if (object && !(at = read_name(L, d, at, text_end))) return NULL;
    if (!(at = read_value(L, d, at, text_end, depth))) return NULL;
    at = skip_blanks(at);
    if (*at == close) break;
    if (*at != ',') return fail(d, object ? "expected a comma or }" : "expected a comma or ]", at);
    at = skip_blanks(at + 1);
    if (*at == close) return fail(d, object ? "expected a name" : "expected a value", at);
  }
  end(d, value, at + 1);
  return at + 1;
}

static const char *read_value(lua_State *L, json_document *d, const char *at, const char *text_end, int depth) {
  switch (*at) {
  case '"': return read_string(L, d, at, text_end);
  case '{': case '[': return read_compound(L, d, at, text_end, depth + 1);
  case 't': return read_word(L, d, at, JSON_TRUE, "true");
  case 'f': return read_word(L, d, at, JSON_FALSE, "false");
  case 'n': return read_word(L, d, at, JSON_NULL, "null");
  default: return *at == '-' || is_digit(*at) ? read_number(L, d, at) : fail(d, "expected a value", at);
  }
}

static bool read_text(lua_State *L, const char *start, size_t length, json_document *d) {
  d->text = start;
  d->values = d->first;
  d->count = 0;
  d->capacity = JSON_INLINE;
  if (length > UINT32_MAX) return fail(d, "it is too long", start);
  const char *text_end = start + length, *nul = memchr(start, '\0', length);
  if (nul) return fail(d, "it contains a NUL byte", nul);
  if (strncmp(start, "\xEF\xBB\xBF", 3) == 0) start += 3; // a byte order mark
  if (start == text_end) return fail(d, "it is empty", start);
  const char *at = read_value(L, d, skip_blanks(start), text_end, 0);
  if (!at) return false;
  at = skip_blanks(at);
  return at == text_end || fail(d, "expected the end", at);
}

bool json_read(lua_State *L, const char *text, size_t length, json_document *d) {
  luaL_checkstack(L, 4, "JSON");
  lua_pushnil(L);
  d->slot = lua_gettop(L);
  return read_text(L, text, length, d);
}

bool json_read_short(const char *text, size_t length, json_document *d) {
  return read_text(NULL, text, length, d);
}

// --- the values

bool json_is(const json_document *d, uint32_t value, json_type type) {
  return value != JSON_NONE && d->values[value].type == type;
}

// Decodes a string that contains escape sequences, and writes the result to `out`. Returns the decoded string's length, which never exceeds
// the string's length in the JSON text.
static size_t unescape(const json_document *d, uint32_t value, char *out) {
  char *start = out;
  const char *at = d->text + d->values[value].start, *stop = d->text + d->values[value].end;
  while (at < stop) {
    if (*at != '\\') {
      *out++ = *at++;
      continue;
    }
    uint32_t code;
    at += read_escape(at, &code);
    if (code < 0x80) {
      *out++ = (char)code;
    } else {
      int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
      *out++ = (char)((0xFF00 >> (more + 1) & 0xFF) | code >> 6 * more); // a UTF-8 sequence's first byte: 110xxxxx, 1110xxxx or 11110xxx
      while (more-- > 0) *out++ = (char)(0x80 | (code >> 6 * more & 0x3F));
    }
  }
  return (size_t)(out - start);
}

// maximum size in bytes of a name with escape sequences; the names that omni looks up have at most 20 characters, each of at most 6 bytes
enum { MAX_NAME = 128 };

static bool is_named(const json_document *d, uint32_t value, const char *name, size_t name_length) {
  const json_value *v = &d->values[value];
  size_t length = v->end - v->start;
  if (!v->escaped) return length == name_length && memcmp(d->text + v->start, name, length) == 0;
  char plain[MAX_NAME];
  return length <= sizeof plain && unescape(d, value, plain) == name_length && memcmp(plain, name, name_length) == 0;
}

uint32_t json_member(const json_document *d, uint32_t object, const char *name) {
  size_t length = strlen(name);
  uint32_t found = JSON_NONE;
  if (!json_is(d, object, JSON_OBJECT)) return JSON_NONE;
  for (uint32_t at = object + 1; at < d->values[object].next; at = d->values[at + 1].next)
    if (is_named(d, at, name, length)) found = at + 1;
  return found;
}

uint32_t json_member_of(const json_document *d, uint32_t object, const char *name, json_type type) {
  uint32_t found = json_member(d, object, name);
  return json_is(d, found, type) ? found : JSON_NONE;
}

uint32_t json_callback_task(const json_document *d) {
  return json_member_of(d, 0, "task_id", JSON_STRING) != JSON_NONE ? 0 : json_member(d, 0, "data");
}

uint32_t json_first(const json_document *d, uint32_t array) {
  return json_is(d, array, JSON_ARRAY) && d->values[array].next > array + 1 ? array + 1 : JSON_NONE;
}

uint32_t json_next(const json_document *d, uint32_t array, uint32_t value) {
  uint32_t next = d->values[value].next;
  return next < d->values[array].next ? next : JSON_NONE;
}

void json_push_text(lua_State *L, const json_document *d, uint32_t value) {
  const json_value *v = &d->values[value];
  lua_pushlstring(L, d->text + v->start, v->end - v->start);
}

void json_push_string(lua_State *L, const json_document *d, uint32_t value) {
  const json_value *v = &d->values[value];
  if (!v->escaped) {
    json_push_text(L, d, value);
    return;
  }
  luaL_Buffer buffer;
  char *out = luaL_buffinitsize(L, &buffer, v->end - v->start);
  luaL_pushresultsize(&buffer, unescape(d, value, out));
}

double json_number(const json_document *d, uint32_t value) {
  const char *at = d->text + d->values[value].start, *stop = d->text + d->values[value].end;
  if (stop - at <= 15) { // a double can represent every whole number of up to 15 digits exactly
    double number = 0;
    const char *digit = at + (*at == '-');
    while (digit < stop && is_digit(*digit)) number = number * 10 + (*digit++ - '0');
    if (digit == stop) return *at == '-' ? -number : number;
  }
  // For "C", newlocale returns a static object, which must not be freed. In the locale "C", strtod expects a decimal point.
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  return plain ? strtod_l(at, NULL, plain) : strtod(at, NULL);
}
