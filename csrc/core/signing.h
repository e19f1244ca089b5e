// SPDX-License-Identifier: MIT
// Signs a client's requests to an object store with AWS Signature Version 4. The signatures are computed by libcurl.
#ifndef OMNI_SIGNING_H
#define OMNI_SIGNING_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>

// If `url` is set, the client signs all its requests, and sends them only to URLs that begin with `url`.
typedef struct {
  // the prefix of every URL that the client may use, such as "https://s3.eu-west-1.amazonaws.com/bucket/"; NULL: no signatures
  char *url;
  char *scope; // CURLOPT_AWS_SIGV4's value, "aws:amz:eu-west-1:s3"
  char *access_key, *secret_key;
  char *token; // the header line that contains the session token, or NULL
} signing_options;

// Fills a zeroed struct from the options sign_url, sign_region, sign_access_key, sign_secret_key and sign_token in the table at index 1.
// Raises an error for an invalid option; the message never shows a secret. Call signing_free even after an error.
void signing_read(lua_State *L, signing_options *s);
// Wipes the secrets and frees the options' memory. Idempotent.
void signing_free(signing_options *s);

// Returns whether the client may send a request to this URL. Returns false if the client signs its requests and this URL doesn't begin with
// s->url.
bool signing_covers(const signing_options *s, const char *url);
// Makes a libcurl handle sign its requests, if these options contain a `url`. Returns false when memory runs out.
bool signing_set(CURL *easy, const signing_options *s);
// Appends the header lines that a signed request needs. `sha256` is the digest of the request's body; NULL means an empty body. Adds
// nothing if the client doesn't sign its requests. Returns false when memory runs out.
bool signing_add_headers(const signing_options *s, struct curl_slist **headers, const char *sha256);

#endif
