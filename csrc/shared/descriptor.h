// SPDX-License-Identifier: MIT
// Keeps omni from using the descriptors 0 to 2. A host program may have closed descriptors 0 to 2; a socket or file that then got one of
// these numbers would become the program's stdin, stdout or stderr.
#ifndef OMNI_DESCRIPTOR_H
#define OMNI_DESCRIPTOR_H

// Moves a new descriptor to a number above 2; the result is close-on-exec. Returns the number. On failure, closes the descriptor and
// returns -1 with errno set. Given -1, returns -1 and leaves errno unchanged.
int descriptor_raise(int fd);
// Closes a descriptor without changing errno. Returns -1.
int descriptor_close(int fd);
// Opens /dev/null for each of the descriptors 0 to 2 that is closed. Call descriptor_fill_standard before any library opens descriptors.
void descriptor_fill_standard(void);

#endif
