// SPDX-License-Identifier: MIT
// Classifies IP addresses according to the IANA special-purpose address registries (RFC 6890 and its successors).
#include "core/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  uint8_t prefix[16];
  int bits;
  address_class class;
} network;

// The first row whose network contains an address determines the address's class. The rows for cloud metadata services come first, since
// the networks in later rows also contain those services' addresses.
static const network four[] = {
    {{169, 254, 169, 254}, 32, ADDRESS_RESERVED}, // most clouds
    {{100, 100, 100, 200}, 32, ADDRESS_RESERVED}, // Alibaba Cloud
    {{168, 63, 129, 16}, 32, ADDRESS_RESERVED},   // Azure
    {{0}, 8, ADDRESS_RESERVED},                   // on Linux, a connection to 0.0.0.0 reaches the loopback interface
    {{10}, 8, ADDRESS_PRIVATE},
    {{100, 64}, 10, ADDRESS_SHARED},
    {{127}, 8, ADDRESS_LOOPBACK},
    {{169, 254}, 16, ADDRESS_LINK_LOCAL},
    {{172, 16}, 12, ADDRESS_PRIVATE},
    {{192, 0, 0}, 24, ADDRESS_RESERVED},
    {{192, 0, 2}, 24, ADDRESS_RESERVED},
    {{192, 88, 99}, 24, ADDRESS_RESERVED},
    {{192, 168}, 16, ADDRESS_PRIVATE},
    {{198, 18}, 15, ADDRESS_BENCHMARK},
    {{198, 51, 100}, 24, ADDRESS_RESERVED},
    {{203, 0, 113}, 24, ADDRESS_RESERVED},
    {{224}, 3, ADDRESS_RESERVED}, // multicast and everything above
    {{0}, 0, ADDRESS_PUBLIC},
};

static const network six[] = {
    {{0xfd, 0, 0x0e, 0xc2}, 32, ADDRESS_RESERVED}, // Amazon's metadata and time services, fd00:ec2::
    {{[15] = 1}, 128, ADDRESS_LOOPBACK},
    {{0xfc}, 7, ADDRESS_PRIVATE},
    {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},
    {{0x20, 0x01, 0, 2}, 48, ADDRESS_BENCHMARK},
    {{0x20, 0x01}, 23, ADDRESS_RESERVED}, // IETF protocol assignments, such as Teredo
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_RESERVED},
    {{0x3f, 0xff}, 20, ADDRESS_RESERVED},
    {{0x20}, 3, ADDRESS_PUBLIC}, // global unicast
    {{0}, 0, ADDRESS_RESERVED},
};

// The prefixes of IPv6 addresses that contain an IPv4 address, each with the byte offset of the IPv4 address.
static const struct {
  uint8_t prefix[16];
  int bits, at;
} embedded[] = {
    {{[10] = 0xff, 0xff}, 96, 12},       // mapped
    {{[8] = 0xff, 0xff}, 96, 12},        // translated (SIIT)
    {{0, 0x64, 0xff, 0x9b}, 96, 12},     // NAT64
    {{0x20, 0x02}, 16, 2},               // 6to4
};

static bool is_within(const uint8_t *address, const uint8_t *prefix, int bits) {
  int bytes = bits / 8, rest = bits % 8;
  if (memcmp(address, prefix, (size_t)bytes) != 0) return false;
  return rest == 0 || (address[bytes] ^ prefix[bytes]) >> (8 - rest) == 0;
}

static address_class find(const network *rows, const uint8_t *address) {
  while (!is_within(address, rows->prefix, rows->bits)) rows++;
  return rows->class;
}

address_class address_classify(const struct sockaddr *address) {
  if (address->sa_family == AF_INET) {
    struct sockaddr_in in;
    memcpy(&in, address, sizeof in);
    return find(four, (const uint8_t *)&in.sin_addr);
  }
  if (address->sa_family != AF_INET6) return ADDRESS_RESERVED;
  struct sockaddr_in6 in;
  memcpy(&in, address, sizeof in);
  const uint8_t *bytes = in.sin6_addr.s6_addr;
  for (size_t i = 0; i < sizeof embedded / sizeof *embedded; i++)
    if (is_within(bytes, embedded[i].prefix, embedded[i].bits)) return find(four, bytes + embedded[i].at);
  return find(six, bytes);
}

bool address_parse(const char *host, struct sockaddr_storage *address) {
  char text[INET6_ADDRSTRLEN + 2];
  size_t length = strlen(host);
  if (length >= 2 && host[0] == '[' && host[length - 1] == ']') host++, length -= 2;
  const char *zone = memchr(host, '%', length);
  if (zone) length = (size_t)(zone - host);
  if (length >= sizeof text) return false;
  memcpy(text, host, length);
  text[length] = '\0';
  memset(address, 0, sizeof *address);
  struct sockaddr_in *in4 = (struct sockaddr_in *)address;
  struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
  if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) return address->ss_family = AF_INET, true;
  if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) return address->ss_family = AF_INET6, true;
  return false;
}

const char *address_class_name(address_class class) {
  static const char *const names[] = {"the public network", "this machine", "a private network", "a carrier's or overlay network",
                                      "the local link", "a benchmarking network", "a reserved network"};
  return names[class];
}
