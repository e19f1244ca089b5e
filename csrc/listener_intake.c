// SPDX-License-Identifier: MIT
// How a request comes in: libmicrohttpd's callbacks. They run inside of `listener:step()` and `listener:close()` only, are
// plain C and know nothing of Lua. What comes from the peer is bounded here.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "listener.h"

// First rooms, in bytes. A declared length isn't believed before its bytes are there.
enum { FIRST_HEADERS = 512, FIRST_BODY = 4096 };

static bool append(bytes *b, const char *data, size_t length, size_t first) {
  if (b->room - b->length < length) {
    size_t room = b->room ? 2 * b->room : first;
    if (room < b->length + length) room = b->length + length;
    char *larger = realloc(b->data, room);
    if (!larger) return false;
    b->data = larger;
    b->room = room;
  }
  if (length > 0) memcpy(b->data + b->length, data, length);
  b->length += length;
  return true;
}

// --- begin and end

// Gets the target as it was sent, before libmicrohttpd decodes it in place. NULL (no memory) closes the connection later.
void *intake_begin(void *of, const char *target, struct MHD_Connection *connection) {
  listener *l = of;
  request *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  r->target = strdup(target ? target : "");
  if (!r->target) {
    request_free(r);
    return NULL;
  }
  char *query = strchr(r->target, '?');
  if (query) {
    *query = '\0';
    r->query = query + 1;
  }
  r->connection = connection;
  r->listener = l;
  r->next = l->requests;
  if (r->next) r->next->previous = r;
  l->requests = r;
  return r;
}

// Closes by RST. Where `connect` can't send it at once, libmicrohttpd's `close` will, after a FIN.
static void reset(int fd) {
  struct linger none = {.l_onoff = 1, .l_linger = 0};
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  (void)connect(fd, &nobody, sizeof nobody);
}

// Comes once for whatever `intake_begin` made: its connection is over, or goes on to the next request.
void intake_finish(void *of, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why) {
  listener *l = of;
  request *r = *context;
  (void)connection;
  (void)why;
  if (!r) return;
  if (r->end == END_RESET) reset(request_socket(r));
  if (r->end == END_CUT) shutdown(request_socket(r), SHUT_RDWR);
  if (r->next) r->next->previous = r->previous;
  if (r->previous) r->previous->next = r->next;
  else l->requests = r->next;
  r->next = r->previous = NULL;
  r->listener = NULL;
  r->connection = NULL;
  *context = NULL;
  if (!r->held) request_free(r);
}

// --- refusals: the connection is closed after them

static enum MHD_Result refuse(request *r, unsigned status, const char *text) {
  struct MHD_Response *response =
      MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
  enum MHD_Result result = MHD_queue_response(r->connection, status, response);
  MHD_destroy_response(response);
  r->state = REQUEST_ANSWERED;
  return result;
}

// libmicrohttpd takes no answer while a body comes, so this one goes past it. The socket's buffer has room: nothing of
// this request's answer was sent before, but perhaps a "100 Continue".
static enum MHD_Result refuse_body(const request *r) {
  static const char text[] = "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
  (void)send(request_socket(r), text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  return MHD_NO;
}

// --- headers

typedef struct {
  request *request;
  const char *host, *length, *coding; // the last two: of the body
  bool good, room;
} header_check;

bool intake_is_token(const char *name, size_t length) {
  static const char letters[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return length > 0 && strspn(name, letters) == length;
}

// libmicrohttpd lets control characters pass, and blanks in a target.
static bool is_clean(const char *text, bool blanks) {
  for (; *text; text++)
    if (((unsigned char)*text <= ' ' || *text == 127) && !(blanks && (*text == ' ' || *text == '\t'))) return false;
  return true;
}

static enum MHD_Result take_header(void *of, enum MHD_ValueKind kind, const char *name, size_t name_length, const char *value,
                                   size_t value_length) {
  header_check *c = of;
  bytes *headers = &c->request->headers;
  (void)kind;
  if (!value) {
    value = "";
    value_length = 0;
  }
  // A blank before the colon, two hosts, lengths or codings: ways to make two servers in a row see different requests.
  if (!intake_is_token(name, name_length) || !is_clean(value, true)) c->good = false;
  const char **once = NULL;
  if (!strcasecmp(name, "host")) once = &c->host;
  if (!strcasecmp(name, "content-length")) once = &c->length;
  if (!strcasecmp(name, "transfer-encoding")) once = &c->coding;
  if (once && *once) c->good = false;
  if (once) *once = value;
  c->room = append(headers, name, name_length, FIRST_HEADERS) && append(headers, "", 1, FIRST_HEADERS) &&
            append(headers, value, value_length, FIRST_HEADERS) && append(headers, "", 1, FIRST_HEADERS);
  return c->room ? MHD_YES : MHD_NO;
}

static void write_address(request *r) {
  const struct sockaddr *from = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
  if (from->sa_family == AF_INET) {
    const struct sockaddr_in *four = (const void *)from;
    inet_ntop(AF_INET, &four->sin_addr, r->address, sizeof r->address);
  } else if (from->sa_family == AF_INET6) {
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(six);
    inet_ntop(mapped ? AF_INET : AF_INET6, six->s6_addr + (mapped ? 12 : 0), r->address, sizeof r->address);
  }
}

static enum MHD_Result take_headers(const listener *l, request *r, const char *method, const char *version) {
  size_t size = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE)->header_size;
  if (size > l->max_header) return refuse(r, 431, "The request's headers are too large.\n");
  header_check c = {.request = r, .good = true, .room = true};
  r->method = strdup(method);
  if (!r->method) return MHD_NO;
  MHD_get_connection_values_n(r->connection, MHD_HEADER_KIND, take_header, &c);
  if (!c.room) return MHD_NO;
  if (!c.host && strcmp(version, MHD_HTTP_VERSION_1_0)) c.good = false;
  if (!is_clean(r->target, false) || (r->query && !is_clean(r->query, false))) c.good = false;
  if (!c.good || (c.length && c.coding) || !intake_is_token(method, strlen(method)))
    return refuse(r, 400, "The request is malformed.\n");
  if (c.coding && strcasecmp(c.coding, "chunked")) return refuse(r, 501, "This transfer coding isn't known.\n");
  // libmicrohttpd has refused what isn't a number of 64 bits.
  if (c.length && strtoull(c.length, NULL, 10) > l->max_body) return refuse(r, 413, "The request's body is too large.\n");
  write_address(r);
  r->state = REQUEST_RECEIVING;
  return MHD_YES;
}

// --- body, queue, answer

static enum MHD_Result take_body(const listener *l, request *r, const char *data, size_t *length) {
  if (*length > l->max_body - r->body.length) return refuse_body(r);
  if (!append(&r->body, data, *length, FIRST_BODY)) return MHD_NO;
  *length = 0;
  return MHD_YES;
}

static enum MHD_Result enqueue(listener *l, request *r) {
  r->state = REQUEST_QUEUED;
  *l->queue_end = r;
  l->queue_end = &r->after;
  MHD_suspend_connection(r->connection);
  return MHD_YES;
}

static enum MHD_Result send_answer(request *r) {
  if (!r->response) return MHD_NO;
  enum MHD_Result result = MHD_queue_response(r->connection, r->status, r->response);
  MHD_destroy_response(r->response);
  r->response = NULL;
  return result;
}

// Comes when the headers are there, for each piece of the body, when all is there, and after `request_wake`.
enum MHD_Result intake_proceed(void *of, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                               const char *data, size_t *length, void **context) {
  listener *l = of;
  request *r = *context;
  (void)connection;
  (void)path;
  if (!r) return MHD_NO;
  if (r->state == REQUEST_ANSWERED) return send_answer(r);
  if (l->closing) return MHD_NO;
  if (r->state == REQUEST_BEGUN) return take_headers(l, r, method, version);
  if (r->state == REQUEST_RECEIVING) return *length > 0 ? take_body(l, r, data, length) : enqueue(l, r);
  return MHD_NO;
}
