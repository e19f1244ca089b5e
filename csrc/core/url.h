// SPDX-License-Identifier: MIT
// Parses and normalises untrusted URLs. No other file in omni parses untrusted URLs.
#ifndef OMNI_URL_H
#define OMNI_URL_H

#include <stdbool.h>
#include <stddef.h>

// Returns an http or https URL in its normal form, as curl and browsers send it. Removes surrounding white space, the default port and dot
// segments. Converts the scheme and host to lower case, an international host to ASCII and an IP address to its usual form. Percent-encodes
// every byte that a URL can't contain. Idempotent. The caller frees it. For an invalid URL, returns NULL and sets *why to a text such as
// "must be an http URL", which never repeats the URL.
char *url_normalize(const char *text, size_t length, const char **why);

// Returns the normal form of a response's Location, which may be relative to the request's URL `base`.
char *url_resolve(const char *base, const char *location, size_t length, const char **why);

// Returns the normal form of a base URL without its trailing slashes; a base URL must not contain a query or a fragment.
char *url_normalize_base(const char *text, size_t length, const char **why);

// Returns whether a host is this machine, that is, "localhost", ::1 or an address in 127.0.0.0/8, with or without brackets. Only whole
// names and addresses count: localhost.example.com and 127.example.com are other machines.
bool host_is_loopback(const char *host);

// Returns whether a URL's host is this machine. Returns false for an invalid URL.
bool url_is_loopback(const char *url);

#endif
