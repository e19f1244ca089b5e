// SPDX-License-Identifier: MIT
// A listener's connections: how many an address may have, and how long each may take for what it does.
//
// libmicrohttpd's own time-out starts anew with every byte, so that somebody who sends one now and then keeps his
// connection for ever. Here each phase has an end. libmicrohttpd can't be told to close a connection; it is by the shutdown
// of its socket, which it then finds.
#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "listener/listener.h"
#include "shared/clock.h"

// --- how many of one address

// IPv4 as IPv6 has it. Of an IPv6 address the network only, as whoever has one address there has all 2^64 of it.
struct network {
  unsigned char name[16]; // first: what the tree compares
  unsigned connections;
};

static int compare(const void *a, const void *b) {
  return memcmp(a, b, sizeof(((network *)0)->name));
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

enum MHD_Result peer_admit(void *of, const struct sockaddr *address, socklen_t length) {
  listener *l = of;
  unsigned char name[16];
  (void)length;
  l->calls++;
  name_of(address, name);
  network *const *found = tfind(name, &l->networks, compare);
  return found && (*found)->connections >= l->max_per_address ? MHD_NO : MHD_YES;
}

// NULL without memory.
static network *count(listener *l, const struct sockaddr *address) {
  network *new = calloc(1, sizeof *new);
  if (!new) return NULL;
  name_of(address, new->name);
  network **found = tsearch(new, &l->networks, compare);
  if (!found || *found != new) free(new);
  if (!found) return NULL;
  (*found)->connections++;
  return *found;
}

static void discount(listener *l, network *n) {
  if (--n->connections > 0) return;
  tdelete(n, &l->networks, compare);
  free(n);
}

// --- how long

static void leave(listener *l, peer *p) {
  if (p->phase == PHASE_NONE) return;
  *(p->next ? &p->next->previous : &l->last[p->phase]) = p->previous;
  *(p->previous ? &p->previous->next : &l->first[p->phase]) = p->next;
  p->next = p->previous = NULL;
  p->phase = PHASE_NONE;
}

void peer_enter(listener *l, peer *p, phase next) {
  leave(l, p);
  if (next == PHASE_NONE) return;
  p->phase = next;
  p->due = clock_now() + l->allowed[next];
  p->previous = l->last[next];
  *(p->previous ? &p->previous->next : &l->first[next]) = p;
  l->last[next] = p;
}

int peer_socket(const peer *p) {
  return MHD_get_connection_info(p->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

void peer_shut(listener *l, peer *p) {
  leave(l, p);
  shutdown(peer_socket(p), SHUT_RDWR);
}

void peer_expire(listener *l) {
  double time = clock_now();
  for (phase at = 0; at < PHASES; at++)
    while (l->first[at] && l->first[at]->due <= time) peer_shut(l, l->first[at]);
}

double peer_wait(const listener *l) {
  double earliest = INFINITY;
  for (phase at = 0; at < PHASES; at++)
    if (l->first[at]) earliest = fmin(earliest, l->first[at]->due);
  return fmax(earliest - clock_now(), 0);
}

// --- beginning and end

static void begin(listener *l, struct MHD_Connection *connection, void **context) {
  const union MHD_ConnectionInfo *from = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  peer *p = calloc(1, sizeof *p);
  network *n = p ? count(l, from->client_addr) : NULL;
  if (!n) { // without memory: its first request has no place either (intake_begin)
    free(p);
    return;
  }
  *p = (peer){.phase = PHASE_NONE, .connection = connection, .network = n, .credentials = tls_use(l->credentials)};
  if (p->credentials) tls_attach(connection, p->credentials);
  *context = p;
  peer_enter(l, p, PHASE_FIRST_HEAD);
}

static void end(listener *l, peer *p) {
  if (p->request) intake_end(l, p->request); // libmicrohttpd 0.9.75 forgets to: after too many arguments in a query
  leave(l, p);
  discount(l, p->network);
  tls_release(p->credentials);
  free(p);
}

void peer_notify(void *of, struct MHD_Connection *connection, void **context, enum MHD_ConnectionNotificationCode what) {
  listener *l = of;
  l->calls++;
  if (what == MHD_CONNECTION_NOTIFY_STARTED) begin(l, connection, context);
  else if (*context) end(l, *context);
  if (what == MHD_CONNECTION_NOTIFY_CLOSED) *context = NULL;
}
