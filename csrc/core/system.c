// SPDX-License-Identifier: MIT
// The few things of the operating system that Lua lacks: a clock that never jumps, terminals, files; and text made
// safe to show.
#include "core/system.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <locale.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "shared/argument.h"
#include "core/core_parts.h"
#include "shared/class.h"
#include "shared/clock.h"
#include "shared/file.h"

// --- text

// Decodes the code point at `text` (length > 0 bytes are there) and answers how many bytes it has; 0 where that is
// not valid UTF-8: cut short, overlong, a surrogate, above U+10FFFF.
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

// Marks, which only hint a direction, are none: texts that are written from right to left need them.
static bool is_bidi_control(uint32_t code) {
  return (code >= 0x202A && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

// What stands for the next bytes of a text: `taken` of them become `size` bytes at `bytes`.
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

void system_clean(luaL_Buffer *out, const char *text, size_t length, size_t max_bytes) {
  // Once to see whether all of it fits and, if not, where to cut; once more to write it.
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
  system_clean(&out, text, length, (size_t)max_bytes);
  luaL_pushresult(&out);
  return 1;
}

// The locale whose wcwidth knows Unicode, made when first needed; it lives as long as the Lua state.
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

// Upvalue: the locale. Control characters take no column, what the locale doesn't know takes one.
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

// --- clock and terminal

static int now(lua_State *L) {
  lua_pushnumber(L, clock_now());
  return 1;
}

static int terminal(lua_State *L) {
  lua_Integer fd = luaL_checkinteger(L, 1);
  luaL_argcheck(L, fd >= 0 && fd <= 2, 1, "must be 0, 1 or 2");
  struct winsize size;
  if (!isatty((int)fd)) lua_pushnil(L);
  else lua_pushinteger(L, ioctl((int)fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80);
  return 1;
}

// --- files

void system_stamp(const struct stat *status, char stamp[STAMP_SIZE]) {
  snprintf(stamp, STAMP_SIZE, "%jx:%jx:%jx:%jx.%lx:%jx.%lx", (uintmax_t)status->st_dev, (uintmax_t)status->st_ino,
           (uintmax_t)status->st_size, (uintmax_t)status->st_mtim.tv_sec, status->st_mtim.tv_nsec, (uintmax_t)status->st_ctim.tv_sec,
           status->st_ctim.tv_nsec);
}

// nil, "PATH: why", errno; after file_open
static int push_file_problem(lua_State *L, const char *path) {
  int error = errno;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", path, file_problem(error));
  lua_pushinteger(L, error);
  return 3;
}

static int close_stream(lua_State *L) {
  luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
  return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

// open(path, "r" or "x") → a file of Lua's | nil, message, errno
static int open_file(lua_State *L) {
  static const char *const modes[] = {"r", "x", NULL};
  const char *path = argument_text(L, 1);
  bool reads = luaL_checkoption(L, 2, "r", modes) == 0;
  luaL_Stream *stream = lua_newuserdatauv(L, sizeof *stream, 0);
  stream->closef = NULL; // closed, for now
  luaL_getmetatable(L, LUA_FILEHANDLE);
  if (lua_isnil(L, -1)) return luaL_error(L, "the library io is not open");
  lua_setmetatable(L, -2);
  struct stat info;
  int fd = file_open(path, reads ? O_RDONLY : O_WRONLY | O_CREAT | O_EXCL, 0666, &info);
  if (fd < 0) return push_file_problem(L, path);
  if (!(stream->f = fdopen(fd, reads ? "r" : "w"))) {
    int error = errno;
    close(fd);
    errno = error;
    return luaL_fileresult(L, 0, path);
  }
  stream->closef = close_stream;
  return 1;
}

// rename_new(from, to) → true | nil, message, errno
static int rename_new(lua_State *L) {
  const char *from = argument_text(L, 1), *to = argument_text(L, 2);
  return luaL_fileresult(L, file_rename_new(from, to), to);
}

static int file_status(lua_State *L) {
  const char *path = argument_text(L, 1);
  struct stat status;
  char stamp[STAMP_SIZE];
  if (stat(path, &status) != 0) return luaL_fileresult(L, 0, path);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, S_ISREG(status.st_mode) ? "file" : S_ISDIR(status.st_mode) ? "directory" : "other");
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, status.st_mode & 07777);
  lua_setfield(L, -2, "mode");
  lua_pushinteger(L, (lua_Integer)status.st_size);
  lua_setfield(L, -2, "size");
  lua_pushnumber(L, (lua_Number)status.st_mtim.tv_sec + (lua_Number)status.st_mtim.tv_nsec / 1e9);
  lua_setfield(L, -2, "mtime");
  system_stamp(&status, stamp);
  lua_pushstring(L, stamp);
  lua_setfield(L, -2, "stamp");
  return 1;
}

static int make_directory(lua_State *L) {
  const char *path = argument_text(L, 1);
  lua_Integer mode = luaL_optinteger(L, 2, 0777);
  luaL_argcheck(L, mode >= 0 && mode <= 07777, 2, "must be permissions");
  bool made = mkdir(path, (mode_t)mode) == 0;
  if (!made && errno == EEXIST) {
    struct stat status;
    made = stat(path, &status) == 0 && S_ISDIR(status.st_mode);
    if (!made) errno = EEXIST;
  }
  return luaL_fileresult(L, made, path);
}

// The absolute path of a file that is there, without links in it.
static int real_path(lua_State *L) {
  const char *path = argument_text(L, 1);
  char found[PATH_MAX];
  if (!realpath(path, found)) return luaL_fileresult(L, 0, path);
  lua_pushstring(L, found);
  return 1;
}

// Gives a file a second name; never replaces what is there.
static int link_file(lua_State *L) {
  const char *from = argument_text(L, 1), *to = argument_text(L, 2);
  return luaL_fileresult(L, link(from, to) == 0, to);
}

static int make_temporary_directory(lua_State *L) {
  const char *prefix = argument_text(L, 1);
  luaL_argcheck(L, !strchr(prefix, '/'), 1, "must be a name, not a path");
  const char *parent = getenv("TMPDIR");
  if (!parent || !*parent) parent = "/tmp";
  const char *path = lua_pushfstring(L, "%s/%sXXXXXX", parent, prefix);
  size_t size = strlen(path) + 1;
  char *made = memcpy(lua_newuserdatauv(L, size, 0), path, size);
  if (!mkdtemp(made)) return luaL_fileresult(L, 0, path);
  lua_pushstring(L, made);
  return 1;
}

static int remove_path(lua_State *L) {
  const char *path = argument_text(L, 1);
  return luaL_fileresult(L, remove(path) == 0, path);
}

// A file that is locked for as long as this lives, or until it is closed.
#define LOCK "omni.lock"

static int lock_release(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, LOCK);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

// lock(path) → lock | nil, message, errno. The file is made when it isn't there, and stays.
static int lock(lua_State *L) {
  const char *path = argument_text(L, 1);
  int *fd = lua_newuserdatauv(L, sizeof *fd, 0);
  *fd = -1;
  luaL_setmetatable(L, LOCK);
  struct stat info;
  if ((*fd = file_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0666, &info)) < 0) return push_file_problem(L, path);
  // A file system that knows no locks is used without.
  if (flock(*fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return 1;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: another run holds it", path);
  lua_pushinteger(L, EWOULDBLOCK);
  return 3;
}

static const luaL_Reg functions[] = {{"now", now},
                                     {"terminal", terminal},
                                     {"clean", clean},
                                     {"stat", file_status},
                                     {"make_directory", make_directory},
                                     {"real_path", real_path},
                                     {"link", link_file},
                                     {"make_temporary_directory", make_temporary_directory},
                                     {"remove", remove_path},
                                     {"lock", lock},
                                     {"open", open_file},
                                     {"rename_new", rename_new},
                                     {NULL, NULL}};

void system_open(lua_State *L) {
  luaL_setfuncs(L, functions, 0);
  locale_t *widths = lua_newuserdatauv(L, sizeof *widths, 0);
  *widths = (locale_t)0;
  static const luaL_Reg widths_methods[] = {{"__gc", widths_release}, {NULL, NULL}};
  class_add(L, WIDTHS, widths_methods);
  luaL_setmetatable(L, WIDTHS);
  lua_pushcclosure(L, columns, 1);
  lua_setfield(L, -2, "columns");

  static const luaL_Reg methods[] = {{"close", lock_release}, {"__gc", lock_release}, {"__close", lock_release}, {NULL, NULL}};
  class_add(L, LOCK, methods);
}
