// SPDX-License-Identifier: MIT
// One HTTP exchange. The functions that libcurl calls are plain C functions, which fill buffers and never use Lua.
#include "core/exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shared/ascii.h"

enum {
  MAX_EXCERPT = 1024,       // maximum number of bytes that omni keeps from the response to an upload or a post
  MAX_UNSENT = 64 * 1024,   // maximum number of unsent bytes that an upload keeps in the kernel's socket buffer
  // bytes per read. With pieces of this size, uploads are about 10% faster than with libcurl's default of 64 KiB. With even larger pieces,
  // a slow upload would report no progress for a long time.
  UPLOAD_PIECE = 96 * 1024,
};

// --- called by libcurl

// Appends bytes to the response's body. Returns the number of bytes that libcurl's write callback must return.
static size_t keep(transfer *t, const char *bytes, size_t kept, size_t length) {
  if (buffer_append(&t->body, bytes, kept)) return length;
  t->exchange->no_memory = true;
  return CURL_WRITEFUNC_ERROR;
}

// Counts the decompressed bytes, so that the maximum response size also applies to a response without Content-Length and to a compression
// bomb.
static size_t on_body(char *bytes, size_t one, size_t length, void *argument) {
  exchange *x = ((transfer *)argument)->exchange;
  (void)one;
  x->too_large = length > x->options->max_bytes - x->transfer->body.length;
  return x->too_large ? CURL_WRITEFUNC_ERROR : keep(x->transfer, bytes, length, length);
}

static bool count_header(exchange *x, size_t length) {
  x->header_bytes += length;
  x->too_large = x->header_bytes > EXCHANGE_MAX_HEADERS;
  return !x->too_large;
}

// Ends an upload when the response is a redirect, so that only the redirect's target receives the file.
static size_t on_header(char *line, size_t one, size_t length, void *argument) {
  exchange *x = ((transfer *)argument)->exchange;
  (void)one;
  if (!count_header(x, length)) return CURL_WRITEFUNC_ERROR;
  if (!x->source || length > 2 || line[0] != '\r') return length;
  curl_easy_getinfo(x->transfer->easy, CURLINFO_RESPONSE_CODE, &x->status);
  return exchange_redirect(x) ? CURL_WRITEFUNC_ERROR : length;
}

// libcurl calls on_send each time it is about to send the request. If the connection breaks before a response arrives, libcurl normally
// sends a POST a second time. The function on_send prevents a second POST for submit requests (docs/internals/at-most-once.md) and for
// every other call that may cost credits.
static int on_send(void *argument, char *to, char *from, int to_port, int from_port) {
  exchange *x = ((transfer *)argument)->exchange;
  (void)to, (void)from, (void)to_port, (void)from_port;
  return ++x->sends == 1 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

const char *exchange_header(const exchange *x, const char *name) {
  struct curl_header *found;
  return x->transfer && curl_easy_header(x->transfer->easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

const char *exchange_redirect(const exchange *x) {
  // a signed request must not follow a redirect, since no other server may receive the signature
  if (!x->options || x->options->signing.url) return NULL;
  bool redirect = x->status == 301 || x->status == 302 || x->status == 307 || x->status == 308 || (x->status == 303 && x->file);
  return redirect ? exchange_header(x, "Location") : NULL;
}

// Parses a Content-Range header: for "bytes 5-9/10", sets *first to 5 and *total to 10 (or to -1 for "*"). Returns false for any other
// text.
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

// Returns the response's strong ETag; if there is none, its Last-Modified header; if there is neither, NULL.
static const char *validator(const exchange *x) {
  const char *tag = exchange_header(x, "ETag");
  return tag && strncmp(tag, "W/", 2) != 0 ? tag : exchange_header(x, "Last-Modified");
}

const char *exchange_validator(const exchange *x) {
  return x->transfer && x->body_seen && !x->wrong_range ? validator(x) : NULL;
}

// Returns whether a 206 response continues the file whose beginning is on disk. The 206 response must be checked because a server may
// ignore the request's If-Range header.
static bool continues(exchange *x, int64_t first) {
  const char *now = validator(x);
  return first == x->asked_from && (!x->validator || !now || strcmp(x->validator, now) == 0) &&
         (x->expected_total < 0 || x->total < 0 || x->expected_total == x->total);
}

// When the first byte of a download's body arrives, determines the file offset at which the body belongs. Returns false if the body isn't a
// part of the file that the exchange downloads.
static bool place_body(exchange *x) {
  CURL *easy = x->transfer->easy;
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
  x->too_large = x->total > x->options->max_download_bytes;
  return !x->too_large;
}

static size_t on_file_body(char *bytes, size_t one, size_t length, void *argument) {
  exchange *x = ((transfer *)argument)->exchange;
  (void)one;
  if (!x->body_seen && !place_body(x)) return CURL_WRITEFUNC_ERROR;
  // discards the body of an error or a redirect; libcurl reports a redirect only after the response's whole body has arrived
  if (x->discarded) {
    x->header_bytes += length;
    return x->header_bytes <= EXCHANGE_MAX_HEADERS ? length : CURL_WRITEFUNC_ERROR;
  }
  x->too_large = download_offset(x->file) + (int64_t)length > x->options->max_download_bytes;
  if (x->too_large) return CURL_WRITEFUNC_ERROR;
  if (!download_write(x->file, bytes, length)) {
    x->file_error = errno;
    return CURL_WRITEFUNC_ERROR;
  }
  return length;
}

// Keeps the beginning of the response's body for the error message.
static size_t on_excerpt(char *bytes, size_t one, size_t length, void *argument) {
  transfer *t = argument;
  size_t room = MAX_EXCERPT - t->body.length;
  (void)one;
  return count_header(t->exchange, length) ? keep(t, bytes, length < room ? length : room, length) : CURL_WRITEFUNC_ERROR;
}

static size_t on_read(char *to, size_t one, size_t room, void *argument) {
  exchange *x = ((transfer *)argument)->exchange;
  ssize_t got = upload_read(x->source, to, one * room);
  if (got >= 0) return (size_t)got;
  x->file_error = errno;
  return CURL_READFUNC_ABORT;
}

// libcurl may restart an upload on its own, from the beginning of the file.
static int on_seek(void *argument, curl_off_t offset, int origin) {
  exchange *x = ((transfer *)argument)->exchange;
  return origin == SEEK_SET && upload_seek(x->source, offset) ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

// Limits the size of the socket's send buffer. A large buffer would accept many bytes immediately, and the upload would then report no
// progress for a long time.
static int on_socket(void *argument, curl_socket_t fd, curlsocktype purpose) {
  int most = MAX_UNSENT;
  (void)argument, (void)purpose;
  // if this call fails, the reported progress is merely less exact
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
  return CURL_SOCKOPT_OK;
}

// --- the kinds of exchanges

#define SET(option, value) fine = fine && curl_easy_setopt(easy, option, value) == CURLE_OK

static bool set_query(CURL *easy, const client_options *o) {
  bool fine = true;
  SET(CURLOPT_HTTPHEADER, o->key_headers);
  if (o->server) SET(CURLOPT_CURLU, o->server);
  return fine;
}

static bool set_download(CURL *easy, const client_options *o) {
  (void)o;
  return curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L * 1024) == CURLE_OK;
}

static bool set_upload(CURL *easy, const client_options *o) {
  bool fine = true;
  (void)o;
  SET(CURLOPT_UPLOAD, 1L);
  SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_PIECE);
  SET(CURLOPT_READFUNCTION, on_read);
  SET(CURLOPT_SEEKFUNCTION, on_seek);
  SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
  return fine;
}

// Each post uses a new connection and closes it at the end, since an idle connection would only take up one of the receiving server's
// connections.
static bool set_post(CURL *easy, const client_options *o) {
  (void)o;
  return curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
}

const exchange_kind exchange_submit = {
    .keyed = true, .costs = true, .timed = true, .on_body = on_body, .push_result = exchange_push_submit};
const exchange_kind exchange_query = {
    .keyed = true, .timed = true, .on_body = on_body, .set_options = set_query, .push_result = exchange_push_query};
const exchange_kind exchange_call = {
    .keyed = true, .timed = true, .varies = true, .on_body = on_body, .push_result = exchange_push_call};
const exchange_kind exchange_request = {
    .timed = true, .varies = true, .repeatable = true, .on_body = on_body, .push_result = exchange_push_request};
const exchange_kind exchange_download = {
    .on_body = on_file_body, .set_options = set_download, .push_result = exchange_push_download};
const exchange_kind exchange_upload = {
    .on_body = on_excerpt, .set_options = set_upload, .push_result = exchange_push_upload};
const exchange_kind exchange_post = {
    .timed = true, .varies = true, .on_body = on_excerpt, .set_options = set_post, .push_result = exchange_push_post};

// Sets the libcurl options that all exchanges of the same kind share.
static bool set_kind(CURL *easy, const exchange_kind *kind, const client_options *o) {
  bool fine = true;
  SET(CURLOPT_NOSIGNAL, 1L);
  SET(CURLOPT_QUICK_EXIT, 1L); // a name lookup that hangs must not delay closing the client
  SET(CURLOPT_PROTOCOLS_STR, "http,https");
  SET(CURLOPT_FOLLOWLOCATION, 0L);
  SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  SET(CURLOPT_CONNECTTIMEOUT_MS, o->connect_timeout_ms);
  SET(CURLOPT_HTTP_VERSION, o->http_version);
  SET(CURLOPT_HEADERFUNCTION, on_header);
  SET(CURLOPT_WRITEFUNCTION, kind->on_body);
  fine = fine && network_set_certificates(easy, &o->network) && signing_set(easy, &o->signing);
  if (kind->timed) SET(CURLOPT_TIMEOUT_MS, o->timeout_ms);
  if (kind->keyed) {
    SET(CURLOPT_ACCEPT_ENCODING, "gzip"); // makes libcurl decompress responses; doesn't send a header
    // Uses a small receive buffer, since libcurl allocates one for each transfer, and responses are small. Ignores errors, since libcurl
    // refuses to change the buffer size while the handle has a read buffer, for example after a failed name lookup.
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 1024L);
    SET(CURLOPT_HTTPHEADER, o->post_headers);
  } else {
    SET(CURLOPT_USERAGENT, o->user_agent);
  }
  // Uses each HTTP/2 connection without TLS only once, since libcurl 7.88.1 breaks such a connection at the second request (curl issue
  // 10634).
  if (o->http_version == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE) SET(CURLOPT_FORBID_REUSE, 1L);
  if (kind->set_options) fine = fine && kind->set_options(easy, o);
  return fine;
}

// --- setting up

bool exchange_may_connect(exchange *x, const struct sockaddr *address) {
  bool url_from_service = (x->file || x->source) && !x->options->signing.url;
  return !url_from_service || x->proxied || network_allows(&x->options->network, address, &x->refused);
}

bool exchange_prepare(exchange *x, transfer *t, bool (*after_reset)(transfer *t)) {
  const client_options *o = x->options;
  const exchange_kind *kind = x->kind;
  const char *proxy = kind->keyed ? o->proxy : network_proxy(&o->network, x->url);
  CURL *easy = t->easy;
  bool fine = true, reset = t->kind != kind || kind->varies;
  x->proxied = *proxy != '\0';
  if (reset) {
    curl_easy_reset(easy);
    fine = set_kind(easy, kind, o) && after_reset(t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERDATA, t);
    if (x->source) SET(CURLOPT_READDATA, t);
    if (x->source) SET(CURLOPT_SEEKDATA, t);
    t->kind = kind;
  }
  if (reset || !kind->keyed) fine = fine && network_set_proxy(easy, proxy);
  if (x->target)
    SET(CURLOPT_REQUEST_TARGET, x->target);
  else
    SET(CURLOPT_URL, x->url);
  if (x->body) {
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->body_length);
    SET(CURLOPT_POSTFIELDS, x->body); // libcurl keeps only a pointer to the body, which exists as long as the exchange
  }
  if (!kind->repeatable && (x->body || (x->method && strcmp(x->method, "GET") != 0))) { // libcurl must not send a request's body twice
    SET(CURLOPT_FRESH_CONNECT, 1L);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, t);
  }
  if (x->method) {
    if (!x->body) SET(CURLOPT_HTTPHEADER, o->key_headers);
    if (strcmp(x->method, "HEAD") == 0) SET(CURLOPT_NOBODY, 1L);
    else if (strcmp(x->method, x->body ? "POST" : "GET") != 0) SET(CURLOPT_CUSTOMREQUEST, x->method);
  }
  if (!kind->keyed) SET(CURLOPT_HTTPHEADER, x->own_headers);
  if (x->source) SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)upload_size(x->source));
  t->body.length = 0;
  t->error[0] = '\0';
  x->transfer = t;
  t->exchange = x;
  return fine;
}

#undef SET

// --- the end of an exchange

void exchange_finished(exchange *x, CURLcode outcome) {
  CURL *easy = x->transfer->easy;
  x->outcome = outcome;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &x->status);
  if (x->file && !x->body_seen && outcome == CURLE_OK && x->status == 200) place_body(x); // an empty file
}

void transfer_free(transfer *t) {
  if (t->easy) curl_easy_cleanup(t->easy);
  buffer_free(&t->body);
  free(t);
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
  x->options = NULL;
}
