// SPDX-License-Identifier: MIT
// Shows which ledgers are open: each open ledger has a random number, and locks the byte at that offset of the file PATH-alive. The kernel
// releases the lock when the process ends, for whatever reason.
#ifndef OMNI_LEDGER_SESSION_H
#define OMNI_LEDGER_SESSION_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int fd; // -1: no session
  int64_t number;
} session;

// Starts a session in this file, and creates the file if needed. Returns false with errno set on failure. If other users may open the file,
// errno is EACCES.
bool session_take(session *s, const char *file);
// Registers two SQL functions: session() returns this session's number, and alive(number) returns 1 if that session is open, and otherwise
// 0. The struct at `s` must not move until the database connection is closed.
int session_register(session *s, sqlite3 *db);
// Idempotent.
void session_release(session *s);

#endif
