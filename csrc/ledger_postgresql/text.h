// SPDX-License-Identifier: MIT
// Text in PostgreSQL is UTF-8, but a path or an input can contain any bytes.
#ifndef OMNI_LEDGER_POSTGRESQL_TEXT_H
#define OMNI_LEDGER_POSTGRESQL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"

// Appends `bytes` as UTF-8. Each byte B that isn't part of a valid character becomes the private character U+10FF00 + B. If `bytes` already
// contains a character from U+10FF80 to U+10FFFF, each byte of that character is encoded like an invalid byte. Different texts therefore
// always have different encodings. Returns false when memory runs out.
bool text_encode(buffer *b, const char *bytes, size_t length);
// Appends the original bytes of a text that `text_encode` has encoded. Returns false when memory runs out.
bool text_decode(buffer *b, const char *text, size_t length);

#endif
