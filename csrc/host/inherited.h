// SPDX-License-Identifier: MIT
// What the program inherits from whoever starts it, put into a known state: descriptors, signals, the umask.
#ifndef OMNI_HOST_INHERITED_H
#define OMNI_HOST_INHERITED_H

// Makes sure that descriptors 0 to 2 are open, so that no file of ours becomes stdout, that SIGCHLD has its default (waitpid
// reports how a child ended), that a broken pipe or a file size limit is an error of the write and not our death, and
// that the umask leaves the owner's rights alone. Comes first.
void inherited_reset(void);

// Lets signals through that the program was started with blocked. Comes after the handlers are installed.
void inherited_unblock(void);

#endif
