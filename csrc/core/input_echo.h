// SPDX-License-Identifier: MIT
// Every answer to a query repeats the input of the task (data.param.input), up to 20,000 characters of prompt.
#ifndef OMNI_INPUT_ECHO_H
#define OMNI_INPUT_ECHO_H

#include <stdbool.h>
#include <stddef.h>

// Finds that value in an answer's text; false when it isn't there. Looks at the text's shape only: whether it is JSON,
// the decoder says.
bool input_echo_find(const char *text, size_t length, size_t *start, size_t *end);

#endif
