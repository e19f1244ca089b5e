// SPDX-License-Identifier: MIT
// Limits the number of a listener's connections per client address, and the duration of each phase of a connection.
//
// The timeout of libmicrohttpd itself restarts with every byte, so a client that sends one byte now and then could keep its connection
// forever. This file sets its own deadline for each phase of a connection. When a deadline passes, `connection_expire` shuts down the
// connection's socket, since libmicrohttpd has no function that closes a connection.
#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "listener/listener.h"
#include "shared/clock.h"

// --- the connections of each address

// Counts the connections from one client address. An IPv4 address is stored as IPv6. IPv6 addresses in the same /64 network count as one
// address, since one customer usually owns all of them.
struct client_address {
  unsigned char name[16]; // must be the first field, since the tree compares it
  unsigned connections;
};

static int compare(const void *a, const void *b) {
  return memcmp(a, b, sizeof(((client_address *)0)->name));
}

static void name_of(const struct sockaddr *address, unsigned char name[16]) {
  static const unsigned char four_in_six[12] = {[10] = 0xff, [11] = 0xff};
  memset(name, 0, 16);
  if (address->sa_family == AF_INET) {
    memcpy(name, four_in_six, 12);
    memcpy(name + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
  } else if (address->sa_family == AF_INET6) {
    const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    memcpy(name, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
  }
}

enum MHD_Result connection_admit(void *of, const struct sockaddr *address, socklen_t length) {
  listener *l = of;
  unsigned char name[16];
  (void)length;
  l->calls++;
  name_of(address, name);
  client_address *const *found = tfind(name, &l->addresses, compare);
  return found && (*found)->connections >= l->max_per_address ? MHD_NO : MHD_YES;
}

// Counts one more connection from a client address. Returns NULL when memory runs out.
static client_address *count(listener *l, const struct sockaddr *address) {
  client_address *new = calloc(1, sizeof *new);
  if (!new) return NULL;
  name_of(address, new->name);
  client_address **found = tsearch(new, &l->addresses, compare);
  if (!found || *found != new) free(new);
  if (!found) return NULL;
  (*found)->connections++;
  return *found;
}

static void discount(listener *l, client_address *n) {
  if (--n->connections > 0) return;
  tdelete(n, &l->addresses, compare);
  free(n);
}

// --- deadlines

static void leave(listener *l, connection *c) {
  if (c->phase == PHASE_NONE) return;
  *(c->next ? &c->next->previous : &l->last[c->phase]) = c->previous;
  *(c->previous ? &c->previous->next : &l->first[c->phase]) = c->next;
  c->next = c->previous = NULL;
  c->phase = PHASE_NONE;
}

void connection_enter(listener *l, connection *c, phase next) {
  leave(l, c);
  if (next == PHASE_NONE) return;
  c->phase = next;
  c->due = clock_now() + l->allowed[next];
  c->previous = l->last[next];
  *(c->previous ? &c->previous->next : &l->first[next]) = c;
  l->last[next] = c;
}

int connection_socket(const connection *c) {
  return MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

void connection_shut(listener *l, connection *c) {
  leave(l, c);
  shutdown(connection_socket(c), SHUT_RDWR);
}

void connection_expire(listener *l) {
  double time = clock_now();
  for (phase at = 0; at < PHASES; at++)
    while (l->first[at] && l->first[at]->due <= time) connection_shut(l, l->first[at]);
}

double connection_wait(const listener *l) {
  double earliest = INFINITY;
  for (phase at = 0; at < PHASES; at++)
    if (l->first[at]) earliest = fmin(earliest, l->first[at]->due);
  return fmax(earliest - clock_now(), 0);
}

// --- opening and closing

static void begin(listener *l, struct MHD_Connection *mhd, void **context) {
  const union MHD_ConnectionInfo *from = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  connection *c = calloc(1, sizeof *c);
  client_address *n = c ? count(l, from->client_addr) : NULL;
  if (!n) { // memory ran out; the connection's first request will fail, too (request_intake_begin)
    free(c);
    return;
  }
  *c = (connection){.phase = PHASE_NONE, .mhd = mhd, .address = n, .credentials = tls_use(l->credentials)};
  if (c->credentials) tls_attach(mhd, c->credentials);
  *context = c;
  connection_enter(l, c, PHASE_FIRST_HEAD);
}

static void end(listener *l, connection *c) {
  // libmicrohttpd 0.9.75 doesn't report the end of a request whose query has too many arguments
  if (c->request) request_intake_end(l, c->request);
  leave(l, c);
  discount(l, c->address);
  tls_release(c->credentials);
  free(c);
}

void connection_notify(void *of, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what) {
  listener *l = of;
  l->calls++;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) begin(l, mhd, context);
  else if (*context) end(l, *context);
  if (what == MHD_CONNECTION_NOTIFY_CLOSED) *context = NULL;
}
