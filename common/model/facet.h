/* SPDX-License-Identifier: Apache-2.0 */
/* What an object can be found by in a list: words and numbers that are taken from its state once, when it is written, and rest beside
 * it, so that no filter ever parses a certificate. One encoding: per facet u8 name, u16 length, value; a number is 8 bytes, big-endian. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "model/certs.h"
#include "model/resource.h"

#include <stdbool.h>
#include <stdint.h>

enum facet_name {
	FACET_LABEL = 1,       /* facet_hash(key, value); and facet_hash(key, NULL): it has such a label */
	FACET_SNI = 2,         /* text: a name, normalised, reversed byte by byte: names below a domain stand together */
	FACET_EXPIRY = 3,      /* unix seconds: the first notAfter of the object's leaves */
	FACET_ISSUER = 4,      /* facet_hash of the leaf's issuer in RFC 2253, and of its common name */
	FACET_FINGERPRINT = 5, /* facet_of_digest of the leaf's SHA-256, and of its SPKI's */
	/* From here on too common to be worth an index. */
	FACET_KEY_TYPE = 32, /* facet_key_type */
	FACET_TYPE = 33,     /* 0 server, 1 client */
};

struct facet {
	enum facet_name name;
	bool is_text;
	uint64_t number;
	struct bytes text;
};

static inline bool facet_is_indexed(enum facet_name name)
{
	return name < FACET_KEY_TYPE;
}

/* SHA-256 of the words with a zero byte between them, its first 63 bits; b may be NULL. */
uint64_t facet_hash(const char *a, const char *b);
uint64_t facet_of_digest(const uint8_t sha256[32]);
/* bits 0: of any size. */
uint64_t facet_key_type(enum cert_key_type type, uint32_t bits);
/* Reverses a name; out must hold its length + 1. */
void facet_reverse(const char *name, char *out);

/* Takes the first facet off *rest. False: there is none, or what follows is not in this encoding. */
bool facet_next(struct bytes *rest, struct facet *ret);

/* Of a state in the store. Appends. A body that can't be decoded has none but its labels; E_CORRUPT: not even those. */
int facets_of_state(const struct resource_state *state, struct buf *out, struct error *err) MUST_USE;
/* Of what was just parsed: labels as compact JSON or NULL; ssl NULL: of another kind; lists are its pairs' chains. Appends. */
int facets_of_parts(const char *labels, const Tlsplane__Ssl *ssl, const struct cert_list *lists, struct buf *out,
                    struct error *err) MUST_USE;
