/* SPDX-License-Identifier: Apache-2.0 */
/* Encoded bodies and secrets for the agent's tests. Whatever fails ends the test. */
#pragma once

#include "base/buf.h"
#include "channel.pb-c.h"
#include "pki.h"

#include <stddef.h>
#include <stdint.h>

struct ssl_spec {
	const char *snis[4];
	const struct pki_cert *pairs[2];
	const struct pki_cert *intermediate; /* behind each leaf */
	const struct pki_cert *client_ca;    /* with it: `client` */
	const char *client_bundle;
	uint32_t client_depth; /* 0: absent */
	uint32_t protocols[4]; /* 0 ends */
	const char *tls_options;
};

void bodies_make_ssl(const struct ssl_spec *spec, struct buf *body, struct buf *secret);
void bodies_encode(const void *message, struct buf *body); /* any generated message */
/* DER of cert, owned by the caller through free(). */
ProtobufCBinaryData bodies_der(const struct pki_cert *cert);
