// SPDX-License-Identifier: MIT
// Reads a program's output from a pipe without blocking, and keeps the end of the output.
#include "core/process_output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/poll_set.h"
#include "core/process_start.h"

enum { CHUNK = 1 << 16 }; // bytes per read; this is a pipe's usual capacity

bool process_output_open(process_output *o, int poll_set, int *child) {
  int ends[2];
  if (!process_pipe(ends)) return false;
  o->fd = ends[0];
  *child = ends[1];
  return fcntl(o->fd, F_SETFL, O_NONBLOCK) == 0 && poll_set_add(poll_set, o->fd, READ_READY, false);
}

// Makes room for one more chunk; if the buffer contains at least twice `max` bytes, drops all but the last `max`. Returns false when memory
// runs out.
static bool reserve(process_output *o) {
  buffer *b = &o->bytes;
  if (b->length > 0 && b->length >= 2 * o->max) {
    memmove(b->data, b->data + b->length - o->max, o->max);
    b->length = o->max;
    if (o->unread > o->max) o->unread = o->max;
  }
  return buffer_reserve(b, CHUNK);
}

static void end(process_output *o, int poll_set) {
  if (o->fd < 0) return;
  poll_set_remove(poll_set, o->fd);
  close(o->fd);
  o->fd = -1;
}

bool process_output_read(process_output *o, int poll_set, size_t limit) {
  while (o->fd >= 0 && limit > 0) {
    if (!reserve(o)) return false;
    ssize_t got = read(o->fd, o->bytes.data + o->bytes.length, limit < CHUNK ? limit : CHUNK);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      end(o, poll_set);
      return true;
    }
    o->bytes.length += (size_t)got;
    o->unread += (size_t)got;
    limit -= (size_t)got;
  }
  return true;
}

bool process_output_read_rest(process_output *o, int poll_set) {
  int there = 0;
  bool some = o->fd >= 0 && ioctl(o->fd, FIONREAD, &there) == 0 && there > 0;
  if (some && !process_output_read(o, poll_set, (size_t)there)) return false;
  end(o, poll_set);
  return true;
}

void process_output_push(lua_State *L, const process_output *o, size_t wanted) {
  size_t kept = o->bytes.length < o->max ? o->bytes.length : o->max;
  if (wanted > kept) wanted = kept;
  lua_pushlstring(L, wanted ? o->bytes.data + o->bytes.length - wanted : "", wanted);
}

void process_output_release(process_output *o, int poll_set) {
  end(o, poll_set);
  buffer_free(&o->bytes);
  o->unread = 0;
}
