// SPDX-License-Identifier: MIT
// Opens a ledger's database file: checks who owns the file, checks its version, and migrates it.
#include "ledger_sqlite/database.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ledger_sqlite/log.h"
#include "shared/clock.h"
#include "shared/file.h"

#ifndef LEDGER_SCHEMA // the specs set LEDGER_SCHEMA to test migrations
#define LEDGER_SCHEMA "ledger_sqlite/schema.h"
#endif
#include LEDGER_SCHEMA

enum {
  APPLICATION_ID = 0x6F6D6E69, // "omni": SQLite's application_id, which distinguishes ledgers from other programs' databases
  BUSY_TIMEOUT = 10,               // seconds to wait while another program locks the file
  MAX_BYTES = 16 << 20,       // the largest allowed size of a value or a row, in bytes
  CHECKPOINT_TRIES = 100, // a millisecond apart
  CHECKPOINT_FRAMES = 1000, // once the write-ahead log has this many frames, a commit runs a checkpoint
};

// Seconds that must pass without a request before a checkpoint, so that no checkpoint delays a series of commits.
static const double CHECKPOINT_DELAY = 0.02;

static const char *const steps[] = {
#define STEP(sql) sql,
    LEDGER_STEPS(STEP)
#undef STEP
};
enum { VERSION = sizeof steps / sizeof *steps };

// --- failures

bool database_fail_code(const database *d, request *r, const char *what, int code) {
  static const struct {
    int code;
    const char *words;
  } reasons[] = {
      {SQLITE_BUSY, "another program holds it"},
      {SQLITE_CORRUPT, "it is damaged"},
      {SQLITE_FULL, "the disk is full"},
      {SQLITE_NOTADB, "it is damaged, or something else"},
      {SQLITE_NOMEM, "not enough memory"},
      {SQLITE_READONLY, "it is read-only"},
  };
  int primary = code & 0xFF;
  const char *words = NULL;
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].code == primary) words = reasons[i].words;
  // SQLite's messages for these codes contain names from the schema, but no values.
  if (d->db && (primary == SQLITE_ERROR || primary == SQLITE_CONSTRAINT)) words = sqlite3_errmsg(d->db);
  if (!words) words = sqlite3_errstr(code);
  int error = d->db && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) ? sqlite3_system_errno(d->db) : 0;
  if (error) return database_fail(d, r, "%s: %s (%s)", what, words, strerror(error));
  return database_fail(d, r, "%s: %s", what, words);
}

static bool cannot_open(const database *d, request *r, const char *why) {
  return database_fail(d, r, "can't be opened: %s", why);
}

// --- small helpers

static int execute(database *d, const char *sql) {
  return sqlite3_exec(d->db, sql, NULL, NULL, NULL);
}

// Runs a statement and reads the first value of its first row as text.
static int query_text(database *d, const char *sql, char *answer, size_t size) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(d->db, sql, -1, &statement, NULL);
  *answer = '\0';
  if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    const unsigned char *text = sqlite3_column_text(statement, 0);
    if (text) snprintf(answer, size, "%s", text);
  }
  int end = sqlite3_finalize(statement); // sqlite3_finalize may have to commit the statement's changes
  return code == SQLITE_ROW || code == SQLITE_DONE ? end : code;
}

static int query_number(database *d, const char *sql, long long *number) {
  char answer[32];
  int code = query_text(d, sql, answer, sizeof answer);
  *number = strtoll(answer, NULL, 10);
  return code;
}

// --- the file

// Creates the database file with permissions for its owner only, or checks an existing file's type and permissions. Doesn't open an
// existing file, since closing one of its descriptors would release the locks of this process's other connections to the file.
static bool create_or_check(database *d, request *r) {
  struct stat info;
  bool found = stat(d->path, &info) == 0;
  if (!found && errno == ENOENT) {
    if (mknod(d->path, S_IFREG | 0600, 0) == 0) {
      // needed if the umask has removed some of the owner's permissions
      if (chmod(d->path, 0600) != 0) return cannot_open(d, r, strerror(errno));
    } else if (errno != EEXIST) {
      return cannot_open(d, r, strerror(errno));
    }
    found = stat(d->path, &info) == 0;
    if (!found && errno == ENOENT) return cannot_open(d, r, "it is a link to a file that isn't there");
  }
  if (!found) return cannot_open(d, r, strerror(errno));
  if (!S_ISREG(info.st_mode)) return cannot_open(d, r, "it is not a file");
  if ((info.st_mode & 077) != 0) return database_fail(d, r, "is readable by others; chmod 600 it");
  return true;
}

// --- the write-ahead log

int database_note_code(database *d, int code) {
  if ((code & 0xFF) == SQLITE_IOERR) d->doubtful = true;
  return code;
}

int database_trust_log(database *d) {
  if (!d->doubtful) return SQLITE_OK;
  int code = log_rewrite(d->db);
  if (code == SQLITE_OK) d->doubtful = false;
  return code;
}

static int checkpoint(database *d) {
  return database_note_code(d, sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}

// Runs a checkpoint after a commit, in place of SQLite's own checkpoints, which ignore failed syncs.
static int after_commit(void *context, sqlite3 *db, const char *name, int frames) {
  database *d = context;
  (void)db, (void)name;
  if (frames >= CHECKPOINT_FRAMES && !d->doubtful) checkpoint(d);
  return SQLITE_OK;
}

// --- the connection

static int configure(database *d) {
  static const struct {
    int what, on;
  } switches[] = {
      {SQLITE_DBCONFIG_DEFENSIVE, 1},  {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
      {SQLITE_DBCONFIG_DQS_DML, 0},    {SQLITE_DBCONFIG_DQS_DDL, 0},
  };
  int code = SQLITE_OK;
  for (size_t i = 0; code == SQLITE_OK && i < sizeof switches / sizeof *switches; i++)
    code = sqlite3_db_config(d->db, switches[i].what, switches[i].on, NULL);
  if (code == SQLITE_OK) code = sqlite3_busy_timeout(d->db, BUSY_TIMEOUT * 1000);
  if (code != SQLITE_OK) return code;
  sqlite3_limit(d->db, SQLITE_LIMIT_LENGTH, MAX_BYTES);
  sqlite3_limit(d->db, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_wal_hook(d->db, after_commit, d);
  d->full_sync = d->doubtful = true;
  return execute(d, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304");
}

enum { FINE, FOREIGN, NEWER };

// Reads the file's version (0: an empty file) and decides whether omni may use it. Call read_version within a transaction.
static int read_version(database *d, long long *version, int *verdict) {
  long long application = 0, tables = 0;
  int code = query_number(d, "PRAGMA application_id", &application);
  if (code == SQLITE_OK) code = query_number(d, "PRAGMA user_version", version);
  if (code == SQLITE_OK) code = query_number(d, "SELECT count(*) FROM sqlite_schema", &tables);
  bool ours = application == APPLICATION_ID;
  if (!ours) *version = 0;
  *verdict = !ours && tables > 0 ? FOREIGN : *version > VERSION ? NEWER : *version < 0 ? FOREIGN : FINE;
  return code;
}

static bool refuse(const database *d, request *r, long long version, int verdict) {
  if (verdict == FOREIGN) return database_fail(d, r, "is not a ledger: it is another program's database");
  return database_fail(d, r, "was made by a newer omni: its version is %lld, this omni knows versions up to %d", version, (int)VERSION);
}

// Sets the request's failure for an SQLite error code, unless the request has a failure already. Returns the code.
static int note_failure(database *d, request *r, int code) {
  if (code != SQLITE_OK && !r->failed) database_fail_code(d, r, "can't be opened", code);
  return code;
}

// Ends a transaction with COMMIT or, after a failure, with ROLLBACK.
static int end(database *d, request *r, int code) {
  if (code == SQLITE_OK) code = execute(d, "COMMIT");
  note_failure(d, r, code); // must come before ROLLBACK, which changes SQLite's last error
  if (code != SQLITE_OK && !sqlite3_get_autocommit(d->db)) execute(d, "ROLLBACK");
  return code;
}

// Migrates the file to the current version, completely or not at all. Does nothing if another program has already migrated the file.
static int migrate(database *d, request *r, long long *version, int *verdict) {
  int code = execute(d, "BEGIN IMMEDIATE");
  if (code != SQLITE_OK) return code;
  code = read_version(d, version, verdict);
  for (long long next = *version; code == SQLITE_OK && *verdict == FINE && next < VERSION; next++) code = execute(d, steps[next]);
  if (code == SQLITE_OK && *verdict == FINE) {
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", (int)APPLICATION_ID, (int)VERSION);
    code = execute(d, sql);
  }
  return end(d, r, code);
}

// Tries once to open the file. *code is SQLite's code. On failure, sets the request's failure and returns false.
static bool try_open(database *d, request *r, int *code) {
  int verdict = FINE;
  long long version = 0;
  char mode[16] = "";
  r->failed = false;
  *code = sqlite3_open_v2(d->path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  if (*code == SQLITE_OK) *code = configure(d);
  if (*code == SQLITE_OK) *code = execute(d, "BEGIN");
  if (*code == SQLITE_OK) *code = end(d, r, read_version(d, &version, &verdict));
  if (*code == SQLITE_OK && verdict == FINE) *code = query_text(d, "PRAGMA journal_mode = WAL", mode, sizeof mode);
  if (*code == SQLITE_OK && verdict == FINE && version < VERSION) {
    if (strcmp(mode, "wal") == 0) *code = database_trust_log(d); // in other modes, database_trust_log would leave the log's index open
    if (*code == SQLITE_OK) *code = database_note_code(d, migrate(d, r, &version, &verdict));
    d->needs_checkpoint = true;
  }
  if (note_failure(d, r, *code) != SQLITE_OK) return false;
  if (verdict != FINE) return refuse(d, r, version, verdict);
  if (strcmp(mode, "wal") != 0) return cannot_open(d, r, "its file system doesn't support shared memory");
  return true;
}

// Starts a session in a file next to the database. Resolves symbolic links first, so that all programs use the same session file even if
// they open the database through different paths.
static bool take_session(database *d, request *r) {
  char *file = NULL;
  if (asprintf(&file, "%s-alive", sqlite3_db_filename(d->db, "main")) < 0) return cannot_open(d, r, "not enough memory");
  bool taken = session_take(&d->session, file);
  int error = errno;
  free(file);
  if (!taken)
    return database_fail(d, r, "can't be opened: its session file, the same name with -alive, can't be used: %s", file_problem(error));
  int code = session_register(&d->session, d->db);
  return code == SQLITE_OK || database_fail_code(d, r, "can't be opened", code);
}

bool database_open(database *d, request *r) {
  if (!create_or_check(d, r)) return false;
  // Retries for BUSY_TIMEOUT seconds, since SQLite doesn't always wait on its own when two programs create a database at the same time.
  for (double until = clock_now() + BUSY_TIMEOUT;;) {
    int code = SQLITE_OK;
    if (try_open(d, r, &code)) break;
    database_close(d);
    if ((code & 0xFF) != SQLITE_BUSY || clock_now() >= until) return false;
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
  }
  if (take_session(d, r)) return true;
  database_close(d);
  return false;
}

// --- opening and closing

database *database_new(const char *path) {
  database *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  d->session.fd = -1;
  char *directory = *path == '/' ? strdup("") : getcwd(NULL, 0);
  if (directory && asprintf(&d->path, "%s%s%s", directory, *directory ? "/" : "", path) < 0) d->path = NULL;
  free(directory);
  if (!d->path || !(d->display_path = strdup(d->path))) {
    int error = errno;
    database_free(d);
    errno = error;
    return NULL;
  }
  for (char *at = d->display_path; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = '?';
  return d;
}

double database_idle_delay(const database *d) {
  return d->needs_checkpoint ? CHECKPOINT_DELAY : -1;
}

// Copies the write-ahead log into the main file, except for parts that other programs are still reading. Waits for the disk, but not for
// other programs. Ignores a failure, since the next checkpoint copies the log.
void database_idle(database *d) {
  // Retries the checkpoint while another connection is running one, since the other connection's checkpoint may not include this
  // connection's last commits.
  for (int tries = 0; d->db && d->needs_checkpoint && !d->doubtful && tries < CHECKPOINT_TRIES; tries++) {
    if ((checkpoint(d) & 0xFF) != SQLITE_BUSY) break;
    nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
  }
  d->needs_checkpoint = false;
}

int database_socket(const database *d) {
  (void)d;
  return -1;
}

char *database_notification(database *d) {
  (void)d;
  return NULL;
}

void database_close(database *d) {
  for (int i = 0; i < VERBS; i++) {
    sqlite3_finalize(d->statements[i]);
    d->statements[i] = NULL;
  }
  database_idle(d); // SQLite itself runs a checkpoint only when the last connection to the file is closed
  // If the log may have lost bytes, SQLite must not copy it into the main file on closing. The next program that writes to the ledger
  // checks the log first.
  if (d->db && d->doubtful && !log_is_empty(d->db)) sqlite3_db_config(d->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
  sqlite3_close(d->db);
  d->db = NULL;
  session_release(&d->session);
}

void database_free(database *d) {
  if (!d) return;
  database_close(d);
  free(d->path);
  free(d->display_path);
  free(d);
}
