// SPDX-License-Identifier: MIT
// Checks the size of a request's first line and headers, and checks whether two servers could interpret the request differently.
#include <stdlib.h>
#include <string.h>

#include "listener/listener.h"
#include "shared/ascii.h"

typedef struct {
  request *request;
  const char *host, *length, *coding; // `length` and `coding` are the Content-Length and Transfer-Encoding headers
  const char *next;                   // where the next header line must start
  bool good, room;
} check;

bool request_head_is_token(const char *name, size_t length) {
  static const char letters[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return length > 0 && strspn(name, letters) == length;
}

// Returns whether a string contains no control characters, and no blanks unless `blanks` is true. This check is needed since libmicrohttpd
// accepts control characters and blanks.
static bool is_clean(const char *text, bool blanks) {
  for (; *text; text++)
    if (((unsigned char)*text <= ' ' || *text == 127) && !(blanks && (*text == ' ' || *text == '\t'))) return false;
  return true;
}

// --- gaps between the parts of the head

// Detects lines of a request's head that libmicrohttpd has dropped or changed. libmicrohttpd before 1.0 silently cuts a line at a NUL,
// treats a folded line as part of the previous line, and accepts a bare LF at the end of a line. Each part of a request's head stays at its
// original place in libmicrohttpd's buffer, with a NUL after it. A gap between two parts of the head therefore shows that libmicrohttpd has
// dropped something between them. libmicrohttpd 1.0 and later refuses malformed lines of a request itself in its strict mode (listener.c).

#if MHD_VERSION < 0x01000000
enum { LINE_END = 2 }; // bytes of CRLF

static void first_line(check *c, const char *path, const char *method, const char *version) {
  if (path != method + strlen(method) + 1 || version != path + c->request->target_length + 1) c->good = false;
  c->next = version + strlen(version) + LINE_END;
}

static void line(check *c, const char *name, size_t name_length, const char *value, size_t value_length) {
  if (name != c->next || value <= name + name_length || strspn(name + name_length + 1, " \t") != (size_t)(value - name) - name_length - 1)
    c->good = false;
  c->next = value + value_length + LINE_END;
}

static void last_line(check *c, const char *method, size_t size) {
  if (c->next + LINE_END != method + size) c->good = false;
}
#else
#define first_line(c, path, method, version) ((void)(path))
#define line(c, name, name_length, value, value_length) ((void)0)
#define last_line(c, method, size) ((void)0)
#endif

// --- the headers

static enum MHD_Result take_header(void *of, enum MHD_ValueKind kind, const char *name, size_t name_length, const char *value,
                                   size_t value_length) {
  check *c = of;
  buffer *headers = &c->request->headers;
  (void)kind;
  if (!value) {
    value = "";
    value_length = 0;
  }
  line(c, name, name_length, value, value_length);
  // Refuses a blank before a header's colon, and a second Host, Content-Length or Transfer-Encoding header, since two servers could
  // interpret such a request differently.
  if (!request_head_is_token(name, name_length) || !is_clean(value, true)) c->good = false;
  const char **once = NULL;
  if (ascii_is(name, "host")) once = &c->host;
  if (ascii_is(name, "content-length")) once = &c->length;
  if (ascii_is(name, "transfer-encoding")) once = &c->coding;
  if (once && *once) c->good = false;
  if (once) *once = value;
  c->room = buffer_append(headers, name, name_length) && buffer_append(headers, "", 1) &&
            buffer_append(headers, value, value_length) && buffer_append(headers, "", 1);
  return c->room ? MHD_YES : MHD_NO;
}

int request_head_take(request *r, const char *path, const char *method, const char *version) {
  struct MHD_Connection *mhd = r->connection->mhd;
  size_t size = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
  if (size > r->listener->max_header) return 431;
  check c = {.request = r, .good = true, .room = true};
  r->method = strdup(method);
  if (!r->method) return -1;
  first_line(&c, path, method, version);
  MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, take_header, &c);
  if (!c.room) return -1;
  last_line(&c, method, size);
  bool old = strcmp(version, MHD_HTTP_VERSION_1_0) == 0;
  if ((!c.host && !old) || (c.coding && (c.length || old))) c.good = false;
  if (!is_clean(r->target, false) || (r->query && !is_clean(r->query, false))) c.good = false;
  if (!c.good || !request_head_is_token(method, strlen(method))) return 400;
  if (c.coding && !ascii_is(c.coding, "chunked")) return 501;
  // Refuses all chunked bodies, since servers interpret chunk-size lines differently. libmicrohttpd 0.9 even accepts a bare LF at the end
  // of a chunk-size line, so a reverse proxy might see different requests than omni does. This code can't check chunk-size lines itself,
  // since libmicrohttpd doesn't pass them on.
  if (c.coding) return 411;
  unsigned long long length = c.length ? strtoull(c.length, NULL, 10) : 0; // can't overflow: libmicrohttpd limits it to 64 bits
  return length > r->listener->max_body ? 413 : 0;
}
