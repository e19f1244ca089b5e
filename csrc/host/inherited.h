// SPDX-License-Identifier: MIT
// Resets the state that the program inherits from its parent process: descriptors, signals and the umask.
#ifndef OMNI_HOST_INHERITED_H
#define OMNI_HOST_INHERITED_H

// Opens /dev/null for each of the descriptors 0 to 2 that is closed, so that none of the files that omni opens becomes stdin, stdout or
// stderr. Resets SIGCHLD, so that waitpid returns exit statuses. Makes writes to a broken pipe, or beyond the file size limit, fail instead
// of ending the program. Removes the owner's bits from the umask, so that omni can read its own files. Call it first.
void inherited_reset(void);

// Unblocks signals that the parent process had blocked. Call inherited_unblock after the signal handlers are installed.
void inherited_unblock(void);

#endif
