// SPDX-License-Identifier: MIT
// How requests reach the network: the proxy, the trusted certificates, the allowed addresses.
#ifndef OMNI_NETWORK_H
#define OMNI_NETWORK_H

#include <curl/curl.h>
#include <lua.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "core/address.h"

typedef struct {
  char *proxy, *http_proxy, *https_proxy, *no_proxy; // the option, for every URL; or else from the environment
  const char *proxy_from, *http_proxy_from, *https_proxy_from, *no_proxy_from;
  char *ca_file, *ca_dir; // NULL: the system's
  const char *ca_file_from, *ca_dir_from;
  bool allow_private;
  unsigned service; // bits, 1 << address_class: the networks where the service was reached
} network_options;

// An address that omni refuses to connect to.
typedef struct {
  address_class class;
  char text[INET6_ADDRSTRLEN];
} refused_address;

// Fills a zeroed struct from the options at index 1 of the stack and from the environment. Raises for an invalid option. Call
// network_options_free in either case.
void network_options_read(lua_State *L, network_options *n);
void network_options_free(network_options *n);

// Returns the proxy for a URL, or "" for none. A proxy from the environment isn't used for this machine.
const char *network_proxy(const network_options *n, const char *url);
// Sets the trusted certificates of a handle.
bool network_set_certificates(CURL *easy, const network_options *n);
// Sets the proxy of a handle.
bool network_set_proxy(CURL *easy, const char *proxy);

// Returns whether the service may make us connect to an address: to a public one, to the networks where the service itself is, and with
// allow_private to all but reserved ones. On refusal fills *refused.
bool network_allows(const network_options *n, const struct sockaddr *address, refused_address *refused);
// Does the same for the address in a URL, or for "localhost". Returns true for any other name.
bool network_allows_url(const network_options *n, const char *url, refused_address *refused);
// Records that the service was reached at this numeric address. Ignores any other text.
void network_learn(network_options *n, const char *address);

// Pushes a table with the network settings for a URL, and the origin of each.
void network_push(lua_State *L, const network_options *n, const char *url);

#endif
