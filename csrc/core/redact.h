// SPDX-License-Identifier: MIT
// Keeps a secret that a peer repeats out of what is shown or stored.
#ifndef OMNI_REDACT_H
#define OMNI_REDACT_H

#include <stddef.h>

// Overwrites each occurrence of the secret in the text with asterisks, in place: as it is, and with any of its characters written as
// JSON (\u0061, \/, \", also in JSON within a JSON string) or a URL (%61) may escape them. JSON stays valid JSON.
void redact(char *text, size_t length, const char *secret);

#endif
