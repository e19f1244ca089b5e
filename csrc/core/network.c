// SPDX-License-Identifier: MIT
// Determines the proxy and the trusted certificates that requests use, and the addresses that requests may reach. The environment's proxy
// variables are read once, when a client is opened, and libcurl is prevented from reading them.
#include "core/network.h"

#include <arpa/inet.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/ascii.h"
#include "shared/field.h"
#include "core/client_options.h"
#include "core/url.h"

// --- reading the settings

// Returns a copy of the first non-empty value among the environment variables `names`. Sets *from to the name of the variable whose value
// was copied.
static char *environment(lua_State *L, const char *const *names, const char **from) {
  for (; *names; names++) {
    const char *value = getenv(*names);
    if (!value || !*value) continue;
    *from = *names;
    char *copy = strdup(value);
    if (!copy) luaL_error(L, "not enough memory");
    return copy;
  }
  return NULL;
}
#define ENVIRONMENT(L, from, ...) environment(L, (const char *const[]){__VA_ARGS__, NULL}, from)

static bool is_true(const char *text) {
  return text && *text && strcmp(text, "0") != 0 && !ascii_is(text, "no") && !ascii_is(text, "false");
}

void network_options_read(lua_State *L, network_options *n) {
  if ((n->proxy = client_options_string(L, "proxy"))) {
    n->proxy_from = "the option proxy";
  } else { // reads the same variables as curl, so not HTTP_PROXY, which a web server may set from a request's header
    n->http_proxy = ENVIRONMENT(L, &n->http_proxy_from, "http_proxy", "all_proxy", "ALL_PROXY");
    n->https_proxy = ENVIRONMENT(L, &n->https_proxy_from, "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY");
    n->no_proxy = ENVIRONMENT(L, &n->no_proxy_from, "no_proxy", "NO_PROXY");
  }
  if ((n->ca_file = client_options_string(L, "ca_file"))) {
    n->ca_file_from = "the option ca_file";
  } else if (!(n->ca_file = ENVIRONMENT(L, &n->ca_file_from, "CURL_CA_BUNDLE"))) {
    n->ca_file = ENVIRONMENT(L, &n->ca_file_from, "SSL_CERT_FILE");
    n->ca_dir = ENVIRONMENT(L, &n->ca_dir_from, "SSL_CERT_DIR");
  }
  // Refuses a named pipe as the file of certificates, since libcurl opens that file for each connection and would wait until another
  // program writes to the pipe.
  struct stat info;
  if (n->ca_file && stat(n->ca_file, &info) == 0 && S_ISFIFO(info.st_mode))
    luaL_error(L, "the certificates of %s can't be used: %s is a pipe, not a file", n->ca_file_from, n->ca_file);
  int type = lua_getfield(L, 1, "allow_private_networks");
  if (type != LUA_TNIL && type != LUA_TBOOLEAN) luaL_error(L, "option 'allow_private_networks' must be a boolean");
  n->allow_private = type == LUA_TNIL ? is_true(getenv("OMNI_ALLOW_PRIVATE_NETWORKS")) : lua_toboolean(L, -1);
  lua_pop(L, 1);
}

void network_options_free(network_options *n) {
  free(n->proxy), free(n->http_proxy), free(n->https_proxy), free(n->no_proxy);
  free(n->ca_file), free(n->ca_dir);
  memset(n, 0, sizeof *n);
}

// --- proxies

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b, int bits) {
  if (a->ss_family != b->ss_family) return false;
  const unsigned char *x, *y;
  if (a->ss_family == AF_INET) {
    x = (const unsigned char *)&((const struct sockaddr_in *)a)->sin_addr;
    y = (const unsigned char *)&((const struct sockaddr_in *)b)->sin_addr;
  } else {
    x = ((const struct sockaddr_in6 *)a)->sin6_addr.s6_addr;
    y = ((const struct sockaddr_in6 *)b)->sin6_addr.s6_addr;
  }
  int most = a->ss_family == AF_INET ? 32 : 128;
  if (bits < 0 || bits > most) bits = most;
  return memcmp(x, y, (size_t)bits / 8) == 0 && (bits % 8 == 0 || (x[bits / 8] ^ y[bits / 8]) >> (8 - bits % 8) == 0);
}

// Returns whether a no_proxy entry (a domain with its subdomains, an address, or a network such as "10.0.0.0/8") matches the host.
static bool entry_names(const char *entry, size_t length, const char *host) {
  char text[256];
  struct sockaddr_storage address, other;
  if (length && *entry == '.') entry++, length--;
  if (length && entry[length - 1] == '.') length--;
  if (length == 0 || length >= sizeof text) return false;
  memcpy(text, entry, length);
  text[length] = '\0';
  if (address_parse(host, &address)) {
    char *slash = strchr(text, '/');
    if (slash) *slash = '\0';
    return address_parse(text, &other) && same_address(&address, &other, slash ? atoi(slash + 1) : -1);
  }
  size_t whole = strlen(host);
  return whole >= length && ascii_is(host + whole - length, text) && (whole == length || host[whole - length - 1] == '.');
}

static bool is_exempt(const char *no_proxy, const char *host) {
  if (!no_proxy) return false;
  if (strcmp(no_proxy, "*") == 0) return true;
  while (*no_proxy) {
    no_proxy += strspn(no_proxy, ", \t");
    size_t length = strcspn(no_proxy, ", \t");
    if (entry_names(no_proxy, length, host)) return true;
    no_proxy += length;
  }
  return false;
}

// Returns the URL's host as libcurl parses it, or NULL for an invalid URL. The caller frees the result with curl_free.
static char *host_of(const char *url) {
  CURLU *parts = curl_url();
  char *host = NULL;
  if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) curl_url_get(parts, CURLUPART_HOST, &host, 0);
  curl_url_cleanup(parts);
  return host;
}

const char *network_proxy(const network_options *n, const char *url) {
  if (n->proxy) return n->proxy;
  const char *proxy = ascii_equal(url, "https:", 6) ? n->https_proxy : n->http_proxy;
  char *host = proxy ? host_of(url) : NULL;
  bool direct = !host || host_is_loopback(host) || is_exempt(n->no_proxy, host);
  curl_free(host);
  return direct ? "" : proxy;
}

bool network_set_proxy(CURL *easy, const char *proxy) {
  return curl_easy_setopt(easy, CURLOPT_PROXY, proxy) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_NOPROXY, "") == CURLE_OK;
}

bool network_set_certificates(CURL *easy, const network_options *n) {
  bool fine = true;
#define SET(option, value) fine = fine && curl_easy_setopt(easy, option, value) == CURLE_OK
  if (n->ca_file) SET(CURLOPT_CAINFO, n->ca_file);
  if (n->ca_file) SET(CURLOPT_PROXY_CAINFO, n->ca_file);
  if (n->ca_dir) SET(CURLOPT_CAPATH, n->ca_dir);
  if (n->ca_dir) SET(CURLOPT_PROXY_CAPATH, n->ca_dir);
#undef SET
  return fine;
}

// --- addresses

bool network_allows(const network_options *n, const struct sockaddr *address, refused_address *refused) {
  address_class class = address_classify(address);
  if (class == ADDRESS_PUBLIC) return true;
  if (class != ADDRESS_RESERVED && (n->allow_private || n->service & 1u << class)) return true;
  refused->class = class;
  const void *bytes = &((const struct sockaddr_in *)address)->sin_addr;
  if (address->sa_family == AF_INET6) bytes = &((const struct sockaddr_in6 *)address)->sin6_addr;
  if (!inet_ntop(address->sa_family, bytes, refused->text, sizeof refused->text)) strcpy(refused->text, "an unknown address");
  return false;
}

bool network_allows_url(const network_options *n, const char *url, refused_address *refused) {
  struct sockaddr_storage address;
  char *host = host_of(url);
  bool known = host && (address_parse(host, &address) || (host_is_loopback(host) && address_parse("127.0.0.1", &address)));
  curl_free(host);
  return !known || network_allows(n, (const struct sockaddr *)&address, refused);
}

void network_learn(network_options *n, const char *address) {
  struct sockaddr_storage parsed;
  if (address && address_parse(address, &parsed)) n->service |= 1u << address_classify((const struct sockaddr *)&parsed);
}

// --- for messages and `omni doctor`

// Pushes a proxy's URL without its user and password.
static void push_proxy(lua_State *L, const char *proxy) {
  const char *at = strrchr(proxy, '@'), *scheme = strstr(proxy, "://");
  if (!at)
    lua_pushstring(L, proxy);
  else if (scheme && scheme < at)
    lua_pushlstring(L, proxy, (size_t)(scheme - proxy) + 3), lua_pushstring(L, at + 1), lua_concat(L, 2);
  else
    lua_pushstring(L, at + 1);
}

void network_push(lua_State *L, const network_options *n, const char *url) {
  const char *proxy = network_proxy(n, url);
  bool https = ascii_equal(url, "https:", 6);
  const char *named = n->proxy ? n->proxy : https ? n->https_proxy : n->http_proxy;
  lua_createtable(L, 0, 8);
  if (named && *named) {
    push_proxy(L, named);
    lua_setfield(L, -2, "proxy");
    field_set_string(L, "proxy_from", n->proxy ? n->proxy_from : https ? n->https_proxy_from : n->http_proxy_from);
    field_set_boolean(L, "proxy_used", *proxy != '\0');
    if (n->no_proxy) field_set_string(L, "no_proxy_from", n->no_proxy_from);
  }
  if (n->ca_file) field_set_string(L, "ca_file", n->ca_file), field_set_string(L, "ca_file_from", n->ca_file_from);
  if (n->ca_dir) field_set_string(L, "ca_dir", n->ca_dir), field_set_string(L, "ca_dir_from", n->ca_dir_from);
  field_set_boolean(L, "allow_private_networks", n->allow_private);
}
