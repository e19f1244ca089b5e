// SPDX-License-Identifier: MIT
// What a backend of the ledger implements: a database that executes verbs. The folders csrc/ledger_sqlite and csrc/ledger_postgresql are the
// backends. All functions that get a database run in the ledger's own thread, since they wait for the disk, the network or other programs.
#ifndef OMNI_LEDGER_DATABASE_H
#define OMNI_LEDGER_DATABASE_H

#include <lua.h>
#include <stdbool.h>

#include "ledger/request.h"

// A verb, as verbs.h has it.
typedef struct {
  const char *name, *sql;
  int kind; // MINOR, MONEY or OUTCOME
} ledger_verb;

// MINOR: a commit that is lost costs nothing. MONEY: the commit waits until its data is on disk. OUTCOME: as MONEY; the verb also
// records what has happened already, so it waits for a database that can't be reached, where other verbs fail.
enum { MINOR, MONEY, OUTCOME };

extern const ledger_verb ledger_verbs[];
extern const int ledger_verb_count;

// The names of the module, of the class of its handles, and of the class of its requests.
extern const char ledger_module[], ledger_request_class[];
// Raises if the backend's library can't be used.
void ledger_check_library(lua_State *L);

typedef struct database database;

// Returns a database for a name, a path or an address, without touching it. Returns NULL and sets errno on failure.
database *database_new(const char *name);
// Executes a verb, after opening the database if needed. Sets the request's `rows` and `columns`, or its failure. Returns false if the
// database can't be reached at present and the verb is an OUTCOME: then its failure says why, and the caller runs it again later.
bool database_run(database *d, request *r);
// Returns after how many seconds without a request the caller should call database_idle; negative: it needn't.
double database_idle_delay(const database *d);
// Does what is better done while nobody waits.
void database_idle(database *d);
// Closes the database. Idempotent; a later verb opens it again.
void database_close(database *d);
// Closes the database and frees everything. Accepts NULL.
void database_free(database *d);

#endif
