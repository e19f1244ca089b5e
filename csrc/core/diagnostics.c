// SPDX-License-Identifier: MIT
// Returns diagnostic information: libcurl's version, and how long each step of an exchange took.
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <time.h>

#include "core/client.h"
#include "core/core_parts.h"
#include "shared/field.h"

// libraries() → { curl = "7.88.1", tls = "OpenSSL/3.0.15" }
static int libraries(lua_State *L) {
  const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
  lua_newtable(L);
  field_set_string(L, "curl", info->version);
  field_set_string(L, "tls", info->ssl_version);
  return 1;
}

// The steps of an exchange, each with libcurl's name for the time from the exchange's start to the step's end.
static const struct {
  const char *name;
  CURLINFO info;
} steps[] = {
    {"lookup", CURLINFO_NAMELOOKUP_TIME_T},
    {"connect", CURLINFO_CONNECT_TIME_T},
    {"tls", CURLINFO_APPCONNECT_TIME_T},
    {"total", CURLINFO_TOTAL_TIME_T},
};

// The names that omni and libcurl give to two sizes: `received` is the size of a response's body, and `sent` that of a request's body.
static const struct {
  const char *name;
  CURLINFO info;
} sizes[] = {{"received", CURLINFO_SIZE_DOWNLOAD_T}, {"sent", CURLINFO_SIZE_UPLOAD_T}};

// trace(exchange) → { address, date, lookup, connect, tls, total, status, received, sent }, of a finished exchange; unknown fields are nil
static int trace(lua_State *L) {
  const exchange *x = luaL_checkudata(L, 1, EXCHANGE);
  luaL_argcheck(L, x->state == DONE || x->state == REPORTED, 1, "still runs, or is closed");
  client_lock(L, 1);
  lua_newtable(L);
  if (!x->transfer) return 1;
  char *address = NULL;
  if (curl_easy_getinfo(x->transfer->easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK && address && *address)
    field_set_string(L, "address", address);
  if (x->status > 0) field_set_integer(L, "status", x->status);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    curl_off_t bytes = 0;
    if (curl_easy_getinfo(x->transfer->easy, sizes[i].info, &bytes) == CURLE_OK) field_set_integer(L, sizes[i].name, (lua_Integer)bytes);
  }
  const char *date = exchange_header(x, "Date");
  time_t seconds = date ? curl_getdate(date, NULL) : (time_t)-1;
  if (seconds != (time_t)-1) field_set_integer(L, "date", (lua_Integer)seconds);
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    curl_off_t microseconds = 0;
    if (curl_easy_getinfo(x->transfer->easy, steps[i].info, &microseconds) != CURLE_OK || microseconds <= 0) continue;
    field_set_number(L, steps[i].name, (lua_Number)microseconds / 1e6);
  }
  return 1;
}

void diagnostics_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"libraries", libraries}, {"trace", trace}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
