// SPDX-License-Identifier: MIT
// Declarations shared by the files of omni.listener: the listener (listener.c), its connections (connections.c), TLS (tls.c), incoming
// requests (request_intake.c, request_head.c), expected callbacks (expected_callback.c), and the request objects in Lua (request.c,
// response_body.c).
#ifndef OMNI_LISTENER_H
#define OMNI_LISTENER_H

#include <lua.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "shared/buffer.h"

typedef struct request request;
typedef struct connection connection;
typedef struct client_address client_address;
typedef struct credentials credentials;

// The phases of a connection that have a deadline.
typedef enum {
  PHASE_FIRST_HEAD, // from the start of the connection, including the TLS handshake, to the end of the first request's headers
  PHASE_HEAD,       // from the end of a response to the end of the next request's headers
  PHASE_BODY,       // from the end of the headers to the end of the body
  PHASE_LEAVING,    // from the refusal of a request to the end of its body, which is discarded
  PHASE_ANSWER,     // from the moment when Lua responds until the response is sent
  PHASES,
  PHASE_NONE = PHASES, // waits for Lua's response
} phase;

typedef struct {
  struct MHD_Daemon *daemon; // NULL: closed
  char host[INET6_ADDRSTRLEN];
  int port;
  size_t max_body, max_bodies, max_header;
  size_t bodies;               // the total size in bytes of all requests' bodies
  request *requests;           // the requests whose connection is open
  request *queue, **queue_end; // complete requests that `next` hasn't returned, oldest first
  unsigned long taken;         // a counter that changes when a request leaves the queue and when the listener closes
  double allowed[PHASES];      // seconds
  connection *first[PHASES], *last[PHASES]; // the connections in each phase; the one with the earliest deadline is first
  void *addresses;                     // a tree (tsearch) of client_address structs, ordered by address
  unsigned max_per_address;
  void *expected;                 // a tree (tsearch) of expected_callback structs, ordered by digest
  lua_Integer last_expected;      // the number of the last expected callback
  struct MHD_Response *accepted;  // the response to expected callbacks; NULL until the first expected callback is registered
  buffer arrivals;                // the expected callbacks that have arrived, as expected_arrival structs
  size_t arrivals_read;           // how many bytes of `arrivals` have been returned to Lua
  credentials *credentials;        // the certificate and key for new connections; NULL: without TLS
  char *certificate, *key;         // paths; NULL: no TLS
  char *body_directory;            // the directory for large bodies; NULL: all bodies stay in memory
  bool run_again;                      // whether `step` has work to do although the descriptor isn't readable
  bool closing;                    // whether the listener is closing, and only sends its remaining responses
  unsigned long calls;             // how many times libmicrohttpd has called the listener's callbacks
  unsigned idle_steps;                 // the number of consecutive steps during which `calls` hasn't changed
} listener;

// A connection. libmicrohttpd's socket context for a connection points to this struct until the connection ends.
struct connection {
  connection *next, *previous; // neighbours in the list of the connections in the same phase
  phase phase;
  double due; // the phase's deadline, in seconds on clock_now's clock
  struct MHD_Connection *mhd;
  request *request;         // the current request, or NULL
  client_address *address;         // the client address whose count includes this connection
  credentials *credentials; // the certificate and key of this connection; NULL: without TLS
};

typedef enum {
  REQUEST_BEGUN,     // the request line has arrived
  REQUEST_RECEIVING, // the headers have arrived and are valid
  REQUEST_REFUSED,   // the refusal was sent; the rest of the body is discarded
  REQUEST_QUEUED,    // complete and in the queue; its connection is suspended
  REQUEST_HELD,      // Lua has the request; its connection is suspended
  REQUEST_ANSWERED,  // the connection has been resumed in order to send `response`
  REQUEST_DROPPED,   // the connection has been resumed in order to close it
} request_state;

// How a connection ends after a request: as HTTP requires, with an early close, or with a TCP reset (RST). END_CUT and END_RESET are for
// fault injection.
typedef enum { END_NORMALLY, END_CUT, END_RESET } request_end;

// A request belongs to its connection and to its Lua userdata; whichever of them ends last frees the request.
struct request {
  request *next, *previous; // neighbours in the list of requests with an open connection
  request *after;           // the next request in the queue
  listener *listener;       // NULL: the connection has ended
  connection *connection;               // NULL: the connection has ended
  bool held;                // whether a Lua userdata points to the request
  request_state state;
  request_end end;
  unsigned status;
  struct MHD_Response *response; // belongs to the request until the connection takes it
  char *method, *target;         // `target` ends before the query; `method` may be NULL until the headers have arrived
  size_t target_length;          // including the query
  const char *query;             // NULL: none
  buffer headers;                // the headers' names and values, each followed by a NUL
  buffer body;                   // moved into a Lua string when Lua takes the request
  char *file;                    // path of the file that contains the body; deleted with the request; NULL: the body is in memory
  int file_fd;                   // the descriptor of `file`, open until the body is complete
  size_t counted;                // how many bytes of this body are included in the listener's `bodies`
  size_t discarded;            // number of body bytes that have been discarded since the request was refused
  char address[INET6_ADDRSTRLEN];
};

// --- options

// Indexes in the arrays `whole` (options that are whole numbers) and `seconds` (options in seconds).
enum { PORT, MAX_BODY, MAX_BODIES, MAX_HEADER, MAX_CONNECTIONS, MAX_PER_ADDRESS, WHOLES };
enum { IDLE, HEADER, BODY, ANSWER, TIMES };

typedef struct {
  lua_Integer whole[WHOLES];
  double seconds[TIMES];
  const char *host, *certificate, *key; // `certificate` and `key` are paths, and either both set or both NULL
  const char *body_directory;           // or NULL
} listener_options;

// Reads the options from the only argument, which is a table or nil. Raises an error for an invalid option. The strings in the result stay
// on the stack.
listener_options listener_check_options(lua_State *L);

// --- connections

// libmicrohttpd calls these functions (MHD_AcceptPolicyCallback, MHD_OPTION_NOTIFY_CONNECTION); `of` is the listener.
enum MHD_Result connection_admit(void *of, const struct sockaddr *address, socklen_t length);
void connection_notify(void *of, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what);

// Moves a connection to a phase, and sets the phase's deadline.
void connection_enter(listener *l, connection *c, phase next);

// Shuts down the sockets of connections whose deadline has passed; the next MHD_run closes the connections.
void connection_expire(listener *l);

// Returns the number of seconds until any connection's next deadline: 0 or more, or INFINITY if there is no deadline.
double connection_wait(const listener *l);

// Shuts down the connection's socket; the next MHD_run closes it. The connection must not be suspended.
void connection_shut(listener *l, connection *c);

// Returns the connection's socket.
int connection_socket(const connection *c);

// --- TLS

// Reads a certificate (with its chain) and its key, both in PEM. Returns the credentials with one reference; on failure, writes a message
// and returns NULL.
credentials *tls_load(const char *certificate, const char *key, char *message, size_t size);

// The function tls_use adds a reference. The function tls_release drops a reference, and frees the credentials when the last reference is
// dropped. Both accept NULL.
credentials *tls_use(credentials *c);
void tls_release(credentials *c);

// Makes a new connection use these credentials. The connection must hold a reference to the credentials.
void tls_attach(struct MHD_Connection *mhd, const credentials *c);

// The options that libmicrohttpd needs for TLS in addition to MHD_USE_TLS; pass them as MHD_OPTION_ARRAY.
extern const struct MHD_OptionItem tls_options[];

// Sends bytes on a TLS connection directly, bypassing libmicrohttpd. Sends only as many bytes as it can without waiting.
void tls_send(struct MHD_Connection *mhd, const char *data, size_t length);

// --- incoming requests

// libmicrohttpd calls these functions (MHD_OPTION_URI_LOG_CALLBACK, the access handler, MHD_OPTION_NOTIFY_COMPLETED); `of` is the listener.
void *request_intake_begin(void *of, const char *target, struct MHD_Connection *mhd);
enum MHD_Result request_intake_proceed(void *of, struct MHD_Connection *mhd, const char *path, const char *method, const char *version,
                               const char *data, size_t *length, void **context);
void request_intake_finish(void *of, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why);

// Ends a request. The request's connection stays open, except after END_CUT or END_RESET.
void request_intake_end(listener *l, request *r);

// Stores a request's method and headers. Returns 0, or the HTTP status with which to refuse the request, or -1 when memory runs out.
int request_head_take(request *r, const char *path, const char *method, const char *version);

// Returns whether the string is a valid header name. A string with a NUL is invalid.
bool request_head_is_token(const char *name, size_t length);

// --- expected callbacks

// If a complete request is an expected callback, adds it to `arrivals` and returns true. Returns false if the request isn't an expected
// callback, or if memory runs out.
bool expected_callback_accept(listener *l, request *r);

// Lua methods of a listener; the caller must first check that the listener is at index 1 of the Lua stack.
int expected_callback_add(lua_State *L, listener *l);
int expected_callback_remove(lua_State *L, listener *l);
int expected_callback_next(lua_State *L, listener *l);

// Frees all memory that expected callbacks use. Idempotent.
void expected_callback_free(listener *l);

// --- requests in Lua

// Registers the Lua class of request objects.
void request_open(lua_State *L);

// Takes the oldest request off the queue and pushes a userdata for it. Returns false if the queue is empty. When memory runs out, raises
// an error and leaves the queue unchanged.
bool request_push(lua_State *L, listener *l);

// Resumes the suspended connection of a queued or held request. `state` is REQUEST_ANSWERED or REQUEST_DROPPED.
void request_wake(request *r, request_state state);

// response_from_text returns a response whose body is a copy of a string; response_from_file returns one whose body is a part of a file
// (length -1: the rest of the file). The body ends early, after `cut` bytes, unless `cut` is -1. Both functions return NULL when memory
// runs out. If the file can't be read, response_from_file returns NULL and sets `*why`.
struct MHD_Response *response_from_text(listener *l, const char *text, size_t length, lua_Integer cut);
struct MHD_Response *response_from_file(listener *l, const char *file, lua_Integer offset, lua_Integer length, lua_Integer cut,
                                      const char **why);

// Frees a request's body, and removes the file that contains the body.
void request_free_body(request *r);

// Frees a request that has neither a connection nor a userdata.
void request_free(request *r);

#endif
