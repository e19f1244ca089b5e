// SPDX-License-Identifier: MIT
// Declarations shared by the files of omni.listener: the listener (listener.c), its connections (connections.c), TLS (tls.c), incoming
// requests (request_intake.c, request_head.c), and the request as Lua sees it (request.c, response_body.c).
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
  PHASE_FIRST_HEAD, // from the connection's start, with TLS, to the end of the first request's headers
  PHASE_HEAD,       // from the end of a response to the end of the next request's headers
  PHASE_BODY,       // from the end of the headers to the end of the body
  PHASE_LEAVING,    // from a refusal to the end of the refused body
  PHASE_ANSWER,     // from the moment when the answer is known until it is sent
  PHASES,
  PHASE_NONE = PHASES, // waits for Lua's answer
} phase;

typedef struct {
  struct MHD_Daemon *daemon; // NULL: closed
  char host[INET6_ADDRSTRLEN];
  int port;
  size_t max_body, max_bodies, max_header;
  size_t bodies;               // total bytes of the bodies of `requests`
  request *requests;           // those with an open connection
  request *queue, **queue_end; // complete requests that `next` hasn't returned, oldest first
  unsigned long taken;         // changes when a request leaves the queue, and when the listener closes
  double allowed[PHASES];      // seconds
  connection *first[PHASES], *last[PHASES]; // the connections in each phase, oldest deadline first
  void *addresses;                     // client_address by address: a tree of tsearch(3)
  unsigned max_per_address;
  credentials *credentials;        // for new connections; NULL: no TLS
  char *certificate, *key;         // paths; NULL: no TLS
  char *body_directory;            // the folder for large bodies; NULL: all bodies stay in memory
  bool run_again;                      // `step` has work although the descriptor isn't readable
  bool closing;                    // only answers are still sent
  unsigned long calls;             // how often libmicrohttpd has called our functions
  unsigned idle_steps;                 // consecutive steps without such a call
} listener;

// A connection: libmicrohttpd's socket context, from its start to its end.
struct connection {
  connection *next, *previous; // in the same phase
  phase phase;
  double due; // the phase's deadline, by clock_now
  struct MHD_Connection *mhd;
  request *request;         // the current request, or NULL
  client_address *address;         // the address that it counts for
  credentials *credentials; // the ones that it uses; NULL: no TLS
};

typedef enum {
  REQUEST_BEGUN,     // the request line has arrived
  REQUEST_RECEIVING, // the headers have arrived and are valid
  REQUEST_REFUSED,   // already answered; the rest of its body is discarded
  REQUEST_QUEUED,    // complete and in the queue; its connection is suspended
  REQUEST_HELD,      // returned to Lua; its connection is suspended
  REQUEST_ANSWERED,  // its connection is resumed, to send `response`
  REQUEST_DROPPED,   // its connection is resumed, to be closed
} request_state;

// How the connection ends after the request: as HTTP says, by closing it, or by RST (for fault injection).
typedef enum { END_NORMALLY, END_CUT, END_RESET } request_end;

// Shared by its connection and its userdata. The last of the two frees it.
struct request {
  request *next, *previous; // of the requests with an open connection
  request *after;           // the next one in the queue
  listener *listener;       // NULL: the connection has ended
  connection *connection;               // NULL: the connection has ended
  bool held;                // a userdata points to it
  request_state state;
  request_end end;
  unsigned status;
  struct MHD_Response *response; // owned until the connection takes it
  char *method, *target;         // the target without its query; the method may be missing until the headers have arrived
  size_t target_length;          // including the query
  const char *query;             // NULL: none
  buffer headers;                // name, NUL, value, NUL, ...
  buffer body;                   // moves into a Lua string with the request
  char *file;                    // the file that holds the body instead, deleted with the request; NULL: none
  int file_fd;                   // open until the body is complete
  size_t counted;                // bytes counted in the listener's `bodies`
  size_t discarded;            // bytes of the body since it was refused
  char address[INET6_ADDRSTRLEN];
};

// --- options

// The options that are whole numbers, and those that are seconds.
enum { PORT, MAX_BODY, MAX_BODIES, MAX_HEADER, MAX_CONNECTIONS, MAX_PER_ADDRESS, WHOLES };
enum { IDLE, HEADER, BODY, ANSWER, TIMES };

typedef struct {
  lua_Integer whole[WHOLES];
  double seconds[TIMES];
  const char *host, *certificate, *key; // certificate and key: both or none
  const char *body_directory;           // or NULL
} listener_options;

// Reads the options from the only argument, a table or nil. Raises for an invalid option. The strings stay on the stack.
listener_options listener_check_options(lua_State *L);

// --- connections

// Callbacks for libmicrohttpd (MHD_AcceptPolicyCallback, MHD_OPTION_NOTIFY_CONNECTION); `of` is the listener.
enum MHD_Result connection_admit(void *of, const struct sockaddr *address, socklen_t length);
void connection_notify(void *of, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what);

// Enters a phase, and sets its deadline.
void connection_enter(listener *l, connection *c, phase next);

// Shuts down the sockets of connections past their deadline; the next MHD_run closes them.
void connection_expire(listener *l);

// Returns the seconds until connection_expire has work: 0 or more, INFINITY for never.
double connection_wait(const listener *l);

// Shuts down the connection's socket; the next MHD_run closes it. Don't call it for a suspended connection.
void connection_shut(listener *l, connection *c);

// Returns the connection's socket.
int connection_socket(const connection *c);

// --- TLS

// Reads a certificate (with its chain) and its key, both in PEM. Returns one reference, or NULL and a message.
credentials *tls_load(const char *certificate, const char *key, char *message, size_t size);

// Adds a reference. tls_release drops one, and frees the credentials with the last one. Both accept NULL.
credentials *tls_use(credentials *c);
void tls_release(credentials *c);

// Makes a new connection use these credentials. The connection must hold a reference.
void tls_attach(struct MHD_Connection *mhd, const credentials *c);

// The options of a TLS server, for MHD_OPTION_ARRAY, in addition to MHD_USE_TLS.
extern const struct MHD_OptionItem tls_options[];

// Sends directly, without libmicrohttpd, as much as is possible without waiting.
void tls_send(struct MHD_Connection *mhd, const char *data, size_t length);

// --- a request's way in

// Callbacks for libmicrohttpd (MHD_OPTION_URI_LOG_CALLBACK, the access handler, MHD_OPTION_NOTIFY_COMPLETED); `of` is the listener.
void *request_intake_begin(void *of, const char *target, struct MHD_Connection *mhd);
enum MHD_Result request_intake_proceed(void *of, struct MHD_Connection *mhd, const char *path, const char *method, const char *version,
                               const char *data, size_t *length, void **context);
void request_intake_finish(void *of, struct MHD_Connection *mhd, void **context, enum MHD_RequestTerminationCode why);

// Separates a request from its connection, which is still open.
void request_intake_end(listener *l, request *r);

// Stores a request's method and headers. Returns 0, the status to refuse the request with, or -1 without memory.
int request_head_take(request *r, const char *path, const char *method, const char *version);

// Returns whether this is a valid name of a header. A NUL before `length` makes it invalid.
bool request_head_is_token(const char *name, size_t length);

// --- a request in Lua's hands

// Creates the class of requests.
void request_open(lua_State *L);

// Takes the oldest request off the queue and pushes a userdata for it. Returns false when there is none. Without memory raises, and
// leaves the queue unchanged.
bool request_push(lua_State *L, listener *l);

// Resumes the suspended connection of a queued or held request. `state` is REQUEST_ANSWERED or REQUEST_DROPPED.
void request_wake(request *r, request_state state);

// Return a response whose body is a copy of a text, or a part of a file (length -1: the rest). The body breaks off after `cut` bytes (-1:
// never). Return NULL without memory; NULL and `*why` when the file can't be read.
struct MHD_Response *response_from_text(listener *l, const char *text, size_t length, lua_Integer cut);
struct MHD_Response *response_from_file(listener *l, const char *file, lua_Integer offset, lua_Integer length, lua_Integer cut,
                                      const char **why);

// Frees the body, and removes its file.
void request_free_body(request *r);

// Frees a request that has neither a connection nor a userdata.
void request_free(request *r);

#endif
