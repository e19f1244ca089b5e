// SPDX-License-Identifier: MIT
// PostgreSQL's definitions of the macros in the verbs' SQL (csrc/ledger/verbs.h).
#ifndef OMNI_LEDGER_POSTGRESQL_DIALECT_H
#define OMNI_LEDGER_POSTGRESQL_DIALECT_H

// The ledger uses the database server's clock, since clocks differ between machines. If a transaction first waits for locks, NOW is the
// time after the wait, since statement_timestamp() returns the time at which the current statement began.
#define NOW "date_part('epoch', statement_timestamp())" // date_part is many times faster than extract, which computes with decimals
#define IS "IS NOT DISTINCT FROM"
#define IS_NOT "IS DISTINCT FROM"
#define LARGER(a, b) "greatest(" a ", " b ")" // unlike SQLite's max(), greatest() ignores NULL; no verb relies on this
#define SESSION ":_session"
// A session is open while a connection holds the advisory lock with the session's number. Behind a pooler, a session is open until the time
// in its row (alive_until). PostgreSQL reads the list of open sessions at most once per statement, and only if a row needs it.
#define ALIVE(session) \
  "(" session " IN (SELECT classid::bigint << 32 | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted" \
  " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())" \
  " UNION ALL SELECT number FROM session WHERE alive_until > " NOW "))"
#define INPUT_FIELD(name) "CASE WHEN model = :model THEN input::json ->> '" name "' END "
#define PATH "md5(path)" // uses a hash, since the longest paths don't fit into an index
// If a scene has several live rows, the rows must differ in `instead_of`, which a unique index (schema.h) enforces.
#define ALSO ", instead_of"
#define ALSO_VALUE ", :instead_of"
#define UNLESS_LIVE "ON CONFLICT DO NOTHING"
// Makes other programs read the ledger immediately. A notification is only a hint, since other programs also read the ledger every second.
#define NOTIFY(text) ", CASE WHEN " text " IS NOT NULL THEN pg_notify('omni', " text ") END"
#define SKIP_LOCKED " FOR UPDATE SKIP LOCKED"
// A session has a lease on the tasks that it has claimed. Behind a pooler, a session must also renew the time until which it counts as
// open.
#define HAS_CLAIM(session) "(" session " IN (SELECT number FROM session WHERE claims_until > " NOW ") AND " ALIVE(session) ")"
// With `IN (SELECT ...)`, PostgreSQL splits the list of task ids only once; with `= ANY (...)`, it would split the list again for each row.
#define IS_LISTED "service " IS " :service AND task_id IN (SELECT unnest(string_to_array(:task_ids, chr(10)))) AND state = 'accepted'"
#define CLAIM \
  "WITH lease AS (UPDATE session SET claims_until = " NOW " + " LEASE " WHERE number = :_session)," \
  " listed AS (SELECT id, task_id, status, waiter, waiter <> :_session AND " HAS_CLAIM("waiter") " AS is_others" \
  " FROM submit WHERE " IS_LISTED ")," \
  " claimed AS (UPDATE submit SET waiter = :_session FROM listed WHERE submit.id = listed.id AND is_others IS NOT TRUE" \
  " AND listed.waiter " IS_NOT " :_session RETURNING submit.id" NOTIFY("(CASE WHEN listed.waiter IS NOT NULL THEN 'claims' END)") ")" \
  " SELECT task_id, status FROM listed WHERE is_others"
#define RELEASE \
  "UPDATE submit SET waiter = NULL WHERE " IS_LISTED " AND waiter = :_session RETURNING task_id" NOTIFY("'claims'")
#define IS_ORPHANED \
  "(waiter IS NULL AND NOT " ALIVE("session") " OR waiter IS NOT NULL AND NOT " HAS_CLAIM("waiter") ")"
#define INDEXED_BY(index) "" // PostgreSQL finds the best index on its own
#define BEGIN "BEGIN"
#define NEXT_NUMBER(table) "setval(pg_get_serial_sequence('" table "', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM " table "), false)"
#define CONTINUE_NUMBERS "SELECT " NEXT_NUMBER("submit") ", " NEXT_NUMBER("job")
// `instead_of` identifies the row that a submit has replaced, which was the scene's last live row. SQLite doesn't store it.
#define COPIED_COLUMN ", instead_of"
#define COPIED_VALUE ", (SELECT max(id) FROM submit WHERE " SAME(":service") " AND " LIVE ")"
#define VERSION_OF_BACKEND "SELECT 'PostgreSQL ' || current_setting('server_version') AS backend"
#define SESSIONS \
  "SELECT number, host, process, since, " ALIVE("number") " AS open, number = :_session AS own FROM session ORDER BY since, number"
#define LOCKS \
  "SELECT count(*) FILTER (WHERE granted) AS held, count(*) FILTER (WHERE NOT granted) AS waiting FROM pg_locks WHERE locktype = 'advisory'" \
  " AND classid BETWEEN 1869442608 AND 1869442613 AND objsubid = 2" \
  " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
#define VERSION_OF_SCHEMA "SELECT version FROM ledger"

#include "ledger/verbs.h"

#endif
