// SPDX-License-Identifier: MIT
// Repairs a database's write-ahead log after a failed sync. After a failed sync, Linux drops the bytes that it couldn't write, and later
// syncs succeed without them. If bytes are missing from the log, a power cut loses all later commits, even those that are on disk.
#ifndef OMNI_LEDGER_LOG_H
#define OMNI_LEDGER_LOG_H

#include <sqlite3.h>
#include <stdbool.h>

// Verifies the checksums of all committed frames in the log, writes these frames again and waits until they are on disk. Waits until other
// programs have finished writing. Returns SQLITE_OK, SQLITE_CORRUPT if the log has lost commits, or another SQLite error code.
int log_rewrite(sqlite3 *db);
// Returns whether the write-ahead log is known to be empty.
bool log_is_empty(sqlite3 *db);

#endif
