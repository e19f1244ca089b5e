// SPDX-License-Identifier: MIT
// A storage server that discards uploads: the kernel drops the bytes without copying them. Prints its port.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD = 16 * 1024, AT_ONCE = 1024 * 1024 };

// Sends the response to each PUT on one connection after the PUT's body is complete.
static void serve(int peer) {
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  char head[HEAD + 1];
  for (;;) {
    size_t got = 0;
    const char *end = NULL;
    while (!end && got < HEAD) {
      ssize_t more = recv(peer, head + got, HEAD - got, 0);
      if (more <= 0) return;
      got += (size_t)more;
      head[got] = '\0';
      end = strstr(head, "\r\n\r\n");
    }
    const char *length = end ? strcasestr(head, "\r\nContent-Length:") : NULL;
    if (!length) return;
    long long left = atoll(length + 17) - (head + got - (end + 4));
    while (left > 0) {
      ssize_t more = recv(peer, NULL, left < AT_ONCE ? (size_t)left : AT_ONCE, MSG_TRUNC);
      if (more <= 0) return;
      left -= more;
    }
    if (send(peer, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) return;
  }
}

int main(void) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&at, size) || listen(listener, 16) || getsockname(listener, (struct sockaddr *)&at, &size))
    return perror("sink"), 1;
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  for (int peer; (peer = accept(listener, NULL, NULL)) >= 0; close(peer)) serve(peer);
  return 1;
}
