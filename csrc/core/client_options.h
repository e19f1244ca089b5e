// SPDX-License-Identifier: MIT
// An HTTP client's options.
#ifndef OMNI_CLIENT_OPTIONS_H
#define OMNI_CLIENT_OPTIONS_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/network.h"
#include "core/signing.h"

// The options of one client, which all exchanges of that client share.
typedef struct {
  char *base_url; // has no trailing slash; NULL if the client has no account, and therefore no key
  // The already parsed server part of base_url, to which a query adds only the request target. Parsing and formatting the whole URL would
  // take libcurl longer than sending the request. NULL when a proxy needs the whole URL.
  CURLU *server;
  const char *base_path; // the path within base_url
  char *user_agent;
  network_options network;
  signing_options signing;
  const char *proxy; // the proxy's URL for calls to the service, "" for no proxy; points into `network`
  const char *key; // points to the API key within its header line
  struct curl_slist *key_headers; // header lines that contain the API key; client_options_free wipes them
  struct curl_slist *post_headers;
  long connect_timeout_ms, timeout_ms, http_version, max_connections;
  size_t max_bytes;
  int64_t max_download_bytes;
} client_options;

// Fills a zeroed struct from the options at index 1. Without base_url and api_key, the client has no account. Raises an error for an
// invalid option; the message never shows the key. Call client_options_free even after an error.
void client_options_read(lua_State *L, client_options *o);
// Wipes the API key and frees the options' memory. Idempotent.
void client_options_free(client_options *o);

// Returns a copy of a string option from the table at index 1, or NULL if the option is missing. Raises an error when the option isn't a
// string or contains a control character.
char *client_options_string(lua_State *L, const char *name);

// Appends a header line. Returns false when memory runs out.
bool header_add(struct curl_slist **list, const char *line);

#endif
