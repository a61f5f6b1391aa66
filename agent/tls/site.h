/* SPDX-License-Identifier: Apache-2.0 */
/* Site: one SSL object ready for a handshake: certificates and keys parsed, its own words decoded. Made at the first
 * handshake that asks (or at apply, when few change), kept in a bounded cache shared by all workers, keyed by object
 * digest so that it survives swaps.
 *
 * Shared between threads by count, finished before it enters the cache, never changed after. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "channel.pb-c.h"
#include "crypto/seal.h"
#include "model/object.h"

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

struct site;          /* atomic count */
struct site_cache;    /* any thread */
struct intermediates; /* any thread */

int site_cache_new(const struct keyring *keyring, size_t max_entries, struct site_cache **ret,
                   struct error *err) MUST_USE;
struct site_cache *site_cache_free(struct site_cache *cache);
DEFINE_CLEANUP(struct site_cache, site_cache_free);

/* What a site is made of; borrowed. aad: the associated data that the secret was sealed with. */
struct site_source {
	const struct digest *digest;
	struct bytes body;   /* Tlsplane__Ssl */
	struct bytes sealed; /* Secret, sealed with the agent's local keyring */
	struct bytes aad;
};

/* From the cache, or parsed and put into it. A reference in *ret. E_INVALID / E_CORRUPT / E_CRYPTO with the reason. */
int site_cache_get(struct site_cache *cache, const struct site_source *source, struct site **ret,
                   struct error *err) MUST_USE;
void site_cache_drop(struct site_cache *cache, const struct digest *digest); /* erased objects leave the cache too */
void site_cache_stats(struct site_cache *cache, uint64_t *ret_entries, uint64_t *ret_hits, uint64_t *ret_misses);

/* Parses without keeping it. shared: where intermediates are looked for and left; NULL: all are parsed. */
int site_new(const struct keyring *keyring, const struct site_source *source, struct intermediates *shared,
             struct site **ret, struct error *err) MUST_USE;
/* A self-signed P-256 certificate for "tlsplane default", made in memory. */
int site_new_self_signed(struct site **ret, struct error *err) MUST_USE;
struct site *site_ref(struct site *site);
struct site *site_unref(struct site *site);
DEFINE_CLEANUP(struct site, site_unref);

/* Inside the ClientHello callback: puts every pair on ssl. */
int site_put_on(const struct site *site, SSL *ssl, struct error *err) MUST_USE;

const char *site_tls_options(const struct site *site); /* id, or NULL */
/* The object's `client`: its CA or bundle and depth, the site's; see trust.h. NULL when it has none. */
const Tlsplane__ClientAuth *site_client(const struct site *site);
uint16_t site_min_version(const struct site *site); /* 0: no ssl_protocols */
uint16_t site_max_version(const struct site *site);
