// SPDX-License-Identifier: MIT
// URLs from outside: read and normalised here, and nowhere else.
#ifndef OMNI_URL_H
#define OMNI_URL_H

#include <stdbool.h>
#include <stddef.h>

// Returns the http or https URL in its normal form, as curl and browsers would send it: white space around it dropped, scheme and
// host in lower case, an international host in its ASCII form, an IP address in its usual spelling, no default port, no dot segments,
// and everything percent-encoded that a URL can't hold. Idempotent. The caller frees it.
// Returns NULL for what can't be fetched; *why then says what it must be ("must be ..."). It never repeats the URL.
char *url_normalize(const char *text, size_t length, const char **why);

// The same for what an answer's Location says, which may be relative to the URL that was asked.
char *url_resolve(const char *base, const char *location, size_t length, const char **why);

// The same for a base URL: neither query nor fragment, no slash at its end.
char *url_normalize_base(const char *text, size_t length, const char **why);

// Whether a host, as a name, an IPv4 address or an IPv6 address with or without brackets, is this machine: "localhost", 127.0.0.0/8
// and ::1. Only whole names and addresses count: localhost.example.com and 127.example.com are other machines.
bool host_is_loopback(const char *host);

// Whether a URL's host is this machine. False for what isn't a URL.
bool url_is_loopback(const char *url);

#endif
