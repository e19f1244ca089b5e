// SPDX-License-Identifier: MIT
// One HTTP exchange. The functions that libcurl calls are plain C: they fill buffers and never touch Lua.
#include "exchange.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"
#include "task.h"

enum {
  MAX_HEADER_BYTES = 256 * 1024, // of one answer, all its header lines together
  KEPT_ROOM = 64 * 1024,         // a larger buffer is given back after its exchange
};

// --- called by libcurl

static bool append(easy_slot *slot, const char *bytes, size_t length) {
  if (slot->room - slot->length < length) {
    size_t room = slot->room ? slot->room : 4096;
    while (room - slot->length < length) room *= 2;
    char *answer = realloc(slot->answer, room);
    if (!answer) return false;
    slot->answer = answer, slot->room = room;
  }
  memcpy(slot->answer + slot->length, bytes, length);
  slot->length += length;
  return true;
}

// Bytes are counted as they arrive, after decompression: neither a missing Content-Length nor a compressed bomb passes.
static size_t on_answer(char *bytes, size_t one, size_t length, void *argument) {
  exchange *x = ((easy_slot *)argument)->exchange;
  (void)one;
  x->too_large = length > x->settings->max_bytes - x->slot->length;
  return !x->too_large && append(x->slot, bytes, length) ? length : CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *line, size_t one, size_t length, void *argument) {
  exchange *x = ((easy_slot *)argument)->exchange;
  (void)line, (void)one;
  x->header_bytes += length;
  x->too_large = x->header_bytes > MAX_HEADER_BYTES;
  return x->too_large ? CURL_WRITEFUNC_ERROR : length;
}

// Called each time that libcurl is about to send a request that isn't a GET. It sends a POST again by itself when a connection
// dies unanswered; a submit must not be (docs/architecture.md, "At most once"), nor any other call that may cost something.
static int on_send(void *argument, char *to, char *from, int to_port, int from_port) {
  exchange *x = ((easy_slot *)argument)->exchange;
  (void)to, (void)from, (void)to_port, (void)from_port;
  return ++x->sends == 1 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static const char *header(CURL *easy, const char *name) {
  struct curl_header *found;
  return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

// "bytes 5-9/10" → first and total (-1 when it is "*"); false when it is anything else.
static bool parse_range(const char *text, int64_t *first, int64_t *total) {
  if (!text || strncasecmp(text, "bytes ", 6) != 0) return false;
  char *end;
  errno = 0;
  *first = strtoll(text + 6, &end, 10);
  if (errno || end == text + 6 || *end != '-') return false;
  strtoll(end + 1, &end, 10);
  if (errno || *end != '/') return false;
  if (strcmp(end + 1, "*") == 0) return *total = -1, true;
  *total = strtoll(end + 1, &end, 10);
  return !errno && *end == '\0' && *total >= 0 && *first >= 0;
}

// The strong ETag, else the date; what a resumed download is compared with.
static const char *validator(CURL *easy) {
  const char *tag = header(easy, "ETag");
  return tag && strncmp(tag, "W/", 2) != 0 ? tag : header(easy, "Last-Modified");
}

const char *exchange_validator(const exchange *x) {
  return x->slot && x->body_seen && !x->wrong_range ? validator(x->slot->easy) : NULL;
}

// Whether a 206 continues the very file that we have the beginning of; a server may forget about If-Range.
static bool continues(exchange *x, int64_t first) {
  const char *now = validator(x->slot->easy);
  return first == x->asked_from && (!x->validator || !now || strcmp(x->validator, now) == 0) &&
         (x->expected_total < 0 || x->total < 0 || x->expected_total == x->total);
}

// The first byte of a body tells where the rest belongs. False when it doesn't belong into the file.
static bool place_body(exchange *x) {
  CURL *easy = x->slot->easy;
  curl_off_t length = -1;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &x->status);
  curl_easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  x->body_seen = true;
  if (x->status == 206) {
    int64_t first;
    x->wrong_range = !parse_range(header(easy, "Content-Range"), &first, &x->total) || !continues(x, first);
    if (x->wrong_range) return false;
  } else if (x->status == 200) {
    x->total = length;
    if (!download_restart(x->file)) {
      x->file_error = errno;
      return false;
    }
  } else {
    x->discarded = true;
  }
  x->too_large = x->total > x->settings->max_download_bytes;
  return !x->too_large;
}

static size_t on_media(char *bytes, size_t one, size_t length, void *argument) {
  exchange *x = ((easy_slot *)argument)->exchange;
  (void)one;
  if (!x->body_seen && !place_body(x)) return CURL_WRITEFUNC_ERROR;
  if (x->discarded) { // an error's or a redirect's page; libcurl tells where a redirect leads only after its whole
    x->header_bytes += length;
    return x->header_bytes <= MAX_HEADER_BYTES ? length : CURL_WRITEFUNC_ERROR;
  }
  x->too_large = download_offset(x->file) + (int64_t)length > x->settings->max_download_bytes;
  if (x->too_large) return CURL_WRITEFUNC_ERROR;
  if (!download_write(x->file, bytes, length)) {
    x->file_error = errno;
    return CURL_WRITEFUNC_ERROR;
  }
  return length;
}

// --- setting up

// What all exchanges of a kind have in common; set once for a slot.
static bool set_common(CURL *easy, exchange_kind kind, const exchange_settings *s) {
  bool fine = true;
#define SET(option, value) fine = fine && curl_easy_setopt(easy, option, value) == CURLE_OK
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_QUICK_EXIT, 1L); // a hanging name look-up must not hold up a close
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_CONNECTTIMEOUT_MS, s->connect_timeout_ms);
  SET(CURLOPT_HTTP_VERSION, s->http_version);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  if (s->proxy) SET(CURLOPT_PROXY, s->proxy);
  if (s->proxy || s->direct) SET(CURLOPT_NOPROXY, s->proxy ? "" : "*"); // nothing out of the environment
  if (s->ca_file) SET(CURLOPT_CAINFO, s->ca_file);
  if (kind == QUERY && s->server) SET(CURLOPT_CURLU, s->server);
  if (kind == DOWNLOAD) {
    SET(CURLOPT_USERAGENT, s->user_agent);
    SET(CURLOPT_WRITEFUNCTION, on_media);
    // No time-out for the whole, however large it is; silence is noticed in lua/omni/exchange.lua.
    SET(CURLOPT_BUFFERSIZE, 256L * 1024);
  } else {
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_TIMEOUT_MS, s->timeout_ms);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip"); // decodes; the header line of that name is among ours
    // Allocated anew for each transfer; answers are small. Refused while a handle has one left (of this size), as it has
    // after a look-up that failed.
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
    SET(CURLOPT_HTTPHEADER, kind == QUERY ? s->key_headers : s->post_headers);
  }
  // libcurl 7.88.1 breaks such a connection with its second request (curl issue 10634).
  if (s->http_version == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE) SET(CURLOPT_FORBID_REUSE, 1L);
#undef SET
  return fine;
}

bool exchange_prepare(exchange *x, easy_slot *slot, bool (*fresh)(CURL *easy, void *argument), void *argument) {
  const exchange_settings *s = x->settings;
  bool fine = true;
#define SET(option, value) fine = fine && curl_easy_setopt(slot->easy, option, value) == CURLE_OK
  if (slot->kind != x->kind || x->kind == CALL) { // calls differ in method and body: always from the beginning
    curl_easy_reset(slot->easy);
    fine = set_common(slot->easy, x->kind, s) && fresh(slot->easy, argument);
    SET(CURLOPT_ERRORBUFFER, slot->trouble);
    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_WRITEDATA, slot);
    SET(CURLOPT_HEADERDATA, slot);
    slot->kind = x->kind;
  }
  if (x->target)
    SET(CURLOPT_REQUEST_TARGET, x->target);
  else
    SET(CURLOPT_URL, x->url);
  if (x->body) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_length);
    SET(CURLOPT_POSTFIELDS, x->body); // not copied: it lives as long as the exchange
  }
  if (x->body || (x->kind == CALL && strcmp(x->method, "GET") != 0)) { // libcurl must not send it again by itself
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, slot);
  }
  if (x->kind == CALL) {
    if (!x->body) SET(CURLOPT_HTTPHEADER, s->key_headers);
    if (strcmp(x->method, x->body ? "POST" : "GET") != 0) SET(CURLOPT_CUSTOMREQUEST, x->method);
  }
  if (x->kind == DOWNLOAD) SET(CURLOPT_HTTPHEADER, x->range_headers);
#undef SET
  slot->length = 0;
  slot->trouble[0] = '\0';
  x->slot = slot;
  slot->exchange = x;
  return fine;
}

// --- the end

void exchange_finished(exchange *x, CURLcode outcome) {
  CURL *easy = x->slot->easy;
  x->outcome = outcome;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &x->status);
  if (x->kind == DOWNLOAD && !x->body_seen && outcome == CURLE_OK && x->status == 200) place_body(x); // an empty file
}

void slot_free(easy_slot *slot) {
  if (slot->easy) curl_easy_cleanup(slot->easy);
  free(slot->answer);
  free(slot);
}

void exchange_release(exchange *x) {
  free(x->url);
  free(x->target);
  free(x->body);
  free(x->task_id);
  free(x->validator);
  download_close(x->file);
  curl_slist_free_all(x->range_headers);
  x->url = x->target = x->body = x->task_id = x->validator = NULL;
  x->file = NULL;
  x->range_headers = NULL;
  x->settings = NULL;
}

// --- for Lua

static void push_network_failure(lua_State *L, exchange *x) {
  const char *trouble = x->slot && x->slot->trouble[0] ? x->slot->trouble : curl_easy_strerror(x->outcome);
  // What time doesn't heal.
  bool final = x->outcome == CURLE_PEER_FAILED_VERIFICATION || x->outcome == CURLE_SSL_CACERT_BADFILE ||
               x->outcome == CURLE_OUT_OF_MEMORY || x->outcome == CURLE_FAILED_INIT;
  if (x->too_large) {
    lua_pushfstring(L, "the answer is larger than %d bytes",
                    (int)(x->header_bytes > MAX_HEADER_BYTES ? MAX_HEADER_BYTES : x->settings ? x->settings->max_bytes : 0));
    failure_push(L, "too_large", lua_tostring(L, -1), x->kind != DOWNLOAD);
  } else if (x->outcome == CURLE_ABORTED_BY_CALLBACK && x->sends > 1) {
    failure_push(L, "network", "the connection broke before an answer came", true);
  } else {
    failure_push(L, "network", trouble, !final);
  }
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
  curl_off_t wait = 0; // also under HTTP 200, where the envelope can say 429
  if (x->slot && header(x->slot->easy, "Retry-After") &&
      curl_easy_getinfo(x->slot->easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK) {
    lua_pushinteger(L, wait);
    lua_setfield(L, -2, "retry_after");
  }
  if (x->task_id) {
    lua_pushstring(L, x->task_id);
    lua_setfield(L, -2, "task_id");
  }
}

// A service that repeats the key must not bring it into an error, a log or a file. A very short key is no secret, and
// would spoil the answer.
static void blot_out_key(exchange *x) {
  size_t length = strlen(x->settings->key);
  if (length < 8) return;
  char *at = x->slot->answer, *end = at + x->slot->length;
  while (at && (at = memmem(at, (size_t)(end - at), x->settings->key, length))) memset(at, '*', length);
}

static bool push_answer(lua_State *L, exchange *x) {
  blot_out_key(x);
  lua_pushlstring(L, x->slot->answer ? x->slot->answer : "", x->slot->length);
  int body = lua_gettop(L);
  bool fine = x->kind == QUERY ? answer_push_without_echo(L, x->status, body) : answer_push(L, x->status, body);
  if (!fine) return false;
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

static bool push_download(lua_State *L, exchange *x) {
  CURL *easy = x->slot->easy;
  bool whole = x->status == 200 || x->status == 206;
  if (x->file_error) {
    lua_pushfstring(L, "the file can't be written: %s", strerror(x->file_error));
    failure_push(L, "io", lua_tostring(L, -1), false);
  } else if (x->too_large) {
    failure_push(L, "too_large", "the file is larger than max_download_bytes allows", false);
  } else if (x->wrong_range) {
    failure_push(L, "bad_answer", "the server sent another part of the file than was asked for", true);
  } else if ((x->outcome == CURLE_OK || x->discarded) && !whole) {
    char *redirect = NULL;
    curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
    bool gone = x->status == 403 || x->status == 404 || x->status == 410;
    lua_pushfstring(L, gone ? "the file is not there any more (HTTP %d)" : "the server answered HTTP %d", (int)x->status);
    failure_push(L, gone ? "media_gone" : "download_failed", lua_tostring(L, -1),
                 x->status >= 500 || x->status == 429 || x->status == 408 || x->status == 416);
    lua_pushinteger(L, x->status);
    lua_setfield(L, -2, "status");
    if (redirect && x->status >= 300 && x->status < 400) {
      lua_pushstring(L, redirect);
      lua_setfield(L, -2, "redirect");
    }
  } else if (x->outcome == CURLE_OK && x->total >= 0 && download_offset(x->file) != x->total) {
    failure_push(L, "network", "the file is shorter than was said", true);
  } else if (x->outcome != CURLE_OK) {
    push_network_failure(L, x);
  } else {
    lua_pushinteger(L, download_offset(x->file));
    return true;
  }
  lua_pushinteger(L, x->wrong_range || x->status == 416 ? 0 : x->file ? download_offset(x->file) : 0);
  lua_setfield(L, -2, "offset");
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

int exchange_push_result(lua_State *L, exchange *x) {
  bool fine;
  if (x->kind == DOWNLOAD && x->slot) {
    fine = push_download(L, x);
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
