// SPDX-License-Identifier: MIT
// Reads a client's options from a Lua table. Copies the API key from the table into libcurl's header lines.
#include "core/client_options.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/url.h"

enum { MAX_KEY = 512 };

char *client_options_string(lua_State *L, const char *name) {
  if (lua_getfield(L, 1, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  size_t length = 0;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (!text) luaL_error(L, "option '%s' must be a string", name);
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) luaL_error(L, "option '%s' must not contain a control character", name);
  char *copy = strdup(text);
  if (!copy) luaL_error(L, "not enough memory");
  lua_pop(L, 1);
  return copy;
}

static double number_option(lua_State *L, const char *name, double standard, double least, double most) {
  double value = standard;
  if (lua_getfield(L, 1, name) != LUA_TNIL) {
    if (lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "option '%s' must be a number", name);
    value = lua_tonumber(L, -1);
    if (!(value >= least && value <= most)) luaL_error(L, "option '%s' must be a number from %f to %f", name, least, most);
  }
  lua_pop(L, 1);
  return value;
}

// Splits base_url into server and base_path, unless requests may go through a proxy, which needs whole URLs. Returns false when memory
// runs out.
static bool split_base_url(client_options *o) {
  char *host = strstr(o->base_url, "://") + 3;
  size_t length = (size_t)(host - o->base_url) + strcspn(host, "/");
  o->base_path = o->base_url + length;
  bool plain_proxy = o->base_url[4] != 'o' && o->proxy[0] != '\0';
  if (plain_proxy) return true;
  char *server = strndup(o->base_url, length);
  o->server = curl_url();
  bool fine = server && o->server && curl_url_set(o->server, CURLUPART_URL, server, 0) == CURLUE_OK;
  free(server);
  return fine;
}

bool header_add(struct curl_slist **list, const char *line) {
  struct curl_slist *longer = curl_slist_append(*list, line);
  if (longer) *list = longer;
  return longer != NULL;
}

// Copies the API key into the header lines and nowhere else. Returns the reason why the key can't be used, or NULL if it was copied.
static const char *copy_key(client_options *o, lua_State *L) {
  size_t length;
  lua_getfield(L, 1, "api_key");
  const char *key = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (!key) return "it must be a string";
  if (length < 1 || length > MAX_KEY) return "it must have 1 to 512 characters";
  for (size_t i = 0; i < length; i++)
    if (key[i] <= ' ' || key[i] > '~') return "it must be of printable ASCII characters, without spaces or line breaks";
  char line[sizeof "x-api-key: " + MAX_KEY];
  strcpy(line, "x-api-key: ");
  memcpy(line + strlen(line), key, length + 1);
  bool fine = header_add(&o->key_headers, line) && header_add(&o->post_headers, line);
  explicit_bzero(line, sizeof line);
  if (fine) o->key = o->key_headers->data + strlen("x-api-key: ");
  lua_pop(L, 1);
  return fine ? NULL : "not enough memory";
}

// Adds common headers to omni's own header lists, since libcurl would format each line twice if these headers were set through libcurl's
// options.
static bool add_common_headers(lua_State *L, client_options *o) {
  const char *agent = lua_pushfstring(L, "User-Agent: %s", o->user_agent);
  bool fine = header_add(&o->key_headers, agent) && header_add(&o->post_headers, agent) &&
              header_add(&o->key_headers, "Accept-Encoding: gzip") && header_add(&o->post_headers, "Accept-Encoding: gzip") &&
              header_add(&o->post_headers, "Content-Type: application/json") &&
              // prevents libcurl from sending "Expect: 100-continue", and from repeating the request after a 417 response
              header_add(&o->post_headers, "Expect:");
  lua_pop(L, 1);
  return fine;
}

static long version_option(lua_State *L) {
  static const char *const names[] = {"auto", "1.1", "2-prior-knowledge", NULL};
  static const long versions[] = {CURL_HTTP_VERSION_2TLS, CURL_HTTP_VERSION_1_1, CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE};
  lua_getfield(L, 1, "http_version");
  const char *wanted = luaL_optstring(L, -1, "auto");
  for (int i = 0; names[i]; i++) {
    if (strcmp(names[i], wanted) == 0) {
      lua_pop(L, 1);
      return versions[i];
    }
  }
  return luaL_error(L, "option 'http_version' must be 'auto', '1.1' or '2-prior-knowledge'");
}

// Reads the options base_url and api_key, unless both are missing.
static void read_account(lua_State *L, client_options *o) {
  int top = lua_gettop(L);
  bool none = lua_getfield(L, 1, "base_url") == LUA_TNIL && lua_getfield(L, 1, "api_key") == LUA_TNIL;
  size_t length = 0;
  const char *text = lua_type(L, top + 1) == LUA_TSTRING ? lua_tolstring(L, top + 1, &length) : NULL, *why = "must be a string";
  if (text) o->base_url = url_normalize_base(text, length, &why);
  lua_settop(L, top);
  if (none) return;
  if (!o->base_url) luaL_error(L, "option 'base_url' can't be used: it %s", why);
  if ((why = copy_key(o, L))) luaL_error(L, "option 'api_key' can't be used: %s", why);
}

// Determines the service's proxy and, if the base URL contains an IP address, the service's network.
static void find_service(client_options *o) {
  o->proxy = network_proxy(&o->network, o->base_url);
  refused_address spelled;
  if (!network_allows_url(&o->network, o->base_url, &spelled)) network_learn(&o->network, spelled.text);
}

void client_options_read(lua_State *L, client_options *o) {
  read_account(L, o);
  o->user_agent = client_options_string(L, "user_agent");
  if (!o->user_agent && !(o->user_agent = strdup("omni/" OMNI_VERSION))) luaL_error(L, "not enough memory");
  if (!add_common_headers(L, o)) luaL_error(L, "not enough memory");
  network_options_read(L, &o->network);
  signing_read(L, &o->signing);
  if (o->base_url) find_service(o);
  if (o->base_url && !split_base_url(o)) luaL_error(L, "not enough memory");
  o->connect_timeout_ms = (long)ceil(number_option(L, "connect_timeout", 10, 0.001, 86400) * 1000);
  o->timeout_ms = (long)ceil(number_option(L, "timeout", 60, 0.001, 86400) * 1000);
  o->max_bytes = (size_t)number_option(L, "max_bytes", 8 * 1024 * 1024, 1024, 1 << 30);
  o->max_download_bytes = (int64_t)number_option(L, "max_download_bytes", 16.0 * (1 << 30), 1024, 1e15);
  o->max_connections = (long)number_option(L, "max_connections", 64, 1, 10000);
  o->http_version = version_option(L);
}

// Wipes the header lines before freeing them, since they contain the API key.
static void free_list(struct curl_slist *list) {
  for (struct curl_slist *item = list; item; item = item->next) explicit_bzero(item->data, strlen(item->data));
  curl_slist_free_all(list);
}

void client_options_free(client_options *o) {
  free_list(o->key_headers);
  free_list(o->post_headers);
  free(o->base_url);
  curl_url_cleanup(o->server);
  free(o->user_agent);
  network_options_free(&o->network);
  signing_free(&o->signing);
  memset(o, 0, sizeof *o);
}
