// SPDX-License-Identifier: MIT
// Measures the upper limit: a plain C loop makes queries with libcurl and doesn't decode the responses.
// Usage: bare URL COUNT IN_FLIGHT; prints queries per second
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1024 };

static CURLM *multi;
static int poller;
static double due = -1;
static unsigned char registered[65536];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t on_answer(char *bytes, size_t one, size_t length, void *sum) {
  (void)bytes, (void)one;
  *(size_t *)sum += length;
  return length;
}

// Idle sockets stay in the epoll set, because an epoll_ctl for each transfer would reduce the speed by a quarter.
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *a, void *b) {
  (void)easy, (void)a, (void)b;
  if (what == CURL_POLL_REMOVE || registered[fd] == what) return 0;
  struct epoll_event event = {.events = (what & CURL_POLL_IN ? EPOLLIN : 0U) | (what & CURL_POLL_OUT ? EPOLLOUT : 0U), .data.fd = fd};
  epoll_ctl(poller, registered[fd] ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  registered[fd] = (unsigned char)what;
  return 0;
}

static int on_timer(CURLM *m, long milliseconds, void *a) {
  (void)m, (void)a;
  due = milliseconds < 0 ? -1 : now() + (double)milliseconds / 1000;
  return 0;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  long wanted = atol(arguments[2]), started = 0, finished = 0;
  int in_flight = atoi(arguments[3]), running, left;
  size_t bytes = 0;
  curl_global_init(CURL_GLOBAL_DEFAULT);
  multi = curl_multi_init();
  poller = epoll_create1(EPOLL_CLOEXEC);
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)MOST);
  struct curl_slist *headers = curl_slist_append(NULL, "x-api-key: ak_00000000000000000000000000000000");
  double begin = now();
  for (int i = 0; i < in_flight && i < MOST; i++, started++) {
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, arguments[1]);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &bytes);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_multi_add_handle(multi, easy);
  }
  while (finished < wanted) {
    struct epoll_event events[64];
    double wait = due < 0 ? 1 : due - now();
    int ready = epoll_wait(poller, events, 64, wait > 0 ? (int)(wait * 1000) + 1 : 0);
    for (int i = 0; i < ready; i++)
      curl_multi_socket_action(multi, events[i].data.fd,
                               (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0),
                               &running);
    if (due >= 0 && due <= now()) {
      due = -1;
      curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
      CURL *easy = message->easy_handle;
      if (message->data.result != CURLE_OK) return fprintf(stderr, "%s\n", curl_easy_strerror(message->data.result)), 1;
      finished++;
      curl_multi_remove_handle(multi, easy);
      if (started++ < wanted) curl_multi_add_handle(multi, easy);
    }
  }
  printf("%.0f\n", (double)finished / (now() - begin));
  return bytes > 0 ? 0 : 1;
}
