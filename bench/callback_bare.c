// SPDX-License-Identifier: MIT
// Measures the limit of libmicrohttpd: responds to each POST with an empty 200 as soon as the body has been read and discarded. Runs
// libmicrohttpd as omni does (one thread, epoll, the same memory for each connection), but without Lua. Prints its port.
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

static enum MHD_Result take(void *of, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                            const char *data, size_t *length, void **context) {
  static int begun;
  (void)path, (void)method, (void)version, (void)data;
  if (!*context || *length > 0) {
    *context = &begun;
    *length = 0;
    return MHD_YES;
  }
  return MHD_queue_response(connection, MHD_HTTP_OK, of);
}

int main(void) {
  struct MHD_Response *empty = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
  struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, take, empty, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                               (size_t)(2 * 4096 + 16384), MHD_OPTION_END);
  if (!daemon) return 1;
  printf("%u\n", (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
  fflush(stdout);
  int set = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(set, EPOLL_CTL_ADD, MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, &event);
  for (;;) {
    MHD_UNSIGNED_LONG_LONG wait;
    epoll_wait(set, &event, 1, MHD_get_timeout(daemon, &wait) == MHD_YES ? (int)wait : -1);
    MHD_run(daemon);
  }
}
