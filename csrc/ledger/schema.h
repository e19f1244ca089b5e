// SPDX-License-Identifier: MIT
// The ledger's schema in steps: row N brings version N-1 to version N. Never change a released row; append another one. A row may have
// several statements. All rows that a file needs run in one transaction. Times are in seconds since 1970. `created_at`, `completed_at`
// and `seconds` come from the service, all other times from this machine.
#define LEDGER_STEPS(X)                                                                                                                    \
  X("CREATE TABLE submit ("                                                                                                                \
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"                                                                                              \
    "  account TEXT NOT NULL,"    /* a fingerprint of the key, never the key */                                                            \
    "  sandbox INTEGER NOT NULL DEFAULT 0," /* 1: a rehearsal, in a sandbox */                                                                \
    "  board TEXT, scene TEXT,"   /* NULL: not a storyboard's */                                                                           \
    "  identity TEXT,"            /* what makes two scenes the same, take included; NULL: never the same */                                \
    "  base TEXT, take INTEGER,"  /* the identity without its take */                                                                      \
    "  form TEXT,"                /* the canonical form that identity is the digest of */                                                  \
    "  model TEXT NOT NULL, input TEXT NOT NULL,"                                                                                          \
    "  state TEXT NOT NULL CHECK (state IN"                                                                                                \
    "    ('intended', 'refused', 'unknown', 'accepted', 'success', 'failed', 'gone', 'forgotten')),"                                       \
    "  session INTEGER NOT NULL," /* whose it is, while it is intended */                                                                  \
    "  task_id TEXT, status TEXT,"                                                                                                         \
    "  estimate REAL, credits REAL, balance_before REAL, balance_after REAL,"                                                              \
    "  error TEXT, message TEXT,"                                                                                                          \
    "  intended_at REAL NOT NULL, answered_at REAL, ended_at REAL,"                                                                        \
    "  created_at INTEGER, completed_at INTEGER, seconds REAL, media INTEGER"                                                              \
    ") STRICT;"                                                                                                                            \
    "CREATE INDEX submit_identity ON submit (identity);"                                                                                   \
    "CREATE INDEX submit_base ON submit (base);"                                                                                           \
    "CREATE INDEX submit_scene ON submit (board, scene);"                                                                                  \
    "CREATE INDEX submit_task_id ON submit (task_id);"                                                                                     \
    "CREATE INDEX submit_state ON submit (state);"                                                                                         \
    "CREATE INDEX submit_sandbox ON submit (sandbox);"                                                                                           \
    "CREATE TABLE file ("         /* what a submit's task gave */                                                                          \
    "  submit INTEGER NOT NULL REFERENCES submit (id), number INTEGER NOT NULL,"                                                           \
    "  path TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, at REAL NOT NULL,"                                                 \
    "  PRIMARY KEY (submit, number)"                                                                                                       \
    ") STRICT;"                                                                                                                            \
    "CREATE TABLE digest ("       /* of a local file, while its stamp stays */                                                             \
    "  path TEXT PRIMARY KEY NOT NULL, stamp TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, at REAL NOT NULL"                 \
    ") STRICT;"                                                                                                                            \
    "CREATE TABLE upload ("       /* where an account has these bytes at the service */                                                    \
    "  account TEXT NOT NULL, sha256 TEXT NOT NULL, url TEXT NOT NULL, at REAL NOT NULL,"                                                  \
    "  PRIMARY KEY (account, sha256)"                                                                                                      \
    ") STRICT;"                                                                                                                            \
    "CREATE TABLE film ("         /* a cut, and what it was cut from */                                                                    \
    "  path TEXT PRIMARY KEY NOT NULL, identity TEXT NOT NULL, sha256 TEXT NOT NULL, at REAL NOT NULL"                                     \
    ") STRICT;")                                                                                                                           \
  /* Callbacks: the digest of the token in a submit's callback URL, and the task that a callback with it named, unconfirmed. */            \
  X("ALTER TABLE submit ADD COLUMN token TEXT;"                                                                                            \
    "ALTER TABLE submit ADD COLUMN heard TEXT;"                                                                                            \
    "CREATE UNIQUE INDEX submit_token ON submit (token);")                                                                                 \
  /* Scenes that are to be shot again, until the run that was told so has come to its end. */                                              \
  X("CREATE TABLE redo ("                                                                                                                  \
    "  board TEXT NOT NULL, base TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (board, base)"                                            \
    ") STRICT;")                                                                                                                           \
  /* The service that has the task, whichever key or spelling of its URL was used. And: which submits a redo must come after, by number,   \
     as clocks jump. */                                                                                                                    \
  X("ALTER TABLE submit ADD COLUMN service TEXT;"                                                                                          \
    "UPDATE submit SET service = rtrim(substr(account, 1, instr(account, ' ') - 1), '/');"                                                 \
    "DROP TABLE redo;"                                                                                                                     \
    "CREATE TABLE redo ("                                                                                                                  \
    "  board TEXT NOT NULL, base TEXT NOT NULL, last_submit INTEGER NOT NULL, PRIMARY KEY (board, base)"                                   \
    ") STRICT;")
