// SPDX-License-Identifier: MIT
// Every response to a query repeats the task's input (data.param.input), with up to 20,000 characters of prompt.
#ifndef OMNI_INPUT_ECHO_H
#define OMNI_INPUT_ECHO_H

#include <stdbool.h>
#include <stddef.h>

// Finds the input's value in the text of a response. Returns false when it isn't there. Looks only at the text's structure; the decoder
// checks whether it is JSON.
bool input_echo_find(const char *text, size_t length, size_t *start, size_t *end);

#endif
