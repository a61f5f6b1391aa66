/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: what a site is made of. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "crypto/cert.h"
#include "tls/site.h"

#include <stdatomic.h>

struct site_pair {
	X509 *leaf;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* without the leaf; NULL: it came alone */
};

struct site {
	atomic_uint count;
	uint16_t min, max;
	char *tls_options;            /* or NULL */
	Tlsplane__ClientAuth *client; /* or NULL */
	size_t pairs_len;
	struct site_pair pairs[];
};

struct site *site_alloc(size_t pairs); /* zeroed, count 1; NULL without memory */
