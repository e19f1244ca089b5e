// SPDX-License-Identifier: MIT
// The kind of network that an IP address belongs to.
#ifndef OMNI_ADDRESS_H
#define OMNI_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

typedef enum {
  ADDRESS_PUBLIC,
  ADDRESS_LOOPBACK,   // 127.0.0.0/8, ::1
  ADDRESS_PRIVATE,    // 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7, fec0::/10
  ADDRESS_SHARED,     // 100.64.0.0/10: carrier-grade NAT and overlay networks
  ADDRESS_LINK_LOCAL, // 169.254.0.0/16, fe80::/10
  ADDRESS_BENCHMARK,  // 198.18.0.0/15, 2001:2::/48; some VPN programs resolve every host name to an address in these ranges
  ADDRESS_RESERVED,   // unspecified, multicast, documentation and unassigned addresses, and cloud metadata services
} address_class;

// Returns the class of an IPv4 or IPv6 address. An IPv6 address that contains an IPv4 address (mapped, translated, NAT64, 6to4) has the
// IPv4 address's class. Returns ADDRESS_RESERVED for any other address family.
address_class address_classify(const struct sockaddr *address);

// Parses a numeric IP address, with or without brackets and a zone. Returns false for a host name.
bool address_parse(const char *host, struct sockaddr_storage *address);

// Returns an address class in words, such as "a private network".
const char *address_class_name(address_class class);

#endif
