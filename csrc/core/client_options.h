// SPDX-License-Identifier: MIT
// A client's settings.
#ifndef OMNI_CLIENT_OPTIONS_H
#define OMNI_CLIENT_OPTIONS_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/network.h"

// What all exchanges of a client share; owned by the client, which outlives its exchanges' running.
typedef struct {
  char *base_url; // without a slash at its end; NULL where there is no account, nor then a key
  // A query's URL is mostly the same: libcurl parses and prints URLs letter by letter, which costs more than sending them.
  // So it is given the server's URL once, in parts, and each query's target. NULL where a proxy needs to see the whole URL.
  CURLU *server;
  const char *base_path; // the path within base_url
  char *user_agent;
  network_options network;
  const char *proxy; // of the account's calls, "" for none; within `network`
  const char *key; // within the key's header line
  struct curl_slist *key_headers; // with the key; wiped when they are freed
  struct curl_slist *post_headers;
  long connect_timeout_ms, timeout_ms, http_version, max_connections;
  size_t max_bytes;
  int64_t max_download_bytes;
} client_options;

// Fills zeroed settings from the table of options at index 1; without base_url and api_key they are no account's. Raises for what
// can't be used, never showing the key;
// client_options_free is due in either case.
void client_options_read(lua_State *L, client_options *s);
// Frees everything, wiping the key. Idempotent.
void client_options_free(client_options *s);

// An option of the table at index 1 that is a string without control characters, copied; NULL when it isn't there. Raises for any other.
char *client_options_string(lua_State *L, const char *name);

// Appends a header line; false when there is no memory.
bool header_add(struct curl_slist **list, const char *line);

#endif
