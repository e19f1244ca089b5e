// SPDX-License-Identifier: MIT
// Every response to a query repeats the task's input (data.param.input), with up to 20,000 characters of prompt.
#ifndef OMNI_INPUT_ECHO_H
#define OMNI_INPUT_ECHO_H

#include <stdbool.h>
#include <stddef.h>

// Finds the value of data.param.input in the text of a response. Returns false when the response has no input. Looks only at quotes,
// brackets and names; the decoder checks whether the text is valid JSON.
bool input_echo_find(const char *text, size_t length, size_t *start, size_t *end);

#endif
