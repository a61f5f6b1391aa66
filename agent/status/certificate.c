/* SPDX-License-Identifier: Apache-2.0 */
#include "status/certificate.h"

int certificate_put(SSL *ssl, void *owner, struct error *err)
{
	const struct certificate_source *source = owner;
	const struct snapshot *snapshot = proxy_snapshot(source->proxy);
	const struct entry *entry = snapshot != NULL ? snapshot_find(snapshot, KIND_SSL, source->ssl_id) : NULL;
	CLEANUP(site_unref) struct site *site = NULL;
	uint8_t aad[SNAPSHOT_AAD_MAX];
	struct site_source parts;
	int r;

	if (entry == NULL)
		return error_set(err, E_NOT_FOUND, "SSL object %s is not held by this agent", source->ssl_id);
	if (entry->client_type)
		return error_set(err, E_INVALID, "SSL object %s is of type client", entry->id);
	snapshot_site_source(entry, aad, &parts);
	r = site_cache_get(source->sites, &parts, &site, err);
	if (r == 0)
		r = site_put_on(site, ssl, err);
	return r < 0 ? error_prefix(err, r, "SSL object %s", source->ssl_id) : 0;
}
