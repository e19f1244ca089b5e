// SPDX-License-Identifier: MIT
// Overwrites a secret in text that a server sent.
#ifndef OMNI_REDACT_H
#define OMNI_REDACT_H

#include <stddef.h>

// Overwrites each occurrence of the secret with asterisks, in place. Also finds a secret in which some characters are escaped, as in JSON
// (\u0061, \/, \"), in JSON within a JSON string, or in a URL (%61). Valid JSON stays valid.
void redact(char *text, size_t length, const char *secret);

#endif
