// SPDX-License-Identifier: MIT
// The database's write-ahead log after a failed sync. Linux drops the bytes that it couldn't write, and later syncs succeed without them:
// a commit that follows would be on disk, but the log would have a hole before it, and everything behind a hole is lost with the power.
#ifndef OMNI_LEDGER_LOG_H
#define OMNI_LEDGER_LOG_H

#include <sqlite3.h>
#include <stdbool.h>

// Checks the checksums of all committed frames in the log, writes these frames again and waits until they are on disk. Waits for other
// programs that write. Returns SQLITE_OK, SQLITE_CORRUPT if the log has lost commits, or another code of SQLite.
int log_rewrite(sqlite3 *db);
// Returns whether the log is known to contain nothing.
bool log_is_empty(sqlite3 *db);

#endif
