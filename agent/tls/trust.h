/* SPDX-License-Identifier: Apache-2.0 */
/* Auth profile: who may connect = X509_STORE + depth + mode, by digest, in a bounded cache. System CAs are never in it.
 * Joined from the options' client_auth and the SSL object's client: verifying is OR-ed, the CA is the object's if it
 * names one, the smaller depth. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "model/object.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trust; /* atomic count */
struct trust_cache;

int trust_cache_new(size_t max_entries, struct trust_cache **ret, struct error *err) MUST_USE;
struct trust_cache *trust_cache_free(struct trust_cache *cache);
DEFINE_CLEANUP(struct trust_cache, trust_cache_free);

/* A CA set as found in a body or bundle; borrowed. */
struct trust_anchors {
	const ProtobufCBinaryData *certs; /* DER */
	size_t count;
};

struct trust_rules {
	bool require;
	uint32_t depth;               /* intermediates */
	struct trust_anchors anchors; /* empty with require: nobody passes */
	struct digest source; /* digest of the object that the anchors stand in: the cache's key, so that a handshake hashes
	                         no bundle */
};

/* rules->require false: *ret is NULL (nothing asked). A reference in *ret. E_SYNTAX, E_INVALID: an anchor does not
 * parse. */
int trust_cache_get(struct trust_cache *cache, const struct trust_rules *rules, struct trust **ret,
                    struct error *err) MUST_USE;
struct trust *trust_ref(struct trust *trust);
struct trust *trust_unref(struct trust *trust);
DEFINE_CLEANUP(struct trust, trust_unref);
/* Of depth and anchors, wherever they stand: equal digests mean equal verdicts. Zeros for NULL. */
const struct digest *trust_digest(const struct trust *trust);

/* Inside the ClientHello callback, after profile_put_on: verify mode, store, param (depth, purpose), at most 32 CA
 * names. trust NULL: SSL_VERIFY_NONE. */
int trust_put_on(const struct trust *trust, SSL *ssl, struct error *err) MUST_USE;
