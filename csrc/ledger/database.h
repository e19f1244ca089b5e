// SPDX-License-Identifier: MIT
// The interface that each backend of the ledger implements: a database that executes verbs, which are named SQL statements (verbs.h). The
// backends are in csrc/ledger_sqlite and csrc/ledger_postgresql. All functions with a `database` argument run in the ledger's own thread,
// since they wait for the disk, the network or other programs.
#ifndef OMNI_LEDGER_DATABASE_H
#define OMNI_LEDGER_DATABASE_H

#include <lua.h>
#include <stdbool.h>

#include "ledger/request.h"

// One row of verbs.h.
typedef struct {
  const char *name, *sql;
  int kind; // MINOR, MONEY or OUTCOME
} ledger_verb;

// MINOR: if a power cut undoes the verb's commit, no money is lost. MONEY: the verb's commit waits until its data is on disk. OUTCOME: like
// MONEY, but the verb records something that has already happened. While the database can't be reached, OUTCOME verbs wait, and other verbs
// fail.
enum { MINOR, MONEY, OUTCOME };

extern const ledger_verb ledger_verbs[];
extern const int ledger_verb_count;

// `ledger_module` names the backend's Lua module and the class of its handles. `ledger_request_class` names the class of the backend's
// requests.
extern const char ledger_module[], ledger_request_class[];
// Raises an error if the backend's library can't be used.
void ledger_check_library(lua_State *L);

typedef struct database database;

// Returns a database object for a path or an address, without opening the database. Returns NULL and sets errno on failure.
database *database_new(const char *name);
// Executes a verb, after opening the database if needed. Sets the request's `rows` and `columns`, or its failure. Returns false if the
// database can't be reached at present and the verb records an outcome (kind OUTCOME). If database_run returns false, the request's failure
// contains the reason, and the caller must run the verb again later.
bool database_run(database *d, request *r);
// Returns the number of seconds without a request after which the caller should call database_idle. Returns a negative number if the caller
// never needs to call database_idle.
double database_idle_delay(const database *d);
// Does the backend's background work. The ledger's thread calls database_idle while no request is waiting.
void database_idle(database *d);
// Returns the descriptor of the connection to a database server, or -1 if there is none. When the descriptor becomes readable, the database
// has sent something, and the caller must call database_idle.
int database_socket(const database *d);
// Returns the oldest notification from another program that database_notification hasn't returned yet; the caller must free it. Returns
// NULL if there is no such notification. Notifications are only hints, and may get lost.
char *database_notification(database *d);
// Closes the database, and does nothing if it is closed already. The next verb opens the database again.
void database_close(database *d);
// Closes the database and frees its memory. Accepts NULL.
void database_free(database *d);

#endif
