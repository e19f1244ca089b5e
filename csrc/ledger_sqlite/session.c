// SPDX-License-Identifier: MIT
// Shows which ledgers are open: each open ledger locks one byte of a file. The locks belong to the descriptor (F_OFD_*), not to the
// process, so two ledgers in one program see each other's locks.
#include "ledger_sqlite/session.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/file.h"

static const int64_t largest = INT64_C(1) << 40;

static struct flock byte(int64_t number) {
  return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1};
}

static bool take_any(session *s) {
  for (;;) {
    uint64_t random;
    ssize_t got = getrandom(&random, sizeof random, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got != (ssize_t)sizeof random) return false;
    s->number = (int64_t)(random % (uint64_t)largest) + 1;
    struct flock lock = byte(s->number);
    if (fcntl(s->fd, F_OFD_SETLK, &lock) == 0) return true;
    if (errno != EAGAIN && errno != EACCES) return false; // EAGAIN or EACCES: another ledger has this number, so the loop tries another one
  }
}

bool session_take(session *s, const char *file) {
  struct stat info;
  if ((s->fd = file_open(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &info)) < 0) return false;
  bool fine = (info.st_mode & 077) == 0;
  if (!fine) errno = EACCES;
  if (fine && fchmod(s->fd, 0600) == 0 && take_any(s)) return true; // the umask may have removed permissions from the new file
  int error = errno;
  session_release(s);
  errno = error;
  return false;
}

void session_release(session *s) {
  if (s->fd >= 0) close(s->fd);
  s->fd = -1;
  s->number = 0;
}

// --- for SQL

static void sql_session(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count, (void)values;
  const session *s = sqlite3_user_data(context);
  sqlite3_result_int64(context, s->number);
}

static void sql_alive(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  const session *s = sqlite3_user_data(context);
  int64_t number = sqlite3_value_int64(values[0]);
  bool lives = number == s->number;
  if (!lives && number >= 1 && number <= largest) {
    struct flock lock = byte(number);
    if (fcntl(s->fd, F_OFD_GETLK, &lock) != 0) {
      sqlite3_result_error_code(context, SQLITE_IOERR_CHECKRESERVEDLOCK);
      return;
    }
    lives = lock.l_type != F_UNLCK;
  }
  sqlite3_result_int(context, lives);
}

int session_register(session *s, sqlite3 *db) {
  int kind = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  int code = sqlite3_create_function_v2(db, "session", 0, kind | SQLITE_DETERMINISTIC, s, sql_session, NULL, NULL, NULL);
  if (code != SQLITE_OK) return code;
  return sqlite3_create_function_v2(db, "alive", 1, kind, s, sql_alive, NULL, NULL, NULL);
}
