// SPDX-License-Identifier: MIT
// Loads a listener's certificate and key with GnuTLS, which libmicrohttpd also uses. Each connection keeps the certificate that it started
// with, so a renewed certificate can replace the old one while connections are open.
#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/file.h"
#include "listener/listener.h"

enum { MAX_FILE = 1 << 20 }; // bytes

struct credentials {
  gnutls_certificate_credentials_t certificate;
  unsigned uses;
};

// Allows only TLS 1.2 and newer, with forward secrecy. Allows only elliptic-curve key exchanges, since other key exchanges would let a
// client consume a lot of the server's processor time.
#define PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA"

// Makes a TLS handshake fail if the connection has no credentials; tls_attach sets each connection's credentials.
static int no_certificate(gnutls_session_t session, const gnutls_datum_t *names, int count, const gnutls_pk_algorithm_t *kinds,
                          int kind_count, gnutls_pcert_st **certificate, unsigned *length, gnutls_privkey_t *key) {
  (void)session, (void)names, (void)count, (void)kinds, (void)kind_count, (void)certificate, (void)length, (void)key;
  return -1;
}

const struct MHD_OptionItem tls_options[] = {
    {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES},
    {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)no_certificate},
    {MHD_OPTION_END, 0, NULL},
};

// --- files

static void forget(gnutls_datum_t *text) {
  if (text->data) explicit_bzero(text->data, text->size);
  free(text->data);
  *text = (gnutls_datum_t){.data = NULL};
}

// Reads the whole open file into `text`. Returns NULL on success, or the reason why the file can't be read.
static const char *read_open(int fd, struct stat s, bool secret, gnutls_datum_t *text) {
  if (secret && (s.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return "it can be read by other users of this machine, so it isn't used (chmod 600)";
  if (s.st_size > MAX_FILE) return "too large";
  text->data = malloc((size_t)s.st_size + 1);
  if (!text->data) return "not enough memory";
  ssize_t got = file_read_at(fd, text->data, (size_t)s.st_size, 0);
  if (got > 0) text->size = (unsigned)got;
  return got < 0 ? strerror(errno) : got < s.st_size ? "it became shorter" : NULL;
}

static const char *read_file(const char *path, bool secret, gnutls_datum_t *text) {
  struct stat s;
  int fd = file_open(path, O_RDONLY, 0, &s);
  if (fd < 0) return file_problem(errno);
  const char *why = read_open(fd, s, secret, text);
  close(fd);
  return why;
}

// --- credentials

typedef struct {
  gnutls_x509_crt_t *chain; // the server's own certificate is the first element
  unsigned length;
  gnutls_x509_privkey_t key;
} certificate_and_key;

static const char *why_not(int result) {
  return result < 0 ? gnutls_strerror(result) : NULL;
}

static const char *read_chain(const char *path, certificate_and_key *m) {
  gnutls_datum_t text = {.data = NULL};
  const char *why = read_file(path, false, &text);
  if (!why)
    why = why_not(gnutls_x509_crt_list_import2(&m->chain, &m->length, &text, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_SORT));
  forget(&text);
  return why;
}

static const char *read_key(const char *path, certificate_and_key *m) {
  gnutls_datum_t text = {.data = NULL};
  const char *why = read_file(path, true, &text);
  if (!why) why = why_not(gnutls_x509_privkey_init(&m->key));
  if (!why) why = why_not(gnutls_x509_privkey_import2(m->key, &text, GNUTLS_X509_FMT_PEM, NULL, 0));
  forget(&text);
  return why;
}

static const char *join(credentials *c, const certificate_and_key *m) {
  int result = gnutls_certificate_allocate_credentials(&c->certificate);
  if (result >= 0) result = gnutls_certificate_set_x509_key(c->certificate, m->chain, (int)m->length, m->key);
  return result == GNUTLS_E_CERTIFICATE_KEY_MISMATCH ? "this key isn't the certificate's" : why_not(result);
}

credentials *tls_load(const char *certificate, const char *key, char *message, size_t size) {
  certificate_and_key m = {.key = NULL};
  credentials *c = calloc(1, sizeof *c);
  const char *why = c ? NULL : "not enough memory", *path = certificate;
  if (!why) why = read_chain(certificate, &m);
  if (!why) path = key;
  if (!why) why = read_key(key, &m);
  if (!why) why = join(c, &m);
  for (unsigned i = 0; i < m.length; i++) gnutls_x509_crt_deinit(m.chain[i]);
  gnutls_free(m.chain);
  if (m.key) gnutls_x509_privkey_deinit(m.key);
  if (c) c->uses = 1;
  if (!why) return c;
  snprintf(message, size, "can't use %s: %s", path, why);
  tls_release(c);
  return NULL;
}

credentials *tls_use(credentials *c) {
  if (c) c->uses++;
  return c;
}

void tls_release(credentials *c) {
  if (!c || --c->uses > 0) return;
  if (c->certificate) gnutls_certificate_free_credentials(c->certificate);
  free(c);
}

// --- connections

static gnutls_session_t session_of(struct MHD_Connection *mhd) {
  return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION)->tls_session;
}

void tls_attach(struct MHD_Connection *mhd, const credentials *c) {
  gnutls_credentials_set(session_of(mhd), GNUTLS_CRD_CERTIFICATE, c->certificate);
}

void tls_send(struct MHD_Connection *mhd, const char *data, size_t length) {
  (void)gnutls_record_send(session_of(mhd), data, length);
}
