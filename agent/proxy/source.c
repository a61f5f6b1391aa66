/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/source.h"

/* Lack of memory says nothing about the object; anything else shows it as degraded. */
int source_load_site(const struct source *source, const struct entry *entry, struct site **ret, struct error *err)
{
	uint8_t aad[SNAPSHOT_AAD_MAX];
	struct site_source bytes;
	int r;

	snapshot_site_source(entry, aad, &bytes);
	r = site_cache_get(source->sites, &bytes, ret, err);
	if (r < 0 && r != E_NOMEM)
		failures_note(source->failures, entry, err->text);
	return r;
}

static int take_ssl(struct source *source, const struct entry *entry, struct decide_ssl *ret, struct error *err)
{
	int r;

	if (entry == NULL)
		return E_NOT_FOUND;
	*ret = (struct decide_ssl){.id = entry->id, .handle = entry};
	source->site = site_unref(source->site);
	r = source_load_site(source, entry, &source->site, err);
	if (r < 0) /* whatever it is, never "not found", which would fall through to another object */
		return r == E_NOMEM ? r : E_CORRUPT;
	ret->tls_options = site_tls_options(source->site);
	ret->client = site_client(source->site);
	ret->min = site_min_version(source->site);
	ret->max = site_max_version(source->site);
	return 0;
}

static int best_ssl(void *context, struct bytes key, struct decide_ssl *ret, struct error *err)
{
	struct source *source = context;

	return take_ssl(source, snapshot_best_ssl(source->snapshot, key), ret, err);
}

static int find_ssl(void *context, const char *id, struct decide_ssl *ret, struct error *err)
{
	struct source *source = context;

	return take_ssl(source, snapshot_find(source->snapshot, KIND_SSL, id), ret, err);
}

static int best_route(void *context, struct bytes pattern, const char *listener_id, struct decide_route *ret,
                      struct error *err)
{
	const struct source *source = context;
	const struct route_view *view = snapshot_choose_route(source->snapshot, pattern, listener_id);

	if (view == NULL)
		return E_NOT_FOUND;
	*ret = (struct decide_route){view->entry->id, view->body, view};
	return 0;
}

static int find_options(void *context, const char *id, struct decide_options *ret, struct error *err)
{
	const struct source *source = context;
	const struct options_view *view = snapshot_find_options(source->snapshot, id);

	if (view == NULL)
		return E_NOT_FOUND;
	*ret = (struct decide_options){view->entry->id, view->body, view};
	return 0;
}

static int find_bundle(void *context, const char *id, struct decide_bundle *ret, struct error *err)
{
	const struct source *source = context;
	const struct digest *digest;
	const Tlsplane__CaBundle *body = snapshot_find_bundle(source->snapshot, id, &digest);

	if (body == NULL)
		return E_NOT_FOUND;
	*ret = (struct decide_bundle){id, body, digest};
	return 0;
}

static int find_upstream(void *context, const char *id, struct decide_upstream *ret, struct error *err)
{
	const struct source *source = context;
	const struct upstream_view *view = snapshot_find_upstream_view(source->snapshot, id);

	if (view == NULL)
		return E_NOT_FOUND;
	*ret = (struct decide_upstream){view->entry->id, view->body, view};
	return 0;
}

static int find_upstream_tls(void *context, const char *id, struct decide_upstream_tls *ret, struct error *err)
{
	const struct source *source = context;
	const struct upstream_tls_view *view = snapshot_find_upstream_tls(source->snapshot, id);

	if (view == NULL)
		return E_NOT_FOUND;
	*ret = (struct decide_upstream_tls){view->entry->id, view->body, view};
	return 0;
}

void source_init(struct source *source, const struct snapshot *snapshot, struct site_cache *sites,
                 struct failures *failures)
{
	*source = (struct source){
	    .table = {best_ssl, find_ssl, best_route, find_options, find_bundle, find_upstream, find_upstream_tls, source},
	    .snapshot = snapshot,
	    .sites = sites,
	    .failures = failures,
	};
}

void source_deinit(struct source *source)
{
	source->site = site_unref(source->site);
}
