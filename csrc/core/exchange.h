// SPDX-License-Identifier: MIT
// One HTTP exchange: what is asked, what came back, and what is known about whether it was sent.
#ifndef OMNI_EXCHANGE_H
#define OMNI_EXCHANGE_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/download.h"
#include "core/client_options.h"
#include "core/upload.h"
#include "shared/buffer.h"

#define EXCHANGE "omni.exchange"

enum { EXCHANGE_MAX_HEADERS = 256 * 1024 }; // bytes: of one answer, all its header lines together; also of a page that nobody needs

typedef enum { SUBMIT, QUERY, CALL, DOWNLOAD, UPLOAD, POST } exchange_kind; // the first three are the account's, and carry its key
// FINISHING: the bytes are there, the file is being synced. TOLD: Lua knows of the end. CLOSED: the client has let go of it.
typedef enum { RUNNING, FINISHING, DONE, TOLD, CLOSED } exchange_state;

// An easy handle with its buffer: taken for a running exchange, given back for the next one of the same kind.
typedef struct easy_slot {
  struct easy_slot *next;
  CURL *easy;
  exchange_kind kind;
  struct exchange *exchange; // the one that runs on it
  buffer body; // of the response
  void *pool; // the one that it belongs to
  char trouble[CURL_ERROR_SIZE];
} easy_slot;

typedef struct exchange {
  struct exchange *next, *previous; // in the one list of the client that its state names
  exchange_kind kind;
  exchange_state state;
  int anchor; // where the client holds its userdata
  exchange_settings *settings;       // NULL once the client is closed
  easy_slot *slot;                   // while it runs, and until its answer is taken
  char *url, *body;
  char *target; // of a query, instead of url: what to ask settings->server for
  const char *method;
  size_t body_length;
  char *task_id;

  unsigned sends; // calls of the prereq function: 0 = certainly not sent
  size_t header_bytes;
  bool too_large;
  CURLcode outcome;
  long status;

  download *file;
  upload *source;
  struct curl_slist *own_headers;   // of a download that goes on, of an upload, of a post
  char *validator;                  // ETag or Last-Modified of what the file holds already, or NULL
  int64_t expected_total;           // what the server said before; -1 when it didn't
  int64_t asked_from, total;        // -1 when the total isn't known
  int file_error;
  bool body_seen, wrong_range, discarded;
  bool kept; // of a download: its file has its name

  bool proxied;            // the connection is a proxy's
  refused_address refused; // the last address that it was kept from; its text is empty when there was none
} exchange;

// Sets the slot's easy handle up for the exchange; false when libcurl refuses (no memory).
// `fresh` is told of a slot whose handle was reset, for options of the caller's own.
bool exchange_prepare(exchange *x, easy_slot *slot, bool (*fresh)(easy_slot *slot));
// Whether the exchange may connect to an address. The service decides where a file is fetched from and brought to, and must not reach
// this machine's networks with that.
bool exchange_may_connect(exchange *x, const struct sockaddr *address);
// Takes down what the transfer gave. Called once, before the slot's handle is used again.
void exchange_finished(exchange *x, CURLcode outcome);
// Frees what the exchange owns but the slot. Idempotent.
void exchange_release(exchange *x);
// result(exchange) → value | nil, failure; the exchange must be DONE or TOLD.
int exchange_push_result(lua_State *L, exchange *x);

// Pushes the failure of a request that may not go to this address.
void exchange_push_refusal(lua_State *L, const refused_address *refused);

// A header of the answer, its last value; NULL when there is none. Valid until the exchange's slot runs again.
const char *exchange_header(const exchange *x, const char *name);
// Where the answer sends the request on, as it says it; NULL when it doesn't. A file that is brought goes on with its method and body, as
// RFC 9110 allows; to such a request 303 only says where to look next.
const char *exchange_redirect(const exchange *x);
// By what a download's file can be told from another one under its URL; NULL when the server doesn't say.
const char *exchange_validator(const exchange *x);

void slot_free(easy_slot *slot);

#endif
