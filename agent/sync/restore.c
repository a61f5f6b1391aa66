/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/restore.h"

static int put_cached(const struct snapshot_put *put, void *context, struct error *err)
{
	return snapshot_builder_put(context, put, err);
}

int restore_snapshot(struct cache *cache, const struct cache_start *start, const struct snapshot_context *context,
                     struct snapshot **ret, struct error *err)
{
	CLEANUP(snapshot_builder_free) struct snapshot_builder *builder = NULL;
	struct snapshot_refusal refusal = {0};
	int r;

	r = snapshot_builder_new(context, NULL, start->current, &start->chain, &builder, err);
	if (r == 0)
		r = cache_load(cache, put_cached, builder, err);
	if (r == 0)
		r = snapshot_builder_prepare(builder, NULL, 0, &refusal, err);
	if (r == 0)
		*ret = snapshot_builder_finish(TAKE_PTR(builder));
	return r;
}
