// SPDX-License-Identifier: MIT
// Normalises untrusted URLs with libcurl's own parser, so that omni checks exactly what libcurl fetches.
#include "core/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <lauxlib.h>
#include <locale.h>
#include <lua.h>
#include <stdlib.h>
#include <string.h>

#include "shared/argument.h"
#include "shared/ascii.h"
#include "core/core_parts.h"

enum { MAX_URL = 8192 }; // the longest allowed URL in bytes, before and after normalisation

static const char no_http[] = "must be an http or https URL";
static const char no_memory[] = "could not be checked: not enough memory";
static const char bad_host[] = "must have a valid host name or IP address";

// Returns whether the part of a URL after the host may contain this byte unencoded (RFC 3986, "pchar" and the delimiters).
static bool is_plain(unsigned char byte) {
  return isalnum(byte) || (byte < 0x80 && byte && strchr("-._~!$&'()*+,;=:@/?#%", byte));
}

static const char *why_bad(CURLUcode outcome) {
  return outcome == CURLUE_OUT_OF_MEMORY ? no_memory : bad_host;
}

static bool is_space(char byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

// Percent-encodes the part of a URL after its host, and writes at most three bytes for each byte of `text`. Returns the end of the encoded
// text. Also encodes a "%" that doesn't start a valid escape, and every "#" after the first.
static char *encode(char *out, const char *text, size_t length) {
  bool fragment = false;
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)text[i];
    bool plain = is_plain(byte);
    if (byte == '%') plain = length - i > 2 && isxdigit((unsigned char)text[i + 1]) && isxdigit((unsigned char)text[i + 2]);
    if (byte == '#') plain = !fragment, fragment = true;
    if (plain)
      *out++ = (char)byte;
    else
      *out++ = '%', *out++ = "0123456789ABCDEF"[byte >> 4], *out++ = "0123456789ABCDEF"[byte & 15];
  }
  return out;
}

// Sets *host to the URL's host in ASCII and lower case. Sets a UTF-8 locale for this thread during the call, since libidn2 reads UTF-8 only
// in such a locale. Neither depends on nor changes the program's locale.
static const char *ascii_host(CURLU *parts, char **host) {
  // any remaining "%" is invalid, since libcurl has already decoded valid escapes
  CURLUcode outcome = curl_url_get(parts, CURLUPART_HOST, host, 0);
  if (outcome != CURLUE_OK || strchr(*host, '%')) return why_bad(outcome);
  bool ascii = true;
  for (const char *at = *host; *at; at++) ascii = ascii && (unsigned char)*at < 0x80;
  if (!ascii) {
    curl_free(*host);
    *host = NULL;
#ifdef CURLU_PUNYCODE
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t before = utf8 ? uselocale(utf8) : (locale_t)0;
    outcome = curl_url_get(parts, CURLUPART_HOST, host, CURLU_PUNYCODE);
    if (utf8) uselocale(before), freelocale(utf8);
    if (outcome == CURLUE_BAD_HOSTNAME) return bad_host;
    if (outcome != CURLUE_OK)
#endif
      return "must have its host in ASCII (xn--...): this libcurl can't convert international names";
  }
  for (char *at = *host; *at; at++) *at = (char)tolower((unsigned char)*at);
  size_t length = strlen(*host);
  if (length > 1 && (*host)[length - 1] == '.') (*host)[length - 1] = '\0';
  return NULL;
}

// Accepts a host name that consists of letters, digits, "-" and "_", and has no empty labels. A name that ends in a number must be an IPv4
// address, since resolvers and browsers disagree about other such names.
static bool host_is_sound(const char *host) {
  if (*host == '[') return true; // the host is an IPv6 address, which libcurl has checked
  struct in_addr address;
  const char *dot = strrchr(host, '.'), *last = dot ? dot + 1 : host;
  bool number = *last && (strspn(last, "0123456789") == strlen(last) ||
                          (strncmp(last, "0x", 2) == 0 && strspn(last + 2, "0123456789abcdef") == strlen(last + 2)));
  if (*host == '.' || *last == '\0' || strstr(host, "..") || host[strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.")]) return false;
  return !number || inet_pton(AF_INET, host, &address) == 1;
}

// Replaces the URL's host with its normal form. Parses the URL twice, since the ASCII form of an international host may be an IP address,
// which libcurl normalises only when it parses a URL.
static const char *normalize_host(CURLU *parts, char **host) {
  const char *why = ascii_host(parts, host);
  if (why) return why;
  char text[sizeof "http:///" + 256];
  if (strlen(*host) > 255) return bad_host;
  strcat(strcat(strcpy(text, "http://"), *host), "/");
  CURLU *again = curl_url();
  if (!again) return no_memory;
  char *spelled = NULL;
  CURLUcode outcome = curl_url_set(again, CURLUPART_URL, text, 0);
  if (outcome == CURLUE_OK) outcome = curl_url_get(again, CURLUPART_HOST, &spelled, 0);
  curl_url_cleanup(again);
  if (!spelled || !host_is_sound(spelled)) {
    curl_free(spelled);
    return why_bad(outcome);
  }
  char canonical[INET6_ADDRSTRLEN + 2] = "[";
  struct in6_addr six;
  size_t length = strlen(spelled);
  if (*spelled == '[' && length < sizeof canonical) {
    spelled[length - 1] = '\0';
    bool known = inet_pton(AF_INET6, spelled + 1, &six) == 1 && inet_ntop(AF_INET6, &six, canonical + 1, INET6_ADDRSTRLEN);
    curl_free(spelled);
    if (!known) return bad_host;
    outcome = curl_url_set(parts, CURLUPART_HOST, strcat(canonical, "]"), 0);
  } else {
    outcome = curl_url_set(parts, CURLUPART_HOST, spelled, 0);
    curl_free(spelled);
  }
  return outcome == CURLUE_OK ? NULL : why_bad(outcome);
}

static const char *normalize(const char *text, CURLU *parts, char **url) {
  CURLUcode outcome = curl_url_set(parts, CURLUPART_URL, text, 0);
  if (outcome == CURLUE_OUT_OF_MEMORY) return no_memory;
  if (outcome == CURLUE_BAD_PORT_NUMBER) return "must have a port from 1 to 65535";
  if (outcome != CURLUE_OK) return bad_host;
  char *port = NULL;
  bool zero = curl_url_get(parts, CURLUPART_PORT, &port, 0) == CURLUE_OK && strtol(port, NULL, 10) == 0;
  curl_free(port);
  if (zero) return "must have a port from 1 to 65535";
  char *host = NULL, *zone = NULL; // `zone`: the zone of a link-local IPv6 address, which libcurl drops when the host is set
  if (curl_url_get(parts, CURLUPART_ZONEID, &zone, 0) == CURLUE_OUT_OF_MEMORY) return no_memory;
  const char *why = normalize_host(parts, &host);
  if (!why && zone && curl_url_set(parts, CURLUPART_ZONEID, zone, 0) != CURLUE_OK) why = no_memory;
  curl_free(host), curl_free(zone);
  if (why) return why;
  return curl_url_get(parts, CURLUPART_URL, url, CURLU_NO_DEFAULT_PORT) == CURLUE_OK ? NULL : no_memory;
}

char *url_normalize(const char *text, size_t length, const char **why) {
  while (length && is_space(*text)) text++, length--;
  while (length && is_space(text[length - 1])) length--;
  *why = NULL;
  if (length > MAX_URL) return *why = "must have at most 8192 bytes", NULL;
  for (size_t i = 0; i < length; i++)
    if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) return *why = "must not contain a control character", NULL;
  size_t scheme = length > 7 && ascii_equal(text, "http://", 7) ? 7 : length > 8 && ascii_equal(text, "https://", 8) ? 8 : 0;
  if (!scheme) return *why = no_http, NULL;
  size_t authority = scheme;
  for (; authority < length && !strchr("/?#", text[authority]); authority++) {
    if (text[authority] == '@') return *why = "must not contain a user name or a password", NULL;
    if (text[authority] == '\\' || text[authority] == ' ') return *why = bad_host, NULL;
  }
  if (authority == scheme) return *why = no_http, NULL;
  char *encoded = malloc(length * 3 + 1), *url = NULL, *copy = NULL;
  CURLU *parts = curl_url();
  if (!encoded || !parts) {
    *why = no_memory;
  } else {
    memcpy(encoded, text, authority);
    *encode(encoded + authority, text + authority, length - authority) = '\0';
    *why = normalize(encoded, parts, &url);
    if (!*why && strlen(url) > MAX_URL) *why = "must have at most 8192 bytes";
    if (!*why && !(copy = strdup(url))) *why = no_memory;
  }
  curl_free(url);
  curl_url_cleanup(parts);
  free(encoded);
  return copy;
}

char *url_resolve(const char *base, const char *location, size_t length, const char **why) {
  size_t letters = 0; // of a scheme
  while (letters < length && (isalnum((unsigned char)location[letters]) || strchr("+-.", location[letters]))) letters++;
  if (letters && letters < length && location[letters] == ':') return url_normalize(location, length, why);
  char *whole = NULL, *url = NULL;
  CURLU *parts = curl_url();
  char *relative = malloc(length * 3 + 1);
  *why = no_memory;
  if (!parts || !relative) goto end;
  if (length > 1 && location[0] == '/' && location[1] == '/') { // a location such as "//host/path" replaces the host but keeps the scheme
    size_t scheme = strcspn(base, ":") + 1;
    if (!(whole = malloc(scheme + length))) goto end;
    memcpy(whole, base, scheme);
    memcpy(whole + scheme, location, length);
    url = url_normalize(whole, scheme + length, why);
    free(whole);
    whole = NULL;
  } else {
    *encode(relative, location, length) = '\0';
    *why = no_http;
    if (curl_url_set(parts, CURLUPART_URL, base, 0) == CURLUE_OK && curl_url_set(parts, CURLUPART_URL, relative, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_URL, &whole, 0) == CURLUE_OK)
      url = url_normalize(whole, strlen(whole), why);
  }
end:
  curl_free(whole);
  curl_url_cleanup(parts);
  free(relative);
  return url;
}

char *url_normalize_base(const char *text, size_t length, const char **why) {
  char *url = url_normalize(text, length, why);
  if (!url) return NULL;
  if (strpbrk(url, "?#")) {
    free(url);
    return *why = "must not contain a query or a fragment", NULL;
  }
  for (size_t end = strlen(url); end && url[end - 1] == '/';) url[--end] = '\0';
  return url;
}

// --- this machine

bool host_is_loopback(const char *host) {
  char name[INET6_ADDRSTRLEN + 2];
  size_t length = strlen(host);
  if (length && host[length - 1] == '.') length--;
  if (length >= 2 && host[0] == '[' && host[length - 1] == ']') host++, length -= 2;
  if (length >= sizeof name) return false;
  memcpy(name, host, length);
  name[length] = '\0';
  struct in_addr four;
  struct in6_addr six;
  if (inet_pton(AF_INET, name, &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  if (inet_pton(AF_INET6, name, &six) == 1)
    return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
  return ascii_is(name, "localhost");
}

bool url_is_loopback(const char *url) {
  CURLU *parts = curl_url();
  char *host = NULL;
  bool loopback = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                  curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK && host_is_loopback(host);
  curl_free(host);
  curl_url_cleanup(parts);
  return loopback;
}

// --- Lua functions

// Pushes the URL that one of the functions above returned, and frees the URL; or pushes nil and `why`. The buffer `room` has MAX_URL bytes;
// the caller allocates the buffer before it creates the URL, since a Lua error would leak the URL.
static int push_url(lua_State *L, luaL_Buffer *room, char *url, const char *why) {
  if (!url) {
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
  }
  size_t size = strlen(url);
  memcpy(luaL_buffaddr(room), url, size);
  free(url);
  luaL_pushresultsize(room, size);
  return 1;
}

static int push_normalized(lua_State *L, char *(*normalized)(const char *, size_t, const char **)) {
  size_t length = 0;
  const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : NULL, *why = "must be a string";
  luaL_Buffer room;
  luaL_buffinitsize(L, &room, MAX_URL);
  char *url = text ? normalized(text, length, &why) : NULL;
  return push_url(L, &room, url, why);
}

// normalize_url(text) → url | nil, "must be ..."
static int normalize_url(lua_State *L) {
  return push_normalized(L, url_normalize);
}

// normalize_base_url(text) → url | nil, "must be ..."
static int normalize_base_url(lua_State *L) {
  return push_normalized(L, url_normalize_base);
}

// resolve_url(base, location) → url | nil, "must be ..."
static int resolve_url(lua_State *L) {
  size_t length;
  const char *base = argument_text(L, 1), *location = luaL_checklstring(L, 2, &length), *why;
  luaL_Buffer room;
  luaL_buffinitsize(L, &room, MAX_URL);
  char *url = url_resolve(base, location, length, &why);
  return push_url(L, &room, url, why);
}

// is_loopback(host or URL) → boolean
static int is_loopback(lua_State *L) {
  const char *text = argument_text(L, 1);
  lua_pushboolean(L, strstr(text, "://") ? url_is_loopback(text) : host_is_loopback(text));
  return 1;
}

void url_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"normalize_url", normalize_url},
                                       {"normalize_base_url", normalize_base_url},
                                       {"resolve_url", resolve_url},
                                       {"is_loopback", is_loopback},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
