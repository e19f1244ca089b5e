// SPDX-License-Identifier: MIT
// A preloaded library that makes allocations and system calls fail. A call can fail only if its caller is one of the modules under test;
// the caller is found by its return address.
#ifndef OMNI_TORTURE_FAULTS_H
#define OMNI_TORTURE_FAULTS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// The modules that a call may come from, as a set of bits. libpq counts as SQLite.
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

// The recorder of changes to files (record.c). Each function does nothing while nothing is recorded, and for files outside of the folder.
bool record_is_on(void);
// Returns whether the path exists or is of no interest.
bool record_exists(const char *path);
void record_created(const char *path);
void record_names(const char *from, const char *to, bool keeps_from);
void record_removed(const char *path);
// at -1: the bytes before the descriptor's position
void record_write(int fd, const void *bytes, ssize_t written, int64_t at);
void record_size(int fd, int64_t length);
void record_sync(int fd, bool fine);
void record_content(int fd);
// Functions of the Lua module.
int record_start(lua_State *L);
int record_mark(lua_State *L);
int record_stop(lua_State *L);

enum { FAULT_SHORT = 10000 }; // in place of an error number: transfer only a part

#define CALLER __builtin_return_address(0)
#define EXPORT __attribute__((visibility("default")))

#endif
