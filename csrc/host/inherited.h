// SPDX-License-Identifier: MIT
// Resets what the program inherits from its parent process: descriptors, signals, the umask.
#ifndef OMNI_HOST_INHERITED_H
#define OMNI_HOST_INHERITED_H

// Opens descriptors 0 to 2 if they are closed, so that no file of ours becomes stdout. Resets SIGCHLD, so that waitpid returns exit
// statuses. Turns a broken pipe and the file size limit into write errors that don't end the program. Makes the umask keep the owner's
// permissions. Call it first.
void inherited_reset(void);

// Unblocks signals that the parent process had blocked. Call it after installing the handlers.
void inherited_unblock(void);

#endif
