// SPDX-License-Identifier: MIT
// The formats of SQLite's write-ahead log and of the log's index are documented at https://sqlite.org/walformat.html.
#include "ledger_sqlite/log.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/file.h"

enum { LOG_HEADER = 32, FRAME_HEADER = 24, INDEX_REGION = 32768, CHECKED = 8 };
static const uint32_t magic = 0x377F0682; // the log's first four bytes; 0x377F0683 if the checksums use big-endian words

// The part of the header of the write-ahead log's index that omni needs.
typedef struct {
  uint8_t before[14];
  uint16_t page_size; // 1 means 65536
  uint32_t last_frame;
} index_header;

static uint32_t big_endian(const unsigned char *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t little_endian(const unsigned char *bytes) {
  return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static void add_checksum(uint32_t sums[2], const unsigned char *bytes, size_t length, bool is_big) {
  for (size_t i = 0; i < length; i += 8) {
    sums[0] += (is_big ? big_endian : little_endian)(bytes + i) + sums[1];
    sums[1] += (is_big ? big_endian : little_endian)(bytes + i + 4) + sums[0];
  }
}

static bool has_checksum(const uint32_t sums[2], const unsigned char *stored) {
  return big_endian(stored) == sums[0] && big_endian(stored + 4) == sums[1];
}

// Checks a frame and writes the same bytes again; if `salt` is NULL, checks and writes the log's header instead.
static int rewrite(sqlite3_file *log, unsigned char *bytes, int length, sqlite3_int64 at, uint32_t sums[2], const unsigned char *salt,
                   bool is_big) {
  bool fine;
  if (salt) {
    add_checksum(sums, bytes, CHECKED, is_big);
    add_checksum(sums, bytes + FRAME_HEADER, (size_t)length - FRAME_HEADER, is_big);
    fine = memcmp(bytes + CHECKED, salt, 8) == 0 && has_checksum(sums, bytes + 16);
  } else {
    add_checksum(sums, bytes, LOG_HEADER - 8, is_big);
    fine = has_checksum(sums, bytes + LOG_HEADER - 8);
  }
  return fine ? log->pMethods->xWrite(log, bytes, length, at) : SQLITE_CORRUPT;
}

static int rewrite_all(sqlite3_file *log, uint32_t frames, int page_size) {
  unsigned char header[LOG_HEADER];
  uint32_t sums[2] = {0, 0};
  int code = log->pMethods->xRead(log, header, sizeof header, 0), length = FRAME_HEADER + page_size;
  if (code != SQLITE_OK) return code;
  bool is_big = big_endian(header) & 1;
  if ((big_endian(header) & ~UINT32_C(1)) != magic || big_endian(header + 8) != (uint32_t)page_size) return SQLITE_CORRUPT;
  unsigned char *frame = malloc((size_t)length);
  if (!frame) return SQLITE_NOMEM;
  code = rewrite(log, header, sizeof header, 0, sums, NULL, is_big);
  for (uint32_t i = 0; code == SQLITE_OK && i < frames; i++) {
    sqlite3_int64 at = LOG_HEADER + (sqlite3_int64)i * length;
    code = log->pMethods->xRead(log, frame, length, at);
    if (code == SQLITE_OK) code = rewrite(log, frame, length, at, sums, header + 16, is_big);
  }
  free(frame);
  return code == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_FULL) : code;
}

// SQLite itself ignores errors when it syncs the directory.
static int sync_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
  if (!folder) return SQLITE_NOMEM;
  bool fine = file_sync_folder(folder);
  free(folder);
  return fine ? SQLITE_OK : SQLITE_IOERR_DIR_FSYNC;
}

// Call rewrite_committed within a transaction that excludes other writers.
static int rewrite_committed(sqlite3 *db) {
  sqlite3_file *file = NULL, *log = NULL;
  void volatile *index = NULL;
  index_header header;
  sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (!file || !file->pMethods || file->pMethods->iVersion < 2 || !log || !log->pMethods) return SQLITE_IOERR;
  int code = file->pMethods->xShmMap(file, 0, INDEX_REGION, 0, &index);
  if (code != SQLITE_OK) return code;
  if (!index) return SQLITE_IOERR_SHMMAP;
  memcpy(&header, (const void *)index, sizeof header);
  code = sync_folder(sqlite3_db_filename(db, "main"));
  if (code != SQLITE_OK || header.last_frame == 0) return code;
  return rewrite_all(log, header.last_frame, header.page_size == 1 ? 65536 : header.page_size);
}

int log_rewrite(sqlite3 *db) {
  if (!sqlite3_get_autocommit(db)) return SQLITE_IOERR; // a transaction is open, in which a sync has failed
  int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (code != SQLITE_OK) return code;
  code = rewrite_committed(db);
  int end = sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return code == SQLITE_OK ? end : code;
}

bool log_is_empty(sqlite3 *db) {
  sqlite3_file *log = NULL;
  sqlite3_int64 size;
  return sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log && log->pMethods &&
         log->pMethods->xFileSize(log, &size) == SQLITE_OK && size == 0;
}
