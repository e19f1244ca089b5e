// SPDX-License-Identifier: MIT
#include "ledger_postgresql/text.h"

// Returns the length in bytes of the UTF-8 character at `at`, or 0 if the character is invalid.
static size_t character(const unsigned char *at, size_t left) {
  if (at[0] < 0x80) return 1;
  size_t length = at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
  if (at[0] < 0xC2 || at[0] > 0xF4 || length > left) return 0;
  for (size_t i = 1; i < length; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  bool is_overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
  bool is_surrogate = at[0] == 0xED && at[1] > 0x9F;
  bool is_too_large = at[0] == 0xF4 && at[1] > 0x8F;
  return is_overlong || is_surrogate || is_too_large ? 0 : length;
}

// Returns whether this four-byte character is in the range U+10FF80 to U+10FFFF.
static bool is_private(const unsigned char *at) {
  return at[0] == 0xF4 && at[1] == 0x8F && (at[2] == 0xBE || at[2] == 0xBF);
}

bool text_encode(buffer *b, const char *bytes, size_t length) {
  const unsigned char *at = (const unsigned char *)bytes, *end = at + length, *plain = at;
  while (at < end) {
    size_t valid = character(at, (size_t)(end - at));
    if (valid > 0 && !(valid == 4 && is_private(at))) {
      at += valid;
      continue;
    }
    unsigned char escaped[4] = {0xF4, 0x8F, *at >= 0xC0 ? 0xBF : 0xBE, 0x80 | (*at & 0x3F)};
    if (!buffer_append(b, plain, (size_t)(at - plain)) || !buffer_append(b, escaped, sizeof escaped)) return false;
    plain = ++at;
  }
  return buffer_append(b, plain, (size_t)(end - plain));
}

bool text_decode(buffer *b, const char *text, size_t length) {
  const unsigned char *at = (const unsigned char *)text, *end = at + length, *plain = at;
  while (at < end) {
    if (end - at < 4 || !is_private(at)) {
      at++;
      continue;
    }
    unsigned char byte = (unsigned char)((at[2] == 0xBF ? 0xC0 : 0x80) | (at[3] & 0x3F));
    if (!buffer_append(b, plain, (size_t)(at - plain)) || !buffer_append(b, &byte, 1)) return false;
    plain = at += 4;
  }
  return buffer_append(b, plain, (size_t)(end - plain));
}
