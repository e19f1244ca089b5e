// SPDX-License-Identifier: MIT
// What the parts of omni.listener share: the listener (listener.c), its connections (connections.c), TLS (tls.c),
// the way of a request into it (request_intake.c, request_head.c), and the request in Lua's hands with its answer
// (request.c).
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

// What a connection does for which it has so long and no longer.
typedef enum {
  PHASE_FIRST_HEAD, // from its beginning (TLS too) to the end of its first request's headers
  PHASE_HEAD,       // from the end of an answer to the end of the next request's headers
  PHASE_BODY,       // from there to the end of its body
  PHASE_LEAVING,    // from a refusal to the end of the body that is refused
  PHASE_ANSWER,     // from the moment when the answer is known to the end of it
  PHASES,
  PHASE_NONE = PHASES, // the answer isn't known
} phase;

typedef struct {
  struct MHD_Daemon *daemon; // NULL: closed
  char host[INET6_ADDRSTRLEN];
  int port;
  size_t max_body, max_bodies, max_header;
  size_t bodies;               // bytes of the bodies of `requests`
  request *requests;           // those whose connection lives
  request *queue, **queue_end; // those that are complete and wait for `next`, oldest first
  unsigned long taken;         // counts what was taken off the queue, and its end
  double allowed[PHASES];      // seconds
  connection *first[PHASES], *last[PHASES]; // the connections of each phase: as all have the same time, the oldest is due first
  void *addresses;                     // connections by address: a tree of tsearch(3)
  unsigned max_per_address;
  credentials *credentials;        // of new connections; NULL: no TLS
  char *certificate, *key;         // paths; NULL: no TLS
  char *body_directory;            // where large bodies are kept; NULL: in memory
  bool run_again;                      // `step` has something to do although no descriptor tells
  bool closing;                    // only answers go on
  unsigned long calls;             // by libmicrohttpd, of any of our functions
  unsigned idle_steps;                 // steps on end without such a call
} listener;

// A connection. libmicrohttpd's socket context; lives from its beginning to its end.
struct connection {
  connection *next, *previous; // of its phase
  phase phase;
  double due; // by core.now()'s clock
  struct MHD_Connection *mhd;
  request *request;         // the one that is under way; NULL: none
  client_address *address;         // whose connection it is
  credentials *credentials; // in use by it; NULL: no TLS
};

typedef enum {
  REQUEST_BEGUN,     // its first line is there
  REQUEST_RECEIVING, // its headers are there and good
  REQUEST_REFUSED,   // answered already, while its body still comes, which is thrown away
  REQUEST_QUEUED,    // complete, its connection suspended, not yet in Lua's hands
  REQUEST_HELD,      // in Lua's hands, its connection suspended
  REQUEST_ANSWERED,  // its connection woken, to send `response`
  REQUEST_DROPPED,   // its connection woken, to be closed
} request_state;

// How the connection ends after it: as HTTP has it, closed, or closed by RST (for the injection of faults).
typedef enum { END_NORMALLY, END_CUT, END_RESET } request_end;

// Belongs to its connection and to its userdata, as long as each lives: the last of the two frees it.
struct request {
  request *next, *previous; // of those whose connection lives
  request *after;           // of those that are queued
  listener *listener;       // NULL: the connection is over
  connection *connection;               // NULL: the connection is over
  bool held;                // a userdata points here
  request_state state;
  request_end end;
  unsigned status;
  struct MHD_Response *response; // ours until the connection takes it
  char *method, *target;         // the target is cut at its query; the method may be missing before the headers are there
  size_t target_length;          // with its query
  const char *query;             // NULL: none
  buffer headers;                // name, NUL, value, NUL, ...
  buffer body;                   // moves into Lua's hands with the request
  char *file;                    // holds the body instead, and goes with the request; NULL: none
  int file_fd;                   // while the body comes
  size_t counted;                // of the listener's `bodies`
  size_t discarded;            // bytes of the body, once it is refused
  char address[INET6_ADDRSTRLEN];
};

// --- options

// Those that are whole numbers, and those that are seconds.
enum { PORT, MAX_BODY, MAX_BODIES, MAX_HEADER, MAX_CONNECTIONS, MAX_PER_ADDRESS, WHOLES };
enum { IDLE, HEADER, BODY, ANSWER, TIMES };

typedef struct {
  lua_Integer whole[WHOLES];
  double seconds[TIMES];
  const char *host, *certificate, *key; // the last two: NULL or both
  const char *body_directory;           // or NULL
} listener_options;

// The options in the table (or nothing) that is the only argument. Raises for what can't be used; the strings stay on the stack.
listener_options listener_check_options(lua_State *L);

// Raises when the table at `index` has a key that isn't among `known` (ended by NULL); `what` names the table.
void listener_check_keys(lua_State *L, int index, const char *const known[], const char *what);

// --- connections

// libmicrohttpd's callbacks (MHD_AcceptPolicyCallback, MHD_OPTION_NOTIFY_CONNECTION); `of` is the listener.
enum MHD_Result connection_admit(void *of, const struct sockaddr *address, socklen_t length);
void connection_notify(void *of, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what);

// Its time for this phase begins now.
void connection_enter(listener *l, connection *c, phase next);

// Shuts down the sockets of the connections whose time is over: the next MHD_run ends them.
void connection_expire(listener *l);

// Seconds until `peer_expire` has something to do: 0 or more, INFINITY for never.
double connection_wait(const listener *l);

// Ends the connection, now as far as the other side sees, with the next MHD_run in all. Not for one that is suspended.
void connection_shut(listener *l, connection *c);

// Its socket.
int connection_socket(const connection *c);

// --- TLS

// Reads a certificate (with its chain) and its key, both in PEM. NULL with a message when they can't be used. The caller
// has one use of it.
credentials *tls_load(const char *certificate, const char *key, char *message, size_t size);

// Another use of it; and its end: the last one frees it. NULL is let pass.
credentials *tls_use(credentials *c);
void tls_release(credentials *c);

// Lets a new connection use these. They must be in use until it is over.
void tls_attach(struct MHD_Connection *mhd, const credentials *c);

// What a server with TLS is started with, beside MHD_USE_TLS: for MHD_OPTION_ARRAY.
extern const struct MHD_OptionItem tls_options[];

// Sends, past libmicrohttpd, what the connection takes at once.
void tls_send(struct MHD_Connection *mhd, const char *data, size_t length);

// --- a request's way in

// libmicrohttpd's callbacks (MHD_OPTION_URI_LOG_CALLBACK, the access handler, MHD_OPTION_NOTIFY_COMPLETED); `of` is the listener.
void *request_intake_begin(void *of, const char *target, struct MHD_Connection *mhd);
enum MHD_Result request_intake_proceed(void *of, struct MHD_Connection *mhd, const char *path, const char *method, const char *version,
                               const char *data, size_t *length, void **context);
void request_intake_finish(void *of, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why);

// Parts a request from its connection, which lives still.
void request_intake_end(listener *l, request *r);

// Notes a request's method and headers. Returns the status that refuses the request, 0 for none, -1 without memory.
int request_head_take(request *r, const char *path, const char *method, const char *version);

// Tells whether it may be the name of a header. A NUL ends it where `length` doesn't.
bool request_head_is_token(const char *name, size_t length);

// --- a request in Lua's hands

// Makes the metatable of requests.
void request_open(lua_State *L);

// Pushes a userdata for the oldest queued request and takes it off the queue. False when there is none. Raises without memory, the queue
// untouched.
bool request_push(lua_State *L, listener *l);

// Wakes the suspended connection of a queued or held request, to do what `state` (answered or dropped) says.
void request_wake(request *r, request_state state);

// The response with a copy of this text, or a part of this file (length -1: the rest), as its body, which breaks off after
// `cut` bytes (-1: it doesn't). NULL without memory; NULL and `*why` when the file can't be sent.
struct MHD_Response *response_from_text(listener *l, const char *text, size_t length, lua_Integer cut);
struct MHD_Response *response_from_file(listener *l, const char *file, lua_Integer offset, lua_Integer length, lua_Integer cut,
                                      const char **why);

// Frees a body that nobody took, its file removed.
void request_free_body(request *r);

// Frees a request that neither a connection nor a userdata points to.
void request_free(request *r);

#endif
