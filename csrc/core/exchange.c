// SPDX-License-Identifier: MIT
// One HTTP exchange. The functions that libcurl calls are plain C: they fill buffers and never touch Lua.
#include "core/exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/ascii.h"

enum {
  MAX_SAID = 1024,          // bytes that are kept of what is said to an upload or a post
  MAX_UNSENT = 64 * 1024,   // bytes of an upload that the system holds and hasn't sent
  UPLOAD_PIECE = 96 * 1024, // bytes of an upload at a time: a tenth faster than libcurl's own 64 KiB; large ones look silent on a slow line
};

// --- called by libcurl

// Bytes are counted as they arrive, after decompression: neither a missing Content-Length nor a compressed bomb passes.
static size_t on_answer(char *bytes, size_t one, size_t length, void *argument) {
  exchange *x = ((easy_slot *)argument)->exchange;
  (void)one;
  x->too_large = length > x->settings->max_bytes - x->slot->body.length;
  return !x->too_large && buffer_append(&x->slot->body, bytes, length) ? length : CURL_WRITEFUNC_ERROR;
}

static bool count_header(exchange *x, size_t length) {
  x->header_bytes += length;
  x->too_large = x->header_bytes > EXCHANGE_MAX_HEADERS;
  return !x->too_large;
}

// A file isn't sent on to a server that has sent us elsewhere.
static size_t on_header(char *line, size_t one, size_t length, void *argument) {
  exchange *x = ((easy_slot *)argument)->exchange;
  (void)one;
  if (!count_header(x, length)) return CURL_WRITEFUNC_ERROR;
  if (x->kind != UPLOAD || length > 2 || line[0] != '\r') return length;
  curl_easy_getinfo(x->slot->easy, CURLINFO_RESPONSE_CODE, &x->status);
  return exchange_redirect(x) ? CURL_WRITEFUNC_ERROR : length;
}

// Called each time that libcurl is about to send a request that isn't a GET. It sends a POST again by itself when a connection
// dies unanswered; a submit must not be (docs/internals/at-most-once.md), nor any other call that may cost something.
static int on_send(void *argument, char *to, char *from, int to_port, int from_port) {
  exchange *x = ((easy_slot *)argument)->exchange;
  (void)to, (void)from, (void)to_port, (void)from_port;
  return ++x->sends == 1 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

const char *exchange_header(const exchange *x, const char *name) {
  struct curl_header *found;
  return x->slot && curl_easy_header(x->slot->easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

const char *exchange_redirect(const exchange *x) {
  bool leads = x->status == 301 || x->status == 302 || x->status == 307 || x->status == 308 || (x->status == 303 && x->kind == DOWNLOAD);
  return leads ? exchange_header(x, "Location") : NULL;
}

// "bytes 5-9/10" → first and total (-1 when it is "*"); false when it is anything else.
static bool parse_range(const char *text, int64_t *first, int64_t *total) {
  if (!text || !ascii_equal(text, "bytes ", 6)) return false;
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
static const char *validator(const exchange *x) {
  const char *tag = exchange_header(x, "ETag");
  return tag && strncmp(tag, "W/", 2) != 0 ? tag : exchange_header(x, "Last-Modified");
}

const char *exchange_validator(const exchange *x) {
  return x->slot && x->body_seen && !x->wrong_range ? validator(x) : NULL;
}

// Whether a 206 continues the very file that we have the beginning of; a server may forget about If-Range.
static bool continues(exchange *x, int64_t first) {
  const char *now = validator(x);
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
    x->wrong_range = !parse_range(exchange_header(x, "Content-Range"), &first, &x->total) || !continues(x, first);
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
    return x->header_bytes <= EXCHANGE_MAX_HEADERS ? length : CURL_WRITEFUNC_ERROR;
  }
  x->too_large = download_offset(x->file) + (int64_t)length > x->settings->max_download_bytes;
  if (x->too_large) return CURL_WRITEFUNC_ERROR;
  if (!download_write(x->file, bytes, length)) {
    x->file_error = errno;
    return CURL_WRITEFUNC_ERROR;
  }
  return length;
}

// Of what is said to an upload or a post only the beginning is kept, for people.
static size_t on_said(char *bytes, size_t one, size_t length, void *argument) {
  easy_slot *slot = argument;
  size_t room = MAX_SAID - slot->body.length;
  (void)one;
  return count_header(slot->exchange, length) && buffer_append(&slot->body, bytes, length < room ? length : room) ? length : CURL_WRITEFUNC_ERROR;
}

static size_t on_read(char *to, size_t one, size_t room, void *argument) {
  exchange *x = ((easy_slot *)argument)->exchange;
  ssize_t got = upload_read(x->source, to, one * room);
  if (got >= 0) return (size_t)got;
  x->file_error = errno;
  return CURL_READFUNC_ABORT;
}

// An upload may be sent again by libcurl itself, from its beginning.
static int on_seek(void *argument, curl_off_t offset, int origin) {
  exchange *x = ((easy_slot *)argument)->exchange;
  return origin == SEEK_SET && upload_seek(x->source, offset) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

// Without it megabytes are said to be on their way that a slow line hasn't sent, and it looks silent while it sends them.
static int on_socket(void *argument, curl_socket_t fd, curlsocktype purpose) {
  int most = MAX_UNSENT;
  (void)argument, (void)purpose;
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most); // a system that can't: only less exact
  return CURL_SOCKOPT_OK;
}

// --- setting up

// Goes to anybody, and so without the key.
static bool is_foreign(exchange_kind kind) {
  return kind == DOWNLOAD || kind == UPLOAD || kind == POST;
}

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
  fine = fine && network_set_certificates(easy, &s->network);
  if (kind == QUERY && s->server) SET(CURLOPT_CURLU, s->server);
  // A file has no time-out for the whole, however large it is; silence is noticed in lua/omni/http/exchange.lua.
  if (kind != DOWNLOAD && kind != UPLOAD) SET(CURLOPT_TIMEOUT_MS, s->timeout_ms);
  if (is_foreign(kind)) {
    SET(CURLOPT_USERAGENT, s->user_agent);
    SET(CURLOPT_WRITEFUNCTION, kind == DOWNLOAD ? on_media : on_said);
    if (kind == DOWNLOAD) SET(CURLOPT_BUFFERSIZE, 256L * 1024);
  } else {
    SET(CURLOPT_WRITEFUNCTION, on_answer);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip"); // decodes; the header line of that name is among ours
    // Allocated anew for each transfer; answers are small. Refused while a handle has one left (of this size), as it has
    // after a look-up that failed.
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
    SET(CURLOPT_HTTPHEADER, kind == QUERY ? s->key_headers : s->post_headers);
  }
  if (kind == UPLOAD) {
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_PIECE);
    SET(CURLOPT_READFUNCTION, on_read);
    SET(CURLOPT_SEEKFUNCTION, on_seek);
    SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
  }
  // libcurl 7.88.1 breaks such a connection with its second request (curl issue 10634). After a post there is none: each has a
  // connection of its own, and one kept idle would only take a place at its peer.
  if (kind == POST || s->http_version == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE) SET(CURLOPT_FORBID_REUSE, 1L);
#undef SET
  return fine;
}

bool exchange_may_connect(exchange *x, const struct sockaddr *address) {
  bool named_by_service = x->kind == DOWNLOAD || x->kind == UPLOAD;
  return !named_by_service || x->proxied || network_allows(&x->settings->network, address, &x->refused);
}

bool exchange_prepare(exchange *x, easy_slot *slot, bool (*fresh)(easy_slot *slot)) {
  const exchange_settings *s = x->settings;
  const char *proxy = is_foreign(x->kind) ? network_proxy(&s->network, x->url) : s->proxy;
  x->proxied = *proxy != '\0';
  bool fine = true, reset = slot->kind != x->kind || x->kind == CALL || x->kind == POST; // these differ in method and headers
#define SET(option, value) fine = fine && curl_easy_setopt(slot->easy, option, value) == CURLE_OK
  if (reset) {
    curl_easy_reset(slot->easy);
    fine = set_common(slot->easy, x->kind, s) && fresh(slot);
    SET(CURLOPT_ERRORBUFFER, slot->trouble);
    SET(CURLOPT_PRIVATE, slot);
    SET(CURLOPT_WRITEDATA, slot);
    SET(CURLOPT_HEADERDATA, slot);
    if (x->kind == UPLOAD) {
      SET(CURLOPT_READDATA, slot);
      SET(CURLOPT_SEEKDATA, slot);
    }
    slot->kind = x->kind;
  }
  if (reset || is_foreign(x->kind)) fine = fine && network_set_proxy(slot->easy, proxy);
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
  if (is_foreign(x->kind)) SET(CURLOPT_HTTPHEADER, x->own_headers);
  if (x->kind == UPLOAD) SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)upload_size(x->source));
#undef SET
  slot->body.length = 0;
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
  buffer_free(&slot->body);
  free(slot);
}

void exchange_release(exchange *x) {
  free(x->url);
  free(x->target);
  free(x->body);
  free(x->task_id);
  free(x->validator);
  download_close(x->file);
  upload_close(x->source);
  curl_slist_free_all(x->own_headers);
  x->url = x->target = x->body = x->task_id = x->validator = NULL;
  x->file = NULL;
  x->source = NULL;
  x->own_headers = NULL;
  x->settings = NULL;
}
