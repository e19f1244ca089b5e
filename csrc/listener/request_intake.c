// SPDX-License-Identifier: MIT
// Receives requests in libmicrohttpd's callbacks, and limits what a client can send. The callbacks run only inside `listener:step()` and
// `listener:close()`, and use no Lua.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "listener/listener.h"
#include "shared/descriptor.h"
#include "shared/file.h"

enum {
  MAX_IN_MEMORY = 65536,    // in bytes; a larger body is written to a file if there is a directory for bodies
  MAX_DISCARDED = 8 << 20 // maximum number of bytes of a refused body that the listener reads and discards
};

// --- the start and the end of a request

// Called when the request line has arrived. Copies the target as the client sent it, since libmicrohttpd later decodes it in place. Returns
// NULL when memory runs out; the connection is closed later.
void *request_intake_begin(void *of, const char *target, struct MHD_Connection *mhd) {
  listener *l = of;
  l->calls++;
  connection *c = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
  request *r = c ? calloc(1, sizeof *r) : NULL;
  if (!r) return NULL;
  r->target = strdup(target ? target : "");
  if (!r->target) {
    request_free(r);
    return NULL;
  }
  r->target_length = strlen(r->target);
  char *query = strchr(r->target, '?');
  if (query) {
    *query = '\0';
    r->query = query + 1;
  }
  r->file_fd = -1;
  r->connection = c;
  c->request = r;
  r->listener = l;
  r->next = l->requests;
  if (r->next) r->next->previous = r;
  l->requests = r;
  return r;
}

// Closes a connection with a TCP reset (RST). If `connect` can't send the RST immediately, libmicrohttpd's `close` later sends the RST
// after a FIN.
static void reset(int fd) {
  struct linger none = {.l_onoff = 1, .l_linger = 0};
  struct sockaddr nobody = {.sa_family = AF_UNSPEC};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  (void)connect(fd, &nobody, sizeof nobody);
}

void request_intake_end(listener *l, request *r) {
  if (r->end == END_RESET) reset(connection_socket(r->connection));
  if (r->end == END_CUT) shutdown(connection_socket(r->connection), SHUT_RDWR);
  if (r->next) r->next->previous = r->previous;
  if (r->previous) r->previous->next = r->next;
  else l->requests = r->next;
  l->bodies -= r->counted;
  connection_enter(l, r->connection, PHASE_HEAD);
  r->connection->request = NULL;
  r->next = r->previous = NULL;
  r->listener = NULL;
  r->connection = NULL;
  if (!r->held) request_free(r);
}

// libmicrohttpd calls request_intake_finish when a request or its connection ends; *context is the pointer that request_intake_begin
// returned.
void request_intake_finish(void *of, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why) {
  listener *l = of;
  (void)mhd;
  (void)why;
  l->calls++;
  if (*context) request_intake_end(l, *context);
  *context = NULL;
}

// --- refusals: the connection is closed after them

static enum MHD_Result refuse(listener *l, request *r, unsigned status) {
  static const struct {
    unsigned status;
    const char *text;
  } rows[] = {
      {400, "The request is malformed.\n"},
      {411, "The request's body needs a Content-Length.\n"},
      {413, "The request's body is too large.\n"},
      {431, "The request's headers are too large.\n"},
      {501, "This transfer coding isn't known.\n"},
  };
  const char *text = "";
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (rows[i].status == status) text = rows[i].text;
  struct MHD_Response *response =
      MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain");
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
  enum MHD_Result result = MHD_queue_response(r->connection->mhd, status, response);
  MHD_destroy_response(response);
  r->state = REQUEST_ANSWERED;
  connection_enter(l, r->connection, PHASE_ANSWER);
  return result;
}

#define CHUNKED "411 Length Required"
#define LARGE "413 Content Too Large"
#define BUSY "503 Service Unavailable\r\nRetry-After: 10"
#define FULL "507 Insufficient Storage"

// Refuses a request before its body is complete. Writes the response directly to the socket, since libmicrohttpd can't respond so early.
// The socket's send buffer has enough room, since nothing but "100 Continue" can have been sent for this request. The listener discards the
// rest of the body for a while, since a client that is still sending when its connection is closed would see a reset instead of the
// response.
static void turn_away(listener *l, request *r, const char *status) {
  char text[128];
  int size = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status);
  if (r->connection->credentials) tls_send(r->connection->mhd, text, (size_t)size);
  else (void)send(connection_socket(r->connection), text, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
  l->bodies -= r->counted;
  r->counted = 0;
  request_free_body(r);
  r->state = REQUEST_REFUSED;
  connection_enter(l, r->connection, PHASE_LEAVING);
}

// --- head, body, queue, response

static void write_address(request *r) {
  const struct sockaddr *from =
      MHD_get_connection_info(r->connection->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
  if (from->sa_family == AF_INET) {
    const struct sockaddr_in *four = (const void *)from;
    inet_ntop(AF_INET, &four->sin_addr, r->address, sizeof r->address);
  } else if (from->sa_family == AF_INET6) {
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(six);
    inet_ntop(mapped ? AF_INET : AF_INET6, six->s6_addr + (mapped ? 12 : 0), r->address, sizeof r->address);
  }
}

static enum MHD_Result take_head(listener *l, request *r, const char *path, const char *method, const char *version) {
  int status = request_head_take(r, path, method, version);
  if (status < 0) return MHD_NO;
  // A client that waits for "100 Continue" doesn't send the request's body after a refusal.
  bool body_comes = (status == 411 || status == 413) && !MHD_lookup_connection_value(r->connection->mhd, MHD_HEADER_KIND, "expect");
  if (status > 0 && !body_comes) return refuse(l, r, (unsigned)status);
  write_address(r);
  r->state = REQUEST_RECEIVING;
  connection_enter(l, r->connection, PHASE_BODY);
  if (body_comes) turn_away(l, r, status == 411 ? CHUNKED : LARGE);
  return MHD_YES;
}

// Makes room for `more` bytes by refusing the requests with the oldest unfinished bodies, which come from the slowest clients. Returns
// false if no other request has an unfinished body.
static bool make_room(listener *l, const request *r, size_t more) {
  while (more > l->max_bodies - l->bodies) {
    const connection *c = l->first[PHASE_BODY];
    if (!c || c->request == r) return false;
    turn_away(l, c->request, BUSY);
  }
  return true;
}

// Appends bytes to the file that holds the body. The first call creates the file and moves the body's bytes from memory to the file.
// Returns false on failure.
static bool write_body(listener *l, request *r, const char *data, size_t length) {
  if (!r->file) {
    if (asprintf(&r->file, "%s/body-XXXXXX", l->body_directory) < 0) r->file = NULL;
    if (!r->file || (r->file_fd = descriptor_raise(mkostemp(r->file, O_CLOEXEC))) < 0) return free(r->file), r->file = NULL, false;
    if (!write_body(l, r, r->body.data, r->body.length)) return false;
    size_t written = r->body.length;
    buffer_free(&r->body);
    r->body.length = written;
  }
  return file_write(r->file_fd, data, length) == length;
}

static enum MHD_Result take_body(listener *l, request *r, const char *data, size_t length) {
  if (r->state == REQUEST_RECEIVING && !make_room(l, r, length)) turn_away(l, r, BUSY);
  if (r->state == REQUEST_REFUSED) return (r->discarded += length) > MAX_DISCARDED ? MHD_NO : MHD_YES;
  if (l->body_directory && r->body.length + length > MAX_IN_MEMORY) {
    if (!write_body(l, r, data, length)) return turn_away(l, r, FULL), MHD_YES;
    r->body.length += length;
  } else if (!buffer_append(&r->body, data, length)) {
    return MHD_NO;
  }
  l->bodies += length;
  r->counted += length;
  return MHD_YES;
}

static enum MHD_Result enqueue(listener *l, request *r) {
  r->state = REQUEST_QUEUED;
  if (r->file_fd >= 0) close(r->file_fd);
  r->file_fd = -1;
  *l->queue_end = r;
  l->queue_end = &r->after;
  connection_enter(l, r->connection, PHASE_NONE);
  MHD_suspend_connection(r->connection->mhd);
  return MHD_YES;
}

static enum MHD_Result send_answer(request *r) {
  if (!r->response) return MHD_NO;
  enum MHD_Result result = MHD_queue_response(r->connection->mhd, r->status, r->response);
  MHD_destroy_response(r->response);
  r->response = NULL;
  return result;
}

static enum MHD_Result send_accepted(listener *l, request *r) {
  r->state = REQUEST_ANSWERED;
  connection_enter(l, r->connection, PHASE_ANSWER);
  return MHD_queue_response(r->connection->mhd, MHD_HTTP_OK, l->accepted);
}

// libmicrohttpd calls request_intake_proceed after the headers, for each piece of the body, after the body, and after request_wake.
enum MHD_Result request_intake_proceed(void *of, struct MHD_Connection *mhd, const char *path, const char *method, const char *version,
                               const char *data, size_t *length, void **context) {
  listener *l = of;
  request *r = *context;
  (void)mhd;
  l->calls++;
  if (!r) return MHD_NO;
  if (r->state == REQUEST_ANSWERED) return send_answer(r);
  if (l->closing) return MHD_NO;
  if (r->state == REQUEST_BEGUN) return take_head(l, r, path, method, version);
  if (*length > 0 && (r->state == REQUEST_RECEIVING || r->state == REQUEST_REFUSED)) {
    enum MHD_Result result = take_body(l, r, data, *length);
    *length = 0;
    return result;
  }
  if (r->state != REQUEST_RECEIVING) return MHD_NO;
  return expected_callback_accept(l, r) ? send_accepted(l, r) : enqueue(l, r);
}
