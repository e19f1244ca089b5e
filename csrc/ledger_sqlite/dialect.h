// SPDX-License-Identifier: MIT
// SQLite's definitions of the macros in the verbs' SQL (csrc/ledger/verbs.h). The file session.h declares the SQL functions session() and
// alive(session).
#ifndef OMNI_LEDGER_SQLITE_DIALECT_H
#define OMNI_LEDGER_SQLITE_DIALECT_H

#define NOW "((julianday('now') - 2440587.5) * 86400.0)"
#define IS "IS"
#define LARGER(a, b) "max(" a ", " b ")"
#define SESSION "session()"
#define ALIVE(session) "alive(" session ")"
#define INPUT_FIELD(name) "json_extract(input, '$." name "') "
#define PATH "path"
#define ALSO ""
#define ALSO_VALUE ""
#define UNLESS_LIVE "" // empty: SQLite allows only one writer at a time, so the INSERT's own condition finds every equal submit
#define NOTIFY(text) "" // programs that share a ledger file poll it for changes, and so need no notifications
#define SKIP_LOCKED "" // not needed, since SQLite allows only one writer at a time
// Programs that share a ledger file don't claim tasks. Each program queries its tasks itself, since a query is free, whereas a claim would
// cost a commit.
#define CLAIM "SELECT :service AS task_id, :task_ids AS status WHERE 0"
#define RELEASE CLAIM
#define IS_ORPHANED "NOT " ALIVE("session")
#define INDEXED_BY(index) "INDEXED BY " index // without statistics, SQLite would choose an index that matches most rows
#define BEGIN "BEGIN IMMEDIATE"
#define CONTINUE_NUMBERS "SELECT 1" // AUTOINCREMENT continues the numbers
#define COPIED_COLUMN ""
#define COPIED_VALUE ""
#define VERSION_OF_BACKEND "SELECT 'SQLite ' || sqlite_version() AS backend"
#define SESSIONS "SELECT NULL AS number WHERE 0" // returns no rows, since SQLite's sessions are file locks, which SQL can't list
#define LOCKS "SELECT NULL AS held, NULL AS waiting WHERE 0"
#define VERSION_OF_SCHEMA "SELECT user_version AS version FROM pragma_user_version"

#include "ledger/verbs.h"

#endif
