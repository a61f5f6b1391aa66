/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot as decide() reads it (resolve/decide.h). Handles: SSL objects: struct entry; options, routes, upstreams,
 * upstream TLS: their views; bundles: the digest of the object. */
#pragma once

#include "base/macros.h"
#include "proxy/failures.h"
#include "resolve/decide.h"
#include "snapshot/snapshot.h"
#include "tls/site.h"

/* For one decision, while the snapshot is held. */
struct source {
	struct decide_source table;
	const struct snapshot *snapshot;
	struct site_cache *sites;
	struct failures *failures;
	struct site
	    *site; /* of the SSL object found last: a reference, since that one's own words stand in it; NULL: none */
};

void source_init(struct source *source, const struct snapshot *snapshot, struct site_cache *sites,
                 struct failures *failures);
void source_deinit(struct source *source);
DEFINE_CLEANUP_VALUE(struct source, source_deinit);

/* The object ready for a handshake: a reference in *ret. What can't be made ready is noted as a failure of the object.
 */
int source_load_site(const struct source *source, const struct entry *entry, struct site **ret,
                     struct error *err) MUST_USE;
