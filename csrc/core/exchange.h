// SPDX-License-Identifier: MIT
// One HTTP exchange: the request, the response, and whether the request was sent.
#ifndef OMNI_EXCHANGE_H
#define OMNI_EXCHANGE_H

#include <curl/curl.h>
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/client_options.h"
#include "core/download_file.h"
#include "core/upload.h"
#include "shared/buffer.h"

#define EXCHANGE "omni.exchange"

enum { EXCHANGE_MAX_HEADERS = 256 * 1024 }; // maximum total size in bytes of a response's header lines and of a body that omni discards

// FINISHING: all bytes have arrived, and a thread is writing the file to disk. REPORTED: the client has returned the exchange's owner to
// Lua. CLOSED: the client has released the exchange.
typedef enum { RUNNING, FINISHING, DONE, REPORTED, CLOSED } exchange_state;

typedef struct exchange exchange;

// The properties that all exchanges of one kind share.
typedef struct {
  bool keyed;  // true: exchanges of this kind send the API key, and go only to the service; false: they may go to any server
  bool costs;  // exchanges of this kind may cost credits, and their failures report whether the request was sent
  bool timed;  // true: the option `timeout` limits each exchange; false: lua/omni/client/media_transfer.lua detects stalled transfers
  bool varies; // libcurl's options must be set again for each exchange
  bool repeatable; // whether libcurl may resend a request with a body if a reused connection breaks
  size_t (*on_body)(char *bytes, size_t one, size_t length, void *transfer); // receives the response's body
  bool (*set_options)(CURL *easy, const client_options *o); // sets the libcurl options for this kind; returns false when memory runs out
  bool (*push_result)(lua_State *L, exchange *x);           // pushes the result, or pushes a failure and returns false
} exchange_kind;

extern const exchange_kind exchange_submit, exchange_query, exchange_call, exchange_download, exchange_upload, exchange_post,
    exchange_request;

// A libcurl easy handle, together with the response's body. A transfer belongs to one running exchange at a time, and is then reused by the
// next exchange of the same kind.
typedef struct transfer {
  struct transfer *next;
  CURL *easy;
  const exchange_kind *kind; // the kind of the handle's last exchange; NULL: the handle is new
  exchange *exchange;
  buffer body;
  void *pool;
  char error[CURL_ERROR_SIZE];
} transfer;

struct exchange {
  exchange *next, *previous; // neighbours in the pool's list of all exchanges in the same state
  const exchange_kind *kind;
  exchange_state state;
  bool no_memory;          // memory ran out for one of the exchange's sockets, or for the response
  bool given;              // the exchange is DONE, and is the current one in the caller's `for` loop over `finished`
  int anchor;              // the client's reference to the exchange's userdata
  client_options *options; // NULL once the client is closed
  transfer *transfer;      // not NULL from the exchange's start until the exchange is closed
  char *url, *body;
  char *target;       // for a query: the request target on options->server, used instead of `url`
  const char *method; // the HTTP method; set only for calls and requests
  size_t body_length;
  char *task_id; // of a query

  unsigned sends; // how many times libcurl was about to send the request; 0: the request was certainly not sent
  size_t header_bytes;
  bool too_large;
  CURLcode outcome;
  long status;

  download *file;                 // of a download
  upload *source;                 // of an upload
  struct curl_slist *own_headers; // header lines that only this exchange sends: for a resumed download, an upload or a post
  char *validator;                // the ETag or Last-Modified of the part that is already downloaded, or NULL
  int64_t expected_total;         // the file's size according to an earlier response; -1: unknown
  int64_t asked_from, total;      // total: -1 when unknown
  int file_error;                 // errno
  bool body_seen, wrong_range, discarded;
  bool kept; // whether the downloaded file has its final name

  bool proxied;            // whether the connection goes to a proxy
  refused_address refused; // the last address that omni refused to connect to; `text` is empty if there was none
};

// Prepares the transfer's easy handle for the exchange. If the exchange can't use the handle's current options, resets them and then calls
// `after_reset`. Returns false when libcurl runs out of memory.
bool exchange_prepare(exchange *x, transfer *t, bool (*after_reset)(transfer *t));
// Returns whether the exchange may connect to an address. The service chooses the URLs of downloads and uploads, so these transfers must
// not reach private networks. A client that signs its requests may connect to any address, since the user chooses its URL.
bool exchange_may_connect(exchange *x, const struct sockaddr *address);
// Records the transfer's outcome. Call exchange_finished once, before the transfer's handle is used again.
void exchange_finished(exchange *x, CURLcode outcome);
// Frees everything that the exchange owns, except the transfer. Idempotent.
void exchange_release(exchange *x);

// Pushes the result of an exchange that is DONE or REPORTED; if the exchange has failed, pushes nil and a failure. Returns the number of
// pushed values.
int exchange_push_result(lua_State *L, exchange *x);
// Pushes the failure for a request to an address that omni refuses to connect to.
void exchange_push_refusal(lua_State *L, const refused_address *refused);
// The `push_result` functions of the exchange kinds (exchange_result.c).
bool exchange_push_submit(lua_State *L, exchange *x);
bool exchange_push_query(lua_State *L, exchange *x);
bool exchange_push_call(lua_State *L, exchange *x);
bool exchange_push_download(lua_State *L, exchange *x);
bool exchange_push_upload(lua_State *L, exchange *x);
bool exchange_push_post(lua_State *L, exchange *x);
bool exchange_push_request(lua_State *L, exchange *x);

// Returns a response header's value (the last one if the header is repeated), or NULL if there is no such header. The result is valid until
// the exchange's transfer runs again.
const char *exchange_header(const exchange *x, const char *name);
// Returns the response's Location header if the exchange may follow the redirect; otherwise returns NULL. A client that signs its requests
// doesn't follow redirects. A 303 redirects a download, but not an upload, since RFC 9110 allows only a GET after a 303.
const char *exchange_redirect(const exchange *x);
// Returns the ETag or Last-Modified that identifies the downloaded file, or NULL.
const char *exchange_validator(const exchange *x);

void transfer_free(transfer *t);

#endif
