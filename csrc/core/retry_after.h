// SPDX-License-Identifier: MIT
// Reads a response's Retry-After header.
#ifndef OMNI_RETRY_AFTER_H
#define OMNI_RETRY_AFTER_H

#include "core/exchange.h"

// Returns the number of seconds that the response's Retry-After header specifies, or -1 if the header is missing or invalid. The header may
// contain a date or a number of seconds, possibly with a fraction. If the header contains a date, counts the seconds from the response's
// own Date header, since this machine's clock may be wrong.
double retry_after(const exchange *x);

#endif
