// SPDX-License-Identifier: MIT
// Reads a response's Retry-After header.
#include "core/retry_after.h"

#include <string.h>
#include <time.h>

static const double LONGEST_PAUSE = 1e9; // seconds

double retry_after(const exchange *x) {
  const char *text = exchange_header(x, "Retry-After"); // this text is valid until the next call to exchange_header
  if (!text) return -1;
  double seconds = 0, digit = 1;
  size_t whole = strspn(text, "0123456789");
  for (size_t i = 0; i < whole; i++) seconds = seconds * 10 + (text[i] - '0');
  if (whole > 0 && (text[whole] == '\0' || text[whole] == '.')) { // doesn't call strtod, whose decimal point depends on the locale
    const char *fraction = text[whole] ? text + whole + 1 : "";
    size_t length = strspn(fraction, "0123456789");
    if (fraction[length] != '\0') return -1;
    for (size_t i = 0; i < length; i++) seconds += (fraction[i] - '0') * (digit /= 10);
    return seconds < LONGEST_PAUSE ? seconds : LONGEST_PAUSE;
  }
  time_t then = curl_getdate(text, NULL);
  if (then == -1) return -1;
  const char *date = exchange_header(x, "Date");
  time_t now = date ? curl_getdate(date, NULL) : -1;
  seconds = difftime(then, now == -1 ? time(NULL) : now);
  return seconds < 0 ? 0 : seconds < LONGEST_PAUSE ? seconds : LONGEST_PAUSE;
}
