/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/tls: what an origin profile is made of (origin.c), how it judges (origin_judge.c), one handshake (origin_ssl.c) and the
 * sessions that are kept (origin_cache.c). */
#pragma once

#include "channel.pb-c.h"
#include "tls/origin.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

/* origin_anchors.c. One thread refreshes, any takes. */
struct origin_anchors {
	bool wants_system;
	char *system_ca_file; /* owned; NULL: Debian's */
	X509_STORE *own;      /* what the object brings; complete before the first refresh */
	uint64_t stamp;       /* of the system's CAs that `now` has */
	pthread_mutex_t lock; /* guards what follows */
	X509_STORE *now;      /* NULL: broken */
	uint64_t since;       /* unix seconds when it took the place of another; 0: never */
	struct error problem; /* why it is broken */
};

int origin_anchors_init(struct origin_anchors *anchors, bool wants_system, const char *system_ca_file, struct error *err) MUST_USE;
void origin_anchors_deinit(struct origin_anchors *anchors);
/* Looks at the system's CAs. E_UNAVAILABLE: broken. */
int origin_anchors_refresh(struct origin_anchors *anchors, struct error *err) MUST_USE;
/* ret: a reference; both may be NULL. E_UNAVAILABLE: broken, with why. */
int origin_anchors_take(struct origin_anchors *anchors, X509_STORE **ret, uint64_t *ret_since, struct error *err) MUST_USE;

struct origin_profile {
	atomic_uint count;
	struct digest digest;
	SSL_CTX *ctx;
	Tlsplane__UpstreamTls *body; /* owned; without ca */
	struct origin_anchors anchors;
	bool has_crls;
};

bool origin_checks_chain(const struct origin_profile *profile);
bool origin_checks_name(const struct origin_profile *profile);

/* The SSL finds its seat from now on; borrowed. E_NOMEM. */
int origin_seat_set(struct origin_seat *seat, SSL *ssl) MUST_USE;
struct origin_seat *origin_seat_of(const SSL *ssl);

/* Installed on the profile's context: judges the origin's certificate by the seat; keeps the sessions that the origin hands out. */
void origin_judge_install(SSL_CTX *ctx);
void origin_cache_install(SSL_CTX *ctx);
/* A reference to a session of this identity that may still be offered, and when its chain was verified; NULL: none. A session of TLS 1.3 is
 * handed out once. */
SSL_SESSION *origin_cache_take(struct origin_cache *cache, const struct digest *identity, uint64_t *ret_verified_at);
