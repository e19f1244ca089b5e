// SPDX-License-Identifier: MIT
// Turns a finished exchange into a Lua value, or into nil and a failure.
#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "core/envelope.h"
#include "core/exchange.h"
#include "core/redact.h"
#include "core/retry_after.h"
#include "core/task_parser.h"
#include "shared/field.h"
#include "shared/file.h"

void exchange_push_refusal(lua_State *L, const refused_address *refused) {
  bool reserved = refused->class == ADDRESS_RESERVED;
  lua_pushfstring(L, reserved ? "the URL leads to %s, an address of %s: omni sends nothing there and fetches nothing from there"
                              : "the URL leads to %s, an address of %s, and the service itself isn't there",
                  refused->text, address_class_name(refused->class));
  failure_push(L, "url_refused", lua_tostring(L, -1), false);
  lua_remove(L, -2);
  if (reserved) return;
  field_set_string(L, "hint",
                   "if the service may reach your networks: allow_private_networks = true, or OMNI_ALLOW_PRIVATE_NETWORKS=1 (docs/network.md)");
}

// Pushes the failure for a transfer that libcurl couldn't complete. Returns false.
static bool push_network_failure(lua_State *L, exchange *x) {
  const char *message = x->transfer && x->transfer->error[0] ? x->transfer->error : curl_easy_strerror(x->outcome);
  bool permanent = x->outcome == CURLE_PEER_FAILED_VERIFICATION || x->outcome == CURLE_SSL_CACERT_BADFILE ||
                   x->outcome == CURLE_OUT_OF_MEMORY || x->outcome == CURLE_FAILED_INIT;
  if (x->too_large) {
    lua_pushfstring(L, "the response is larger than %d bytes",
                    (int)(x->header_bytes > EXCHANGE_MAX_HEADERS ? EXCHANGE_MAX_HEADERS : x->options ? x->options->max_bytes : 0));
    failure_push(L, "too_large", lua_tostring(L, -1), true);
  } else if (x->outcome == CURLE_COULDNT_CONNECT && x->refused.text[0]) {
    exchange_push_refusal(L, &x->refused);
  } else if (x->no_memory) {
    failure_push(L, "network", "not enough memory", x->outcome == CURLE_WRITE_ERROR);
  } else if (x->outcome == CURLE_ABORTED_BY_CALLBACK && x->sends > 1) {
    failure_push(L, "network", "the connection broke before a response came", true);
  } else {
    failure_push(L, "network", message, !permanent);
  }
  return false;
}

// Sets the `sent` field of a submit's failure, which must be at the top of the stack. If the submit request was sent and not refused, the
// failure's code becomes "submit_unknown", since the service may have charged for the request and omni must not send it again
// automatically.
static void set_sent(lua_State *L, const exchange *x) {
  bool refused = lua_getfield(L, -1, "refused") == LUA_TBOOLEAN && lua_toboolean(L, -1);
  lua_pop(L, 1);
  bool sent = x->sends > 0;
  field_set_string(L, "sent", !sent ? "no" : x->outcome == CURLE_OK ? "answered" : "maybe");
  if (!sent || refused) return;
  lua_getfield(L, -1, "message");
  lua_pushfstring(L, "the outcome of this submit is unknown: %s", lua_tostring(L, -1));
  lua_setfield(L, -3, "message");
  lua_pop(L, 1);
  field_set_string(L, "code", "submit_unknown");
  field_set_boolean(L, "retry", 0);
  field_set_string(L, "hint", "it may have been accepted and charged; look at the account's balance before you submit it again");
}

// Adds the fields that every failure may have (`sent`, `retry_after`, `task_id`) to the failure at the top of the stack.
static void complete_failure(lua_State *L, exchange *x) {
  if (x->kind->costs) set_sent(L, x);
  lua_pushnil(L);
  lua_setfield(L, -2, "refused");
  double wait = retry_after(x); // reads Retry-After for every HTTP status, since a response with HTTP status 200 may contain the code 429
  if (wait >= 0) {
    if (wait == floor(wait))
      field_set_integer(L, "retry_after", (lua_Integer)wait);
    else
      field_set_number(L, "retry_after", wait);
  }
  if (x->task_id) field_set_string(L, "task_id", x->task_id);
}

static void push_body(lua_State *L, const exchange *x) {
  const buffer *body = &x->transfer->body;
  lua_pushlstring(L, body->length ? body->data : "", body->length);
}

static void set_status(lua_State *L, const exchange *x) {
  field_set_integer(L, "status", x->status);
}

// --- the results of calls to the service

// Overwrites the API key wherever the response repeats it, so that the key can't get into an error, a log or a file. Ignores keys with
// fewer than 8 characters, since such a short key isn't a secret, and overwriting it would damage the response.
static void redact_key(exchange *x) {
  const buffer *body = &x->transfer->body;
  if (body->length > 0 && strlen(x->options->key) >= 8) redact(body->data, body->length, x->options->key);
}

// Reads the envelope in the response. Returns true if the envelope reports success; otherwise pushes a failure and returns false. The JSON
// document `d` points into the response's buffer, which the exchange keeps until the exchange is closed.
static bool read_data(lua_State *L, exchange *x, json_document *d, uint32_t *data) {
  if (x->outcome != CURLE_OK) return push_network_failure(L, x);
  redact_key(x);
  buffer *body = &x->transfer->body;
  if (!buffer_reserve(body, 1)) return luaL_error(L, "not enough memory"), false;
  body->data[body->length] = '\0'; // for json_read
  if (!envelope_read(L, x->status, body->data, body->length, d, data)) return false;
  char *address = NULL;
  if (!x->proxied && curl_easy_getinfo(x->transfer->easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK)
    network_learn(&x->options->network, address); // only the service sends an envelope, so this is the service's address
  return true;
}

// If there is a table at index 2, stores the response's text in that table's `answer` field.
bool exchange_push_call(lua_State *L, exchange *x) {
  json_document d;
  uint32_t data;
  int into = 2;
  if (!read_data(L, x, &d, &data)) return false;
  if (data == JSON_NONE) {
    lua_pushnil(L);
  } else if (!json_push_value(L, &d, data)) {
    bad_answer_push(L, x->status, lua_tostring(L, -1));
    return false;
  }
  if (lua_istable(L, into)) {
    push_body(L, x);
    lua_setfield(L, into, "answer");
  }
  return true;
}

bool exchange_push_submit(lua_State *L, exchange *x) {
  json_document d;
  uint32_t data;
  if (!read_data(L, x, &d, &data)) return false;
  if (task_id_push(L, &d, data)) return true;
  failure_push(L, "bad_answer", "the service reported success without a valid task id", false);
  return false;
}

// Returns whether to store the response's text in a task. The text of a task that is over is always stored; the text of a running task is
// stored unless the task's field `answer` is false.
static bool keeps_text(lua_State *L, int task) {
  lua_pushliteral(L, "answer");
  lua_rawget(L, task);
  lua_pushliteral(L, "status");
  lua_rawget(L, task);
  const char *status = lua_tostring(L, -1);
  bool keeps = !lua_isboolean(L, -2) || strcmp(status, "success") == 0 || strcmp(status, "failed") == 0;
  lua_pop(L, 2);
  return keeps;
}

// Fills in the task table at index 2 or, if there is none, a new table. Stores the response's text in the task's `answer` field, from which
// the `raw` field is decoded later.
bool exchange_push_query(lua_State *L, exchange *x) {
  json_document d;
  uint32_t data;
  int into = 2;
  if (!read_data(L, x, &d, &data)) return false;
  if (!lua_istable(L, into)) {
    lua_createtable(L, 0, 8);
    into = lua_gettop(L);
  }
  if (!task_fill(L, &d, data, into, x->task_id, strlen(x->task_id))) return set_status(L, x), false;
  if (keeps_text(L, into)) {
    push_body(L, x);
    lua_setfield(L, into, "answer"); // calls no metamethod, since a task handle has no __newindex
  }
  lua_pushvalue(L, into);
  return true;
}

// --- the results of downloads, uploads and posts

static bool is_gone(long status) {
  return status == 403 || status == 404 || status == 410;
}

static bool is_temporary(long status) {
  return status >= 500 || status == 429 || status == 408;
}

static void set_redirect(lua_State *L, const exchange *x) {
  const char *location = exchange_redirect(x);
  if (!location) return;
  field_set_string(L, "redirect", location);
}

// Adds the fields `offset`, `stamp`, `validator` and `total` to a failure, so that a later download can resume.
static void set_progress(lua_State *L, exchange *x, bool whole) {
  char stamp[FILE_STAMP_SIZE];
  bool useless = x->wrong_range || x->status == 416 || x->file_error == ESTALE;
  field_set_integer(L, "offset", useless ? 0 : download_offset(x->file));
  download_stamp(x->file, stamp);
  field_set_string(L, "stamp", stamp);
  if (whole && exchange_validator(x)) field_set_string(L, "validator", exchange_validator(x));
  if (whole && !x->wrong_range && x->total >= 0) field_set_integer(L, "total", x->total);
}

bool exchange_push_download(lua_State *L, exchange *x) {
  bool whole = x->status == 200 || x->status == 206;
  if (x->file_error) {
    bool replaced = x->file_error == ESTALE;
    lua_pushfstring(L, replaced ? "%s was removed or replaced during the download" : "%s can't be written: %s", download_part(x->file),
                    file_problem(x->file_error));
    failure_push(L, "io", lua_tostring(L, -1), replaced);
    field_set_boolean(L, "exists", x->file_error == EEXIST);
  } else if (x->too_large) {
    failure_push(L, "too_large", "the file is larger than max_download_bytes allows", false);
  } else if (x->wrong_range) {
    failure_push(L, "bad_answer", "the server sent a different part of the file than omni requested", true);
  } else if ((x->outcome == CURLE_OK || x->discarded) && !whole) {
    bool gone = is_gone(x->status);
    const char *format = x->status == 403 ? "the server refuses the file (HTTP %d)"
                         : gone           ? "the server no longer has the file (HTTP %d)"
                                          : "the server responded with HTTP %d";
    lua_pushfstring(L, format, (int)x->status);
    failure_push(L, gone ? "media_gone" : "download_failed", lua_tostring(L, -1), is_temporary(x->status) || x->status == 416);
    set_status(L, x);
    set_redirect(L, x);
  } else if (x->outcome == CURLE_OK && x->total >= 0 && download_offset(x->file) != x->total) {
    failure_push(L, "network", "the file is shorter than the server announced", true);
  } else if (x->outcome != CURLE_OK) {
    push_network_failure(L, x);
  } else {
    lua_pushinteger(L, download_offset(x->file));
    return true;
  }
  set_progress(L, x, whole);
  return false;
}

// If the file server has refused the upload before reading the whole file, pushes the refusal, whatever error libcurl has returned.
bool exchange_push_upload(lua_State *L, exchange *x) {
  if (x->file_error == ESTALE) {
    failure_push(L, "file_changed", "the file changed during the upload", false);
  } else if (x->file_error) {
    lua_pushfstring(L, "the file can't be read: %s", strerror(x->file_error));
    failure_push(L, "io", lua_tostring(L, -1), false);
  } else if (x->status >= 300) {
    bool gone = is_gone(x->status);
    lua_pushfstring(L, "the server refused the upload (HTTP %d)%s", (int)x->status, x->transfer->body.length ? ": " : "");
    push_body(L, x);
    lua_concat(L, 2);
    failure_push(L, gone ? "upload_expired" : "upload_failed", lua_tostring(L, -1), gone || is_temporary(x->status));
    set_status(L, x);
    set_redirect(L, x);
  } else if (x->outcome != CURLE_OK) {
    push_network_failure(L, x);
  } else if (upload_offset(x->source) != upload_size(x->source)) {
    failure_push(L, "network", "the server responded before it had received the whole file", true);
  } else {
    lua_pushinteger(L, upload_size(x->source));
    return true;
  }
  return false;
}

// Pushes the HTTP status of any complete response; the caller must interpret the status. Pushes an HTTP error status even if the rest of
// the response is missing.
bool exchange_push_post(lua_State *L, exchange *x) {
  if (x->outcome != CURLE_OK && x->status < 300) return push_network_failure(L, x);
  lua_createtable(L, 0, 2);
  set_status(L, x);
  push_body(L, x);
  lua_setfield(L, -2, "text");
  return true;
}

// Pushes a table for any complete response: the HTTP status, the body, and the headers that describe the stored object.
bool exchange_push_request(lua_State *L, exchange *x) {
  if (x->outcome != CURLE_OK) return push_network_failure(L, x);
  curl_off_t length = -1;
  curl_easy_getinfo(x->transfer->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  lua_createtable(L, 0, 4);
  set_status(L, x);
  push_body(L, x);
  lua_setfield(L, -2, "text");
  if (length >= 0) field_set_integer(L, "length", (lua_Integer)length);
  const char *tag = exchange_header(x, "ETag");
  if (tag) field_set_string(L, "etag", tag);
  return true;
}

int exchange_push_result(lua_State *L, exchange *x) {
  if (x->transfer ? x->kind->push_result(L, x) : push_network_failure(L, x)) return 1;
  complete_failure(L, x);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}
