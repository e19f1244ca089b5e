// SPDX-License-Identifier: MIT
#include "core/signing.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/client_options.h"

static const char empty_body[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // the SHA-256 digest of an empty body

// Overwrites and frees a string that may contain a secret.
static void wipe(char *text) {
  if (text) explicit_bzero(text, strlen(text));
  free(text);
}

static char *required(lua_State *L, const char *name) {
  char *text = client_options_string(L, name);
  if (!text) luaL_error(L, "option '%s' is missing", name);
  return text;
}

// Adds text before and after a string, unless the string is NULL. Returns false when memory runs out.
static bool surround(char **text, const char *before, const char *after) {
  char *old = *text;
  if (!old) return true;
  if (asprintf(text, "%s%s%s", before, old, after) < 0) return *text = old, false;
  wipe(old);
  return true;
}

void signing_read(lua_State *L, signing_options *s) {
  if (!(s->url = client_options_string(L, "sign_url"))) return;
  s->access_key = required(L, "sign_access_key");
  s->secret_key = required(L, "sign_secret_key");
  s->scope = required(L, "sign_region");
  s->token = client_options_string(L, "sign_token");
  if (!surround(&s->scope, "aws:amz:", ":s3") || !surround(&s->token, "x-amz-security-token: ", "")) luaL_error(L, "not enough memory");
}

void signing_free(signing_options *s) {
  wipe(s->access_key);
  wipe(s->secret_key);
  wipe(s->token);
  free(s->url);
  free(s->scope);
  memset(s, 0, sizeof *s);
}

bool signing_covers(const signing_options *s, const char *url) {
  return !s->url || strncmp(url, s->url, strlen(s->url)) == 0;
}

bool signing_set(CURL *easy, const signing_options *s) {
  return !s->url || (curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, s->scope) == CURLE_OK &&
                     curl_easy_setopt(easy, CURLOPT_USERNAME, s->access_key) == CURLE_OK &&
                     curl_easy_setopt(easy, CURLOPT_PASSWORD, s->secret_key) == CURLE_OK);
}

bool signing_add_headers(const signing_options *s, struct curl_slist **headers, const char *sha256) {
  if (!s->url) return true;
  char line[sizeof "x-amz-content-sha256: " + sizeof empty_body];
  snprintf(line, sizeof line, "x-amz-content-sha256: %s", sha256 ? sha256 : empty_body);
  return header_add(headers, line) && (!s->token || header_add(headers, s->token));
}
