/* SPDX-License-Identifier: Apache-2.0 */
/* The decision at the ClientHello: which object answers, under which options, for which upstream; everything put on the
 * SSL explicitly.
 *
 *     undecided --first hello--> refused, or decided
 *     decided --hello after HelloRetryRequest, same SNI and ALPN bytes--> decided
 *             \--other bytes: illegal_parameter--> refused
 *
 * Nothing falls back: what cannot be built refuses the connection. */
#pragma once

#include "base/error.h"
#include "base/hash.h"
#include "base/macros.h"
#include "model/name.h"
#include "proxy/failures.h"
#include "proxy/root.h"
#include "tls/hello_hook.h"
#include "tls/site.h"
#include "tls/trust.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a hello was refused, for the counters. */
enum hello_cause { HELLO_CAUSE_NONE, HELLO_CAUSE_SNI, HELLO_CAUSE_PROTOCOL, HELLO_CAUSE_SITE };

/* What a worker lends to its hellos; borrowed. */
struct hello_context {
	struct roots *roots;
	unsigned reader; /* its hazard slot */
	struct site_cache *sites;
	struct trust_cache *trusts;
	struct site *fallback;    /* the generated certificate */
	struct failures *failures;
	struct hash_key hash_key; /* secret: pins cannot be forged */
	struct error error;       /* why the last refused hello was refused */
};

struct hello {
	struct hello_hook hook;
	struct hello_context *context;
	const char *address; /* of the socket; borrowed */

	bool decided;
	uint64_t pinned_sni, pinned_alpn;
	enum hello_cause cause;

	/* valid once decided */
	struct upstream *upstream; /* a reference */
	uint32_t handshake_timeout_ms;
	char name[NAME_MAX_LEN + 1]; /* normalised; "" for none */
};

void hello_init(struct hello *hello, struct hello_context *context, const char *address);
void hello_deinit(struct hello *hello);
