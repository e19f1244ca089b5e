// SPDX-License-Identifier: MIT
// Descriptors and the numbers 0 to 2. A host may have closed those; a socket or a file of ours that came to stand there would be its
// stdin, stdout or stderr.
#ifndef OMNI_DESCRIPTOR_H
#define OMNI_DESCRIPTOR_H

// Moves a descriptor that was just opened to a number above 2; the new one is close-on-exec. Returns its number, or -1 and errno, the
// descriptor closed. A failed open (-1) passes through with its errno.
int descriptor_raise(int fd);
// Opens /dev/null where one of the three is closed, for libraries that open descriptors themselves.
void descriptor_fill_standard(void);

#endif
