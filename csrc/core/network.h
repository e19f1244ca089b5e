// SPDX-License-Identifier: MIT
// The settings that decide how requests reach the network: the proxy, the trusted certificates, the allowed addresses.
#ifndef OMNI_NETWORK_H
#define OMNI_NETWORK_H

#include <curl/curl.h>
#include <lua.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "core/address.h"

typedef struct {
  // `proxy` is the client's option and applies to every URL; if it is NULL, the other three, which come from the environment, apply
  char *proxy, *http_proxy, *https_proxy, *no_proxy;
  const char *proxy_from, *http_proxy_from, *https_proxy_from, *no_proxy_from;
  char *ca_file, *ca_dir; // NULL: the system's
  const char *ca_file_from, *ca_dir_from;
  bool allow_private;
  unsigned service; // the bit 1 << C is set if omni has reached the service at an address of the class C (address_class)
} network_options;

// An address that omni refuses to connect to.
typedef struct {
  address_class class;
  char text[INET6_ADDRSTRLEN];
} refused_address;

// Fills a zeroed struct from the options at index 1 of the stack and from the environment. Raises an error for an invalid option. Call
// network_options_free even after an error.
void network_options_read(lua_State *L, network_options *n);
void network_options_free(network_options *n);

// Returns the proxy for a URL, or "" if the URL needs no proxy. A proxy from the environment is never used for a URL on this machine.
const char *network_proxy(const network_options *n, const char *url);
// Makes a libcurl handle trust the certificates that these options specify.
bool network_set_certificates(CURL *easy, const network_options *n);
// Makes a libcurl handle use this proxy.
bool network_set_proxy(CURL *easy, const char *proxy);

// Returns whether omni may connect to an address that came from the service. Allows public addresses, addresses on the same kind of network
// as the service, and, with allow_private, all addresses that aren't reserved. On refusal fills *refused.
bool network_allows(const network_options *n, const struct sockaddr *address, refused_address *refused);
// Returns whether omni may connect to a URL's host if the host is an IP address or "localhost". Returns true for any other host name.
bool network_allows_url(const network_options *n, const char *url, refused_address *refused);
// Records the numeric address at which omni reached the service. Ignores any other text.
void network_learn(network_options *n, const char *address);

// Pushes a table with the network settings for a URL, and the source of each setting.
void network_push(lua_State *L, const network_options *n, const char *url);

#endif
