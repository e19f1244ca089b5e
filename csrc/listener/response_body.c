// SPDX-License-Identifier: MIT
// The body of a response: a string, or a part of a file. For fault injection, the body can end early.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/file.h"
#include "listener/listener.h"

enum { BLOCK = 65536 }; // bytes per read

typedef struct {
  listener *listener;
  int fd; // the open file; -1: the body is `data`
  uint64_t offset, most;
  char data[];
} body_source;

static body_source *body_source_new(listener *l, int fd, uint64_t offset, uint64_t most, const char *data, size_t length) {
  body_source *s = malloc(sizeof *s + length);
  if (!s) return NULL;
  *s = (body_source){.listener = l, .fd = fd, .offset = offset, .most = most};
  if (length > 0) memcpy(s->data, data, length);
  return s;
}

static void body_source_free(void *of) {
  body_source *s = of;
  if (s->fd >= 0) close(s->fd);
  free(s);
}

// Reads the next bytes of the body. Fails once the body has reached the length at which the caller wants it cut short, or if the file has
// become shorter. libmicrohttpd then closes the connection.
static ssize_t body_source_read(void *of, uint64_t position, char *to, size_t room) {
  const body_source *s = of;
  s->listener->calls++;
  if (position >= s->most) return MHD_CONTENT_READER_END_WITH_ERROR;
  if (room > s->most - position) room = (size_t)(s->most - position);
  if (s->fd < 0) {
    memcpy(to, s->data + position, room);
    return (ssize_t)room;
  }
  ssize_t got = file_read_at(s->fd, to, room, (int64_t)(s->offset + position));
  return got > 0 ? got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(body_source *s, uint64_t length) {
  if (!s) return NULL;
  struct MHD_Response *response = MHD_create_response_from_callback(length, BLOCK, body_source_read, s, body_source_free);
  if (!response) body_source_free(s);
  return response;
}

struct MHD_Response *response_from_text(listener *l, const char *text, size_t length, lua_Integer cut) {
  bool whole = cut < 0 || (size_t)cut >= length;
  if (whole && length <= BLOCK)
    // Casts away `const`, which is safe, since libmicrohttpd copies the string.
    return MHD_create_response_from_buffer(length, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
  size_t most = whole ? length : (size_t)cut;
  return make_response(body_source_new(l, -1, 0, most, text, most), length);
}

struct MHD_Response *response_from_file(listener *l, const char *file, lua_Integer from, lua_Integer length, lua_Integer cut,
                                      const char **why) {
  struct stat s;
  uint64_t offset = (uint64_t)from;
  int fd = file_open(file, O_RDONLY, 0, &s);
  if (fd < 0) *why = file_problem(errno);
  else if (offset > (uint64_t)s.st_size) *why = "the file is shorter";
  else if (length >= 0 && (uint64_t)length > (uint64_t)s.st_size - offset) *why = "the file is shorter";
  if (*why) {
    if (fd >= 0) close(fd);
    return NULL;
  }
  uint64_t size = length >= 0 ? (uint64_t)length : (uint64_t)s.st_size - offset;
  body_source *made = body_source_new(l, fd, offset, cut >= 0 ? (uint64_t)cut : size, NULL, 0);
  if (!made) close(fd);
  return make_response(made, size);
}
