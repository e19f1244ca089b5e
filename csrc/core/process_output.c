// SPDX-License-Identifier: MIT
// What a program says on a pipe: read without blocking, the tail of it kept.
#include "core/process_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/poll_set.h"
#include "core/spawn.h"

enum { CHUNK = 1 << 16 }; // bytes asked of the system at once: a pipe's usual size

bool output_open(output *o, int readiness, int *child) {
  int ends[2];
  if (!spawn_pipe(ends)) return false;
  o->fd = ends[0];
  *child = ends[1];
  return fcntl(o->fd, F_SETFL, O_NONBLOCK) == 0 && readiness_watch(readiness, o->fd, READ_READY, false);
}

// Makes room for one more chunk, throwing away the oldest bytes; false when there is no memory.
static bool reserve(output *o) {
  if (o->length > 0 && o->length >= 2 * o->max) {
    memmove(o->bytes, o->bytes + o->length - o->max, o->max);
    o->length = o->max;
    if (o->unread > o->max) o->unread = o->max;
  }
  if (o->room - o->length >= CHUNK) return true;
  size_t room = 2 * o->room, most = 2 * o->max + CHUNK;
  if (room < o->length + CHUNK) room = o->length + CHUNK;
  if (room > most) room = most;
  char *bytes = realloc(o->bytes, room);
  if (!bytes) return false;
  o->bytes = bytes;
  o->room = room;
  return true;
}

static void end(output *o, int readiness) {
  if (o->fd < 0) return;
  readiness_forget(readiness, o->fd);
  close(o->fd);
  o->fd = -1;
}

bool output_read(output *o, int readiness, size_t limit) {
  while (o->fd >= 0 && limit > 0) {
    if (!reserve(o)) return false;
    ssize_t got = read(o->fd, o->bytes + o->length, limit < CHUNK ? limit : CHUNK);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) {
      end(o, readiness);
      return true;
    }
    o->length += (size_t)got;
    o->unread += (size_t)got;
    limit -= (size_t)got;
  }
  return true;
}

bool output_read_rest(output *o, int readiness) {
  int there = 0;
  bool some = o->fd >= 0 && ioctl(o->fd, FIONREAD, &there) == 0 && there > 0;
  if (some && !output_read(o, readiness, (size_t)there)) return false;
  end(o, readiness);
  return true;
}

void output_push(lua_State *L, const output *o, size_t wanted) {
  size_t kept = o->length < o->max ? o->length : o->max;
  if (wanted > kept) wanted = kept;
  lua_pushlstring(L, wanted ? o->bytes + o->length - wanted : "", wanted);
}

void output_release(output *o, int readiness) {
  end(o, readiness);
  free(o->bytes);
  o->bytes = NULL;
  o->length = o->room = o->unread = 0;
}
