/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes in memory between agent/tls as a client (origin.h) and a small server made with OpenSSL alone. Whatever fails ends the
 * test. */
#pragma once

#include "channel.pb-c.h"
#include "pki.h"
#include "tls/origin.h"

#include <openssl/ssl.h>
#include <stdbool.h>

struct origin_spec {
	const struct pki_cert *cert, *chain; /* chain: behind it; NULL: none */
	const struct pki_cert *client_ca;    /* demands a certificate of it */
	int max;                             /* version; 0: any */
	const char *alpn;                    /* the one protocol that it chooses, in wire form; NULL: it knows none */
};

/* With its own ticket keys; a reference. */
SSL_CTX *origin_server(const struct origin_spec *spec);

/* body NULL: the built-in one. digest_byte tells profiles apart. A reference. */
struct origin_profile *origin_profile_of(const Tlsplane__UpstreamTls *body, const Tlsplane__CaBundle *bundle, uint8_t digest_byte,
                                         const char *system_ca_file);
struct site *origin_site_of(const struct pki_cert *cert, const struct pki_cert *chain); /* a reference */

struct origin_rig {
	struct origin_seat seat;
	SSL *client, *server;
	bool done;      /* on both sides, late alerts included */
	bool resumed;
	int alert;      /* that the server received; -1: none */
	char sni[256];  /* that the server saw; "" none */
	char peer[64];  /* common name of the client's certificate at the server; "" none */
	char alpn[32];
};

void origin_rig_run(struct origin_profile *profile, struct origin_cache *cache, const struct origin_target *target, SSL_CTX *server,
                    struct origin_rig *ret);
void origin_rig_deinit(struct origin_rig *rig);
