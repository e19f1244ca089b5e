// SPDX-License-Identifier: MIT
// Keeps descriptors away from the numbers 0 to 2. A host program may have closed those numbers, and a socket or file of ours with such a
// number would become its stdin, stdout or stderr.
#ifndef OMNI_DESCRIPTOR_H
#define OMNI_DESCRIPTOR_H

// Moves a new descriptor to a number above 2; the result is close-on-exec. Returns the number. On failure closes the descriptor and
// returns -1 and errno. Passes on -1 and its errno.
int descriptor_raise(int fd);
// Closes a descriptor and leaves errno as it was. Returns -1.
int descriptor_close(int fd);
// Opens /dev/null for each of 0 to 2 that is closed, for libraries that open descriptors themselves.
void descriptor_fill_standard(void);

#endif
