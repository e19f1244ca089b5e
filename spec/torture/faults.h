// SPDX-License-Identifier: MIT
// A preloaded library that makes allocations and system calls fail. A call can fail only if its caller is one of the modules under test;
// the caller is found by its return address.
#ifndef OMNI_TORTURE_FAULTS_H
#define OMNI_TORTURE_FAULTS_H

#include <stdbool.h>

// The modules that a call may come from, as a set of bits.
enum { OF_LUA = 1, OF_OMNI = 2, OF_CURL = 4, OF_SQLITE = 8, OF_MHD = 16, OF_TLS = 32, OF_LIBC = 64 };

enum fault_kind { FAULT_NONE, FAULT_MEMORY, FAULT_SYSTEM };

// Counts a call. Returns whether this call must fail. `name` is the function's name, `caller` its return address.
bool fault_here(enum fault_kind kind, const char *name, const void *caller);
// Counts a system call. Returns 0, or the error number with which this call must fail: one of `errors`, which ends with 0, by the run's
// variant. A negative variant is the only error of a run: only the calls that may have it count.
int fault_system(const char *name, const void *caller, const int *errors);
// Remembers that omni did what it must not do.
void fault_violation(const char *what);
// Returns the next definition of a libc function.
void *fault_next(const char *name);

enum { FAULT_SHORT = 10000 }; // in place of an error number: transfer only a part

#define CALLER __builtin_return_address(0)
#define EXPORT __attribute__((visibility("default")))

#endif
