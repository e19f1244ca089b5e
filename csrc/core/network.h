// SPDX-License-Identifier: MIT
// How requests reach the network: by which proxy, trusting which certificates, to which addresses. All verbs of a client ask here.
#ifndef OMNI_NETWORK_H
#define OMNI_NETWORK_H

#include <curl/curl.h>
#include <lua.h>
#include <netinet/in.h>
#include <stdbool.h>

#include "core/address.h"

typedef struct {
  char *proxy, *http_proxy, *https_proxy, *no_proxy; // the option, for every URL; else the environment's
  const char *proxy_from, *http_proxy_from, *https_proxy_from, *no_proxy_from;
  char *ca_file, *ca_dir; // NULL: the system's
  const char *ca_file_from, *ca_dir_from;
  bool allow_private;
  unsigned service; // bits, 1 << address_class: the networks where the service was reached
} network_options;

// An address that a request may not connect to.
typedef struct {
  address_class class;
  char text[INET6_ADDRSTRLEN];
} refused_address;

// Fills zeroed settings from the options at index 1 of the stack and from the environment. Raises for what can't be used;
// network_options_free is due in either case.
void network_options_read(lua_State *L, network_options *n);
void network_options_free(network_options *n);

// The proxy for a URL; "" for none. An environment's proxy isn't asked for this machine.
const char *network_proxy(const network_options *n, const char *url);
// Tells libcurl which certificates to trust.
bool network_set_certificates(CURL *easy, const network_options *n);
// Tells libcurl the proxy.
bool network_set_proxy(CURL *easy, const char *proxy);

// Whether the service may send us to an address: any public one, any of the networks where the service itself is, and with
// allow_private any but reserved ones. Else *refused says which it is.
bool network_allows(const network_options *n, const struct sockaddr *address, refused_address *refused);
// The same for an address that a URL spells, or for "localhost"; true for another name.
bool network_allows_url(const network_options *n, const char *url, refused_address *refused);
// The service was reached at this address (a numeric one; anything else changes nothing).
void network_learn(network_options *n, const char *address);

// Pushes a table: what is in force for a URL, and where it comes from.
void network_push(lua_State *L, const network_options *n, const char *url);

#endif
