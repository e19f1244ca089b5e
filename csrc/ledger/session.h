// SPDX-License-Identifier: MIT
// Who lives: each open ledger has a number of its own, whose byte in the file PATH-alive it keeps locked. The kernel lets go of the
// lock when the process ends, however it ends.
#ifndef OMNI_LEDGER_SESSION_H
#define OMNI_LEDGER_SESSION_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int fd; // -1: none is taken
  int64_t number;
} session;

// Takes a session on the file of that name, which is made when it isn't there. False and errno on failure; EACCES also when
// others than its owner may open it.
bool session_take(session *s, const char *file);
// Gives the connection the SQL functions session() → its number, and alive(number) → whether whoever has it lives: 1 or 0.
// The session must stay where it is until the connection is closed.
int session_register(session *s, sqlite3 *db);
// Idempotent.
void session_release(session *s);

#endif
