// SPDX-License-Identifier: MIT
// What an exchange came to, as Lua gets it: a value, or nil and a failure.
#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "core/envelope.h"
#include "core/exchange.h"
#include "shared/file.h"
#include "core/redact.h"
#include "core/task.h"

static const double LONGEST_PAUSE = 1e9; // seconds

void exchange_push_refusal(lua_State *L, const refused_address *refused) {
  bool reserved = refused->class == ADDRESS_RESERVED;
  lua_pushfstring(L, reserved ? "the URL leads to %s, an address of %s: nothing is fetched from there or brought there"
                              : "the URL leads to %s, an address of %s, and the service itself isn't there",
                  refused->text, address_class_name(refused->class));
  failure_push(L, "url_refused", lua_tostring(L, -1), false);
  lua_remove(L, -2);
  if (reserved) return;
  lua_pushliteral(L, "if the service may reach your networks: allow_private_networks = true, or OMNI_ALLOW_PRIVATE_NETWORKS=1 (docs/network.md)");
  lua_setfield(L, -2, "hint");
}

static void push_network_failure(lua_State *L, exchange *x) {
  const char *trouble = x->slot && x->slot->trouble[0] ? x->slot->trouble : curl_easy_strerror(x->outcome);
  // What time doesn't heal.
  bool final = x->outcome == CURLE_PEER_FAILED_VERIFICATION || x->outcome == CURLE_SSL_CACERT_BADFILE ||
               x->outcome == CURLE_OUT_OF_MEMORY || x->outcome == CURLE_FAILED_INIT;
  if (x->too_large) {
    lua_pushfstring(L, "the answer is larger than %d bytes",
                    (int)(x->header_bytes > EXCHANGE_MAX_HEADERS ? EXCHANGE_MAX_HEADERS : x->settings ? x->settings->max_bytes : 0));
    failure_push(L, "too_large", lua_tostring(L, -1), x->kind != DOWNLOAD);
  } else if (x->outcome == CURLE_COULDNT_CONNECT && x->refused.text[0]) {
    exchange_push_refusal(L, &x->refused);
  } else if (x->outcome == CURLE_ABORTED_BY_CALLBACK && x->sends > 1) {
    failure_push(L, "network", "the connection broke before an answer came", true);
  } else {
    failure_push(L, "network", trouble, !final);
  }
}

// Reads Retry-After: seconds, also with a fraction, or a date. That is compared with the answer's own Date, as this machine's clock may
// be wrong. Returns -1 when there is none, or it can't be read.
static double retry_after(const exchange *x) {
  const char *text = exchange_header(x, "Retry-After"); // valid until the next header is asked for
  if (!text) return -1;
  double seconds = 0, digit = 1;
  size_t whole = strspn(text, "0123456789");
  for (size_t i = 0; i < whole; i++) seconds = seconds * 10 + (text[i] - '0');
  if (whole > 0 && (text[whole] == '\0' || text[whole] == '.')) { // by hand: strtod takes the decimal point from the locale
    const char *fraction = text[whole] ? text + whole + 1 : "";
    size_t length = strspn(fraction, "0123456789");
    if (fraction[length] != '\0') return -1;
    for (size_t i = 0; i < length; i++) seconds += (fraction[i] - '0') * (digit /= 10);
    return seconds < LONGEST_PAUSE ? seconds : LONGEST_PAUSE;
  }
  time_t then = curl_getdate(text, NULL);
  if (then == -1) return -1;
  const char *date = exchange_header(x, "Date");
  time_t now = date ? curl_getdate(date, NULL) : -1;
  seconds = difftime(then, now == -1 ? time(NULL) : now);
  return seconds < 0 ? 0 : seconds < LONGEST_PAUSE ? seconds : LONGEST_PAUSE;
}

static void set_failure(lua_State *L, exchange *x) {
  bool refused = false;
  if (x->kind == SUBMIT) {
    refused = lua_getfield(L, -1, "refused") == LUA_TBOOLEAN && lua_toboolean(L, -1);
    lua_pop(L, 1);
    bool sent = x->sends > 0;
    lua_pushstring(L, !sent ? "no" : x->outcome == CURLE_OK ? "answered" : "maybe");
    lua_setfield(L, -2, "sent");
    if (sent && !refused) { // nobody knows whether it was charged: never again by itself
      lua_getfield(L, -1, "message");
      lua_pushfstring(L, "the outcome of this submit is unknown: %s", lua_tostring(L, -1));
      lua_setfield(L, -3, "message");
      lua_pop(L, 1);
      lua_pushliteral(L, "submit_unknown");
      lua_setfield(L, -2, "code");
      lua_pushboolean(L, 0);
      lua_setfield(L, -2, "retry");
      lua_pushliteral(L, "it may have been accepted and charged; look at the account's balance before you submit it again");
      lua_setfield(L, -2, "hint");
    }
  }
  lua_pushnil(L);
  lua_setfield(L, -2, "refused");
  double wait = retry_after(x); // also under HTTP 200, where the envelope can say 429
  if (wait >= 0) {
    if (wait == floor(wait))
      lua_pushinteger(L, (lua_Integer)wait);
    else
      lua_pushnumber(L, wait);
    lua_setfield(L, -2, "retry_after");
  }
  if (x->task_id) {
    lua_pushstring(L, x->task_id);
    lua_setfield(L, -2, "task_id");
  }
}

// A service that repeats the key must not bring it into an error, a log or a file. A very short key is no secret, and
// would spoil the answer.
static void redact_key(exchange *x) {
  const buffer *body = &x->slot->body;
  if (body->length > 0 && strlen(x->settings->key) >= 8) redact(body->data, body->length, x->settings->key);
}

static bool push_answer(lua_State *L, exchange *x) {
  redact_key(x);
  lua_pushlstring(L, x->slot->body.length ? x->slot->body.data : "", x->slot->body.length);
  int body = lua_gettop(L);
  bool fine = x->kind == QUERY ? answer_push_without_echo(L, x->status, body) : answer_push(L, x->status, body);
  if (!fine) return false;
  char *address = NULL;
  if (!x->proxied && curl_easy_getinfo(x->slot->easy, CURLINFO_PRIMARY_IP, &address) == CURLE_OK)
    network_learn(&x->settings->network, address); // it answered as the service does
  if (x->kind == SUBMIT && !task_id_push(L, -1)) {
    failure_push(L, "bad_answer", "the service said success and gave no valid task id", false);
    return false;
  }
  if (x->kind == QUERY) {
    // Into the table that the caller gave, or a new one; the text stays with it, for `raw`.
    int into = 2;
    if (!lua_istable(L, into)) {
      lua_createtable(L, 0, 8);
      into = lua_gettop(L);
      lua_insert(L, -2);
    }
    if (!task_fill(L, -1, into, x->task_id, strlen(x->task_id))) {
      lua_pushinteger(L, x->status);
      lua_setfield(L, -2, "status");
      return false;
    }
    lua_pushvalue(L, body);
    lua_setfield(L, into, "answer"); // a task handle has no __newindex
    lua_pushvalue(L, into);
  }
  return true;
}

static void set_redirect(lua_State *L, const exchange *x) {
  const char *location = exchange_redirect(x);
  if (!location) return;
  lua_pushstring(L, location);
  lua_setfield(L, -2, "redirect");
}

static bool push_download(lua_State *L, exchange *x) {
  bool whole = x->status == 200 || x->status == 206;
  if (x->file_error) {
    bool replaced = x->file_error == ESTALE;
    lua_pushfstring(L, replaced ? "%s was removed or replaced while it was written" : "%s can't be written: %s", download_part(x->file),
                    file_problem(x->file_error));
    failure_push(L, "io", lua_tostring(L, -1), replaced);
    lua_pushboolean(L, x->file_error == EEXIST);
    lua_setfield(L, -2, "exists");
  } else if (x->too_large) {
    failure_push(L, "too_large", "the file is larger than max_download_bytes allows", false);
  } else if (x->wrong_range) {
    failure_push(L, "bad_answer", "the server sent another part of the file than was asked for", true);
  } else if ((x->outcome == CURLE_OK || x->discarded) && !whole) {
    bool gone = x->status == 403 || x->status == 404 || x->status == 410;
    const char *said = x->status == 403 ? "the server refuses the file (HTTP %d)"
                       : gone           ? "the server no longer has the file (HTTP %d)"
                                        : "the server answered HTTP %d";
    lua_pushfstring(L, said, (int)x->status);
    failure_push(L, gone ? "media_gone" : "download_failed", lua_tostring(L, -1),
                 x->status >= 500 || x->status == 429 || x->status == 408 || x->status == 416);
    lua_pushinteger(L, x->status);
    lua_setfield(L, -2, "status");
    set_redirect(L, x);
  } else if (x->outcome == CURLE_OK && x->total >= 0 && download_offset(x->file) != x->total) {
    failure_push(L, "network", "the file is shorter than was said", true);
  } else if (x->outcome != CURLE_OK) {
    push_network_failure(L, x);
  } else {
    lua_pushinteger(L, download_offset(x->file));
    return true;
  }
  lua_pushinteger(L, x->wrong_range || x->status == 416 || x->file_error == ESTALE ? 0 : x->file ? download_offset(x->file) : 0);
  lua_setfield(L, -2, "offset");
  if (x->file) {
    char stamp[STAMP_SIZE];
    download_stamp(x->file, stamp);
    lua_pushstring(L, stamp);
    lua_setfield(L, -2, "stamp");
  }
  if (whole && exchange_validator(x)) {
    lua_pushstring(L, exchange_validator(x));
    lua_setfield(L, -2, "validator");
  }
  if (whole && !x->wrong_range && x->total >= 0) {
    lua_pushinteger(L, x->total);
    lua_setfield(L, -2, "total");
  }
  return false;
}

// What the storage said, after a colon; an empty string when it said nothing. failure_push cleans it.
static void push_said(lua_State *L, const easy_slot *slot) {
  if (slot->body.length == 0) {
    lua_pushliteral(L, "");
    return;
  }
  lua_pushliteral(L, ": ");
  lua_pushlstring(L, slot->body.data, slot->body.length);
  lua_concat(L, 2);
}

// A storage may answer before it has read all, and close: its refusal counts whatever the connection came to.
static bool push_upload(lua_State *L, exchange *x) {
  bool whole = upload_offset(x->source) == upload_size(x->source), gone = x->status == 403 || x->status == 404 || x->status == 410;
  if (x->file_error == ESTALE) {
    failure_push(L, "file_changed", "the file changed while it was uploaded", false);
  } else if (x->file_error) {
    lua_pushfstring(L, "the file can't be read: %s", strerror(x->file_error));
    failure_push(L, "io", lua_tostring(L, -1), false);
  } else if (x->status >= 300) {
    lua_pushfstring(L, "the upload was refused (HTTP %d)", (int)x->status);
    push_said(L, x->slot);
    lua_concat(L, 2);
    failure_push(L, gone ? "upload_expired" : "upload_failed", lua_tostring(L, -1),
                 gone || x->status >= 500 || x->status == 429 || x->status == 408);
    lua_pushinteger(L, x->status);
    lua_setfield(L, -2, "status");
    set_redirect(L, x);
  } else if (x->outcome != CURLE_OK) {
    push_network_failure(L, x);
  } else if (!whole) {
    failure_push(L, "network", "the upload was answered before all of the file was sent", true);
  } else {
    lua_pushinteger(L, upload_size(x->source));
    return true;
  }
  return false;
}

// Whatever it is: what it means is the caller's to say. A refusal counts though the rest of the answer broke off.
static bool push_post(lua_State *L, exchange *x) {
  if (x->outcome != CURLE_OK && x->status < 300) {
    push_network_failure(L, x);
    return false;
  }
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, x->status);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, x->slot->body.length ? x->slot->body.data : "", x->slot->body.length);
  lua_setfield(L, -2, "text");
  return true;
}

int exchange_push_result(lua_State *L, exchange *x) {
  bool fine;
  if (x->kind == DOWNLOAD && x->slot) {
    fine = push_download(L, x);
  } else if (x->kind == UPLOAD && x->slot) {
    fine = push_upload(L, x);
  } else if (x->kind == POST && x->slot) {
    fine = push_post(L, x);
  } else if (x->outcome == CURLE_OK && x->slot) {
    fine = push_answer(L, x);
  } else {
    push_network_failure(L, x);
    fine = false;
  }
  if (fine) return 1;
  set_failure(L, x);
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}
