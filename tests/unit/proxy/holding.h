/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots for the proxy's tests, built by the real builder from real bodies. Whatever fails ends the test. */
#pragma once

#include "bodies.h"
#include "crypto/seal.h"
#include "snapshot/snapshot.h"
#include "tls/site.h"
#include "tls/trust.h"

#include <stdint.h>
#include <uv.h>

struct holding {
	struct snapshot_context context;
	struct keyring *keyring;
	struct site_cache *sites;
	struct trust_cache *trusts;
	struct snapshot_builder *builder;
	uint64_t revision;
	size_t warm_max; /* as many changed SSL objects are parsed at once; 256 unless changed */
};

void holding_init(struct holding *holding, uv_loop_t *loop);
void holding_deinit(struct holding *holding);

/* A change on top of base (NULL: empty): begin, put and remove, finish. */
void holding_begin(struct holding *holding, const struct snapshot *base);
void holding_put_ssl(struct holding *holding, const char *id, const struct ssl_spec *spec);
/* With a key that is not the certificate's: only parsing finds out. */
void holding_put_broken_ssl(struct holding *holding, const char *id, const struct ssl_spec *spec);
/* Of type client: a certificate for origins. */
void holding_put_client_ssl(struct holding *holding, const char *id, const struct pki_cert *cert, bool broken);
void holding_put(struct holding *holding, enum kind kind, const char *id, const void *message);
void holding_remove(struct holding *holding, enum kind kind, const char *id);
/* "modern" unless changed before: TLS 1.2 and 1.3. */
void holding_put_options(struct holding *holding, const char *id, void (*change)(Tlsplane__TlsOptions *options));
void holding_put_listener(struct holding *holding, const char *id, const char *host, uint16_t port,
                          const char *upstream, const char *options, uint32_t max_connections);
void holding_put_upstream(struct holding *holding, const char *id, const uint16_t *ports, size_t count);
struct snapshot *holding_finish(struct holding *holding);
