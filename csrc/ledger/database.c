// SPDX-License-Identifier: MIT
// Opening the database: whose file it is, which version, and the way to ours.
#include "ledger/database.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/file.h"

#ifndef LEDGER_SCHEMA // the specs bring another one, to have versions to migrate from and to
#define LEDGER_SCHEMA "ledger/schema.h"
#endif
#include LEDGER_SCHEMA

enum {
  APPLICATION_ID = 0x6F6D6E69, // "omni": tells a ledger from other programs' databases
  PATIENCE = 10,               // seconds that another program may hold the file
  MOST_BYTES = 16 << 20,       // of one value or row
};

static const char *const steps[] = {
#define STEP(sql) sql,
    LEDGER_STEPS(STEP)
#undef STEP
};
enum { VERSION = sizeof steps / sizeof *steps };

// --- failures

bool base_fail(const base *b, request *r, const char *format, ...) {
  char *what = NULL, *whole = NULL;
  va_list arguments;
  va_start(arguments, format);
  if (vasprintf(&what, format, arguments) < 0) what = NULL;
  va_end(arguments);
  if (!what || asprintf(&whole, "the ledger %s %s", b->shown, what) < 0) whole = NULL;
  free(what);
  free(r->failure);
  r->failure = whole;
  r->failed = true;
  return false;
}

bool base_fail_code(const base *b, request *r, const char *what, int code) {
  static const struct {
    int code;
    const char *words;
  } reasons[] = {
      {SQLITE_BUSY, "another program holds it"},
      {SQLITE_CORRUPT, "it is damaged"},
      {SQLITE_FULL, "the disk is full"},
      {SQLITE_NOTADB, "it is damaged, or something else"},
      {SQLITE_NOMEM, "not enough memory"},
      {SQLITE_READONLY, "it must not be written to"},
  };
  int primary = code & 0xFF;
  const char *words = NULL;
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (reasons[i].code == primary) words = reasons[i].words;
  // These two speak of names in the schema, never of values.
  if (b->db && (primary == SQLITE_ERROR || primary == SQLITE_CONSTRAINT)) words = sqlite3_errmsg(b->db);
  if (!words) words = sqlite3_errstr(code);
  int error = b->db && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) ? sqlite3_system_errno(b->db) : 0;
  if (error) return base_fail(b, r, "%s: %s (%s)", what, words, strerror(error));
  return base_fail(b, r, "%s: %s", what, words);
}

static bool cannot_open(const base *b, request *r, const char *why) {
  return base_fail(b, r, "can't be opened: %s", why);
}

// --- small helpers

static int execute(base *b, const char *sql) {
  return sqlite3_exec(b->db, sql, NULL, NULL, NULL);
}

// The first value of the first row, as text.
static int ask(base *b, const char *sql, char *answer, size_t size) {
  sqlite3_stmt *statement = NULL;
  int code = sqlite3_prepare_v2(b->db, sql, -1, &statement, NULL);
  *answer = '\0';
  if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
    const unsigned char *text = sqlite3_column_text(statement, 0);
    if (text) snprintf(answer, size, "%s", text);
  }
  int end = sqlite3_finalize(statement);
  return code == SQLITE_ROW ? SQLITE_OK : code == SQLITE_DONE ? end : code;
}

static int ask_number(base *b, const char *sql, long long *number) {
  char answer[32];
  int code = ask(b, sql, answer, sizeof answer);
  *number = strtoll(answer, NULL, 10);
  return code;
}

// --- the file

// Makes the file, for its owner only, or sees whether it may be used. It is never opened here: closing a descriptor of it would
// let go of the locks that another connection of this process has on it.
static bool admit(base *b, request *r) {
  struct stat info;
  bool found = stat(b->path, &info) == 0;
  if (!found && errno == ENOENT) {
    if (mknod(b->path, S_IFREG | 0600, 0) == 0) {
      if (chmod(b->path, 0600) != 0) return cannot_open(b, r, strerror(errno)); // whatever the umask took
    } else if (errno != EEXIST) {
      return cannot_open(b, r, strerror(errno));
    }
    found = stat(b->path, &info) == 0;
    if (!found && errno == ENOENT) return cannot_open(b, r, "it is a link to a file that isn't there");
  }
  if (!found) return cannot_open(b, r, strerror(errno));
  if (!S_ISREG(info.st_mode)) return cannot_open(b, r, "it is not a file");
  if ((info.st_mode & 077) != 0) return base_fail(b, r, "is readable by others; chmod 600 it");
  return true;
}

// --- the connection

static int configure(base *b) {
  static const struct {
    int what, on;
  } switches[] = {
      {SQLITE_DBCONFIG_DEFENSIVE, 1},  {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0}, {SQLITE_DBCONFIG_ENABLE_FKEY, 1},
      {SQLITE_DBCONFIG_DQS_DML, 0},    {SQLITE_DBCONFIG_DQS_DDL, 0},
  };
  int code = SQLITE_OK;
  for (size_t i = 0; code == SQLITE_OK && i < sizeof switches / sizeof *switches; i++)
    code = sqlite3_db_config(b->db, switches[i].what, switches[i].on, NULL);
  if (code == SQLITE_OK) code = sqlite3_busy_timeout(b->db, PATIENCE * 1000);
  if (code != SQLITE_OK) return code;
  sqlite3_limit(b->db, SQLITE_LIMIT_LENGTH, MOST_BYTES);
  sqlite3_limit(b->db, SQLITE_LIMIT_ATTACHED, 0);
  b->full = true;
  return execute(b, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 4194304");
}

enum { FINE, FOREIGN, NEWER };

// Which version the file has (0: an empty one) and whether it is ours to use. To be called within a transaction.
static int judge(base *b, long long *version, int *verdict) {
  long long application = 0, tables = 0;
  int code = ask_number(b, "PRAGMA application_id", &application);
  if (code == SQLITE_OK) code = ask_number(b, "PRAGMA user_version", version);
  if (code == SQLITE_OK) code = ask_number(b, "SELECT count(*) FROM sqlite_schema", &tables);
  bool ours = application == APPLICATION_ID;
  if (!ours) *version = 0;
  *verdict = !ours && tables > 0 ? FOREIGN : *version > VERSION ? NEWER : *version < 0 ? FOREIGN : FINE;
  return code;
}

static bool refuse(const base *b, request *r, long long version, int verdict) {
  if (verdict == FOREIGN) return base_fail(b, r, "is not a ledger: it is another program's database");
  return base_fail(b, r, "was made by a newer omni: its version is %lld, this omni knows versions up to %d", version, (int)VERSION);
}

// Notes why the file can't be opened, unless that is noted already; returns the code.
static int noted(base *b, request *r, int code) {
  if (code != SQLITE_OK && !r->failed) base_fail_code(b, r, "can't be opened", code);
  return code;
}

// Ends a transaction: by COMMIT, or, after a failure, by ROLLBACK.
static int end(base *b, request *r, int code) {
  if (code == SQLITE_OK) code = execute(b, "COMMIT");
  noted(b, r, code); // SQLite would tell of the ROLLBACK then
  if (code != SQLITE_OK && !sqlite3_get_autocommit(b->db)) execute(b, "ROLLBACK");
  return code;
}

// Brings the file to our version: all or nothing. Another program may have done so since it was looked at.
static int migrate(base *b, request *r, long long *version, int *verdict) {
  int code = execute(b, "BEGIN IMMEDIATE");
  if (code != SQLITE_OK) return code;
  code = judge(b, version, verdict);
  for (long long next = *version; code == SQLITE_OK && *verdict == FINE && next < VERSION; next++) code = execute(b, steps[next]);
  if (code == SQLITE_OK && *verdict == FINE) {
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d", (int)APPLICATION_ID, (int)VERSION);
    code = execute(b, sql);
  }
  return end(b, r, code);
}

// One try. *code is SQLite's; false with r's failure noted when it isn't SQLITE_OK or the file can't be used.
static bool attempt(base *b, request *r, int *code) {
  int verdict = FINE;
  long long version = 0;
  char mode[16] = "";
  r->failed = false;
  *code = sqlite3_open_v2(b->path, &b->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  if (*code == SQLITE_OK) *code = configure(b);
  if (*code == SQLITE_OK) *code = execute(b, "BEGIN");
  if (*code == SQLITE_OK) *code = end(b, r, judge(b, &version, &verdict));
  if (*code == SQLITE_OK && verdict == FINE) *code = ask(b, "PRAGMA journal_mode = WAL", mode, sizeof mode);
  if (*code == SQLITE_OK && verdict == FINE && version < VERSION) {
    *code = migrate(b, r, &version, &verdict);
    b->behind = true;
  }
  if (noted(b, r, *code) != SQLITE_OK) return false;
  if (verdict != FINE) return refuse(b, r, version, verdict);
  if (strcmp(mode, "wal") != 0) return cannot_open(b, r, "its file system has no memory that programs can share");
  return true;
}

// The session is kept beside the real file, so that all who reach that by different names share it.
static bool take_session(base *b, request *r) {
  char *file = NULL;
  if (asprintf(&file, "%s-alive", sqlite3_db_filename(b->db, "main")) < 0) return cannot_open(b, r, "not enough memory");
  bool taken = session_take(&b->session, file);
  int error = errno;
  free(file);
  if (!taken) return base_fail(b, r, "can't be opened: its session file, with -alive behind the name, can't be used: %s", file_problem(error));
  int code = session_register(&b->session, b->db);
  return code == SQLITE_OK || base_fail_code(b, r, "can't be opened", code);
}

bool base_open(base *b, request *r) {
  if (!admit(b, r)) return false;
  // Where two programs begin a new file at once SQLite doesn't always wait by itself.
  for (double until = clock_now() + PATIENCE;;) {
    int code = SQLITE_OK;
    if (attempt(b, r, &code)) break;
    base_close(b);
    if ((code & 0xFF) != SQLITE_BUSY || clock_now() >= until) return false;
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
  }
  if (take_session(b, r)) return true;
  base_close(b);
  return false;
}

// --- beginning and end

bool base_init(base *b, const char *path) {
  *b = (base){.session = {.fd = -1}};
  char *directory = *path == '/' ? strdup("") : getcwd(NULL, 0);
  if (directory && asprintf(&b->path, "%s%s%s", directory, *directory ? "/" : "", path) < 0) b->path = NULL;
  free(directory);
  if (!b->path || !(b->shown = strdup(b->path))) return false;
  for (char *at = b->shown; *at; at++)
    if ((unsigned char)*at < 0x20 || *at == 0x7F) *at = '?';
  return true;
}

void base_checkpoint(base *b) {
  if (b->db && b->behind) sqlite3_wal_checkpoint_v2(b->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  b->behind = false;
}

void base_close(base *b) {
  for (int i = 0; i < VERBS; i++) {
    sqlite3_finalize(b->statements[i]);
    b->statements[i] = NULL;
  }
  base_checkpoint(b); // SQLite does so only when it closes the last connection of all programs
  sqlite3_close(b->db);
  b->db = NULL;
  session_release(&b->session);
}

void base_release(base *b) {
  base_close(b);
  free(b->path);
  free(b->shown);
  b->path = b->shown = NULL;
}
