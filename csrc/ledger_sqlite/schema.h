// SPDX-License-Identifier: MIT
// The steps that create the ledger's schema. Row N of LEDGER_STEPS upgrades a file from version N-1 to version N. Never change a row of
// LEDGER_STEPS that has been released to users; append another one. A row of LEDGER_STEPS may contain several statements. To migrate a
// file, omni runs in one transaction all rows that are newer than the file's version. Times are in seconds since 1970. `created_at`,
// `completed_at` and `seconds` come from the service; all other times come from this machine's clock.
#define LEDGER_STEPS(X) \
  X("CREATE TABLE submit (" \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," \
    "  account TEXT NOT NULL," /* a fingerprint of the key, never the key */ \
    "  service TEXT," /* the service that has the task, whatever the key and the spelling of the URL */ \
    "  sandbox INTEGER NOT NULL DEFAULT 0," /* 1: submitted to a sandbox */ \
    "  board TEXT, scene TEXT," /* NULL: not part of a storyboard */ \
    "  identity TEXT," /* equal for equal scenes with equal takes; NULL: differs from all others */ \
    "  base TEXT, take INTEGER," /* the identity without its take; the take */ \
    "  form TEXT," /* the canonical form whose digest is the identity */ \
    "  model TEXT NOT NULL, input TEXT NOT NULL," \
    "  state TEXT NOT NULL CHECK (state IN" \
    "    ('intended', 'refused', 'unknown', 'accepted', 'success', 'failed', 'gone', 'forgotten'))," \
    "  session INTEGER NOT NULL," /* the session that submits, while the state is 'intended' */ \
    "  task_id TEXT, status TEXT," \
    "  token TEXT," /* the digest of the token in the callback URL */ \
    "  callback_task_id TEXT," /* the task in a callback with that token; not confirmed */ \
    "  estimate REAL, credits REAL, balance_before REAL, balance_after REAL," \
    "  error TEXT, message TEXT," \
    "  intended_at REAL NOT NULL, answered_at REAL, ended_at REAL," \
    "  created_at INTEGER, completed_at INTEGER, seconds REAL, media INTEGER" \
    ") STRICT;" \
    "CREATE INDEX submit_identity ON submit (identity);" \
    "CREATE INDEX submit_base ON submit (base);" \
    "CREATE INDEX submit_scene ON submit (board, scene);" \
    "CREATE INDEX submit_task_id ON submit (task_id);" \
    "CREATE INDEX submit_state ON submit (state);" \
    "CREATE INDEX submit_sandbox ON submit (sandbox);" \
    "CREATE UNIQUE INDEX submit_token ON submit (token);" \
    "CREATE TABLE file (" /* the files of a submit's task */ \
    "  submit INTEGER NOT NULL REFERENCES submit (id), number INTEGER NOT NULL," \
    "  path TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, at REAL NOT NULL," \
    "  PRIMARY KEY (submit, number)" \
    ") STRICT;" \
    "CREATE TABLE digest (" /* the digest of a local file, valid while the file's stamp is the same */ \
    "  path TEXT PRIMARY KEY NOT NULL, stamp TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, at REAL NOT NULL" \
    ") STRICT;" \
    "CREATE TABLE upload (" /* the URL where the service keeps these bytes for an account */ \
    "  account TEXT NOT NULL, sha256 TEXT NOT NULL, url TEXT NOT NULL, at REAL NOT NULL," \
    "  PRIMARY KEY (account, sha256)" \
    ") STRICT;" \
    "CREATE TABLE film (" /* identity: the digest of the clips and options that the film was cut from */ \
    "  path TEXT PRIMARY KEY NOT NULL, identity TEXT NOT NULL, sha256 TEXT NOT NULL, at REAL NOT NULL" \
    ") STRICT;" \
    "CREATE TABLE redo (" /* scenes to make again, with a submit after `last_submit`, until the run has ended */ \
    "  board TEXT NOT NULL, base TEXT NOT NULL, last_submit INTEGER NOT NULL, PRIMARY KEY (board, base)" \
    ") STRICT;") \
  X("ALTER TABLE submit ADD COLUMN tag TEXT;" /* the application's own name for the submit */ \
    "ALTER TABLE submit ADD COLUMN idempotency_key TEXT;" /* unique among submits that weren't refused or forgotten */ \
    "CREATE INDEX submit_tag ON submit (tag) WHERE tag IS NOT NULL;" \
    "CREATE UNIQUE INDEX submit_idempotency_key ON submit (idempotency_key)" \
    "  WHERE idempotency_key IS NOT NULL AND state NOT IN ('refused', 'forgotten');") \
  X("CREATE TABLE account (" /* what programs that share an API key must know about the key */ \
    "  account TEXT PRIMARY KEY NOT NULL," \
    "  next_at REAL," /* when the next request may start, if the key has a rate */ \
    "  paused_at REAL, pause REAL," /* the last pause and its length */ \
    "  disabled_at REAL, disabled TEXT, message TEXT" /* when and why the service last refused the key */ \
    ") STRICT;") \
  X("CREATE INDEX submit_ended ON submit (ended_at) WHERE state IN ('success', 'failed');") \
  X("CREATE TABLE job (" /* a board that any worker may run */ \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," \
    "  service TEXT NOT NULL, board TEXT NOT NULL, title TEXT," /* board: the name of its file */ \
    "  manifest TEXT NOT NULL," /* JSON: the board's files, with their digests in the store */ \
    "  budget REAL NOT NULL," /* limits the cost of all submits whose `board` is 'job:' and this id */ \
    "  state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled'))," \
    "  session INTEGER NOT NULL, worker TEXT," /* the session and worker that run the job, while the state is 'running' */ \
    "  scenes INTEGER, finished INTEGER, error TEXT, message TEXT," \
    "  film TEXT, result TEXT," /* the film's name; JSON: all files of the result, with their digests in the store */ \
    "  submitted_at REAL NOT NULL, taken_at REAL, ended_at REAL" \
    ") STRICT;" \
    "CREATE INDEX job_free ON job (id) WHERE state IN ('waiting', 'running');") \
  X("ALTER TABLE job ADD COLUMN kept_until REAL;") /* until when the worker's lease lasts */
