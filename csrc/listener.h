// SPDX-License-Identifier: MIT
// What the parts of omni.listener share: the listener (listener.c), the way of a request into it (listener_intake.c), and
// the request in Lua's hands with its answer (listener_request.c).
#ifndef OMNI_LISTENER_H
#define OMNI_LISTENER_H

#include <lua.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct request request;

typedef struct {
  struct MHD_Daemon *daemon; // NULL: closed
  char host[INET6_ADDRSTRLEN];
  int port;
  size_t max_body, max_header;
  request *requests;           // those whose connection lives
  request *queue, **queue_end; // those that are complete and wait for `next`, oldest first
  bool again;                  // `step` has something to do although no descriptor tells
  bool closing;                // only answers go on
} listener;

// Bytes that grow.
typedef struct {
  char *data;
  size_t length, room;
} bytes;

typedef enum {
  REQUEST_BEGUN,     // its first line is there
  REQUEST_RECEIVING, // its headers are there and good
  REQUEST_QUEUED,    // complete, its connection suspended, not yet in Lua's hands
  REQUEST_HELD,      // in Lua's hands, its connection suspended
  REQUEST_ANSWERED,  // its connection woken, to send `response`
  REQUEST_DROPPED,   // its connection woken, to be closed
} request_state;

// How the connection ends after it: as HTTP has it, closed, or closed by RST (for the injection of faults).
typedef enum { END_NORMALLY, END_CUT, END_RESET } request_end;

// Belongs to its connection and to its userdata, as long as each lives: the last of the two frees it.
struct request {
  request *next, *previous;          // of those whose connection lives
  request *after;                    // of those that are queued
  listener *listener;                // NULL: the connection is over
  struct MHD_Connection *connection; // NULL: the connection is over
  bool held;                         // a userdata points here
  request_state state;
  request_end end;
  unsigned status;
  struct MHD_Response *response; // ours until the connection takes it
  char *method, *target;         // the target is cut at its query; the method may be missing before the headers are there
  const char *query;             // NULL: none
  bytes headers;                 // name, NUL, value, NUL, ...
  bytes body;
  char address[INET6_ADDRSTRLEN];
};

// Raises when the table at `index` has a key that isn't among `known` (ended by NULL); `what` names the table.
void listener_check_keys(lua_State *L, int index, const char *const known[], const char *what);

// libmicrohttpd's callbacks (MHD_OPTION_URI_LOG_CALLBACK, the access handler, MHD_OPTION_NOTIFY_COMPLETED); `of` is the listener.
void *intake_begin(void *of, const char *target, struct MHD_Connection *connection);
enum MHD_Result intake_proceed(void *of, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                               const char *data, size_t *length, void **context);
void intake_finish(void *of, struct MHD_Connection *connection, void **context, enum MHD_RequestTerminationCode why);

// Tells whether it may be the name of a header. A NUL ends it where `length` doesn't.
bool intake_is_token(const char *name, size_t length);

// Makes the metatable of requests.
void request_open(lua_State *L);

// Pushes a userdata for the oldest queued request and takes it off the queue. Raises without memory, the queue untouched.
void request_push(lua_State *L, listener *l);

// Wakes the suspended connection of a queued or held request, to do what `state` (answered or dropped) says.
void request_wake(request *r, request_state state);

// The socket of the request's connection, which must live.
int request_socket(const request *r);

// Frees a request that neither a connection nor a userdata points to.
void request_free(request *r);

#endif
