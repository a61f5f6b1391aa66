/* SPDX-License-Identifier: Apache-2.0 */
/* A handshake between a client and the agent's server side, in memory. */
#pragma once

#include "pki.h"
#include "tls/hello_hook.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct shake_spec {
	const char *sni; /* raw bytes; NULL: none */
	int min, max;    /* client's versions; 0: its defaults */
	const char *groups, *suites12, *suites13;
	const char *alpn; /* wire form; NULL: none */
	size_t alpn_len;
	const struct pki_cert *cert; /* client certificate, with the intermediate behind it */
	const struct pki_cert *chain;
	SSL_SESSION *session;        /* offered for resumption */
	bool no_ticket;              /* the client takes none: sessions by id alone */
	const char *sni_after_retry; /* put in place of sni once HelloRetryRequest has come */
	const char *alpn_after_retry;
	size_t alpn_after_retry_len;
};

struct shake {
	SSL *client, *server;
	bool done;     /* on the server's side */
	unsigned long error; /* newest of OpenSSL's queue after the server's last step; 0: none */
	unsigned long client_error; /* what the client found wrong in what came after its handshake; 0: nothing */
	int alert;     /* that the client received; -1: none */
	int ca_names;  /* how many names the CertificateRequest carried */
	int tickets;   /* sessions that the client could resume */
	char leaf[64]; /* common name of the server's certificate; "" without */
	char alpn[32]; /* chosen; "" for none */
};

/* hook sits on the server's SSL. Ends with shake_deinit. */
void shake_run(SSL_CTX *front, struct hello_hook *hook, const struct shake_spec *spec, struct shake *ret);
void shake_deinit(struct shake *shake);
