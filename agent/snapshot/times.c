/* SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot knows about the world beside the configuration: staleness of CRLs, CAs of the machine. */
#include "snapshot/impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

struct staleness {
	uint64_t now, next;
	void (*fn)(const char *bundle_id, const char *reason, void *context);
	void *context;
};

static int judge_bundle(void *value, void *context)
{
	const struct bundle_box *box = value;
	struct staleness *staleness = context;
	time_t at = (time_t)box->next_update;
	char reason[128], date[32];
	struct tm utc;

	if (box->next_update == 0)
		return 0;
	if (box->next_update > staleness->now) {
		if (staleness->next == 0 || box->next_update < staleness->next)
			staleness->next = box->next_update;
		return 0;
	}
	if (gmtime_r(&at, &utc) == NULL || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		snprintf(date, sizeof(date), "long ago");
	snprintf(reason, sizeof(reason), "/crls/%zu is stale: a newer one was due on %s", box->crl, date);
	staleness->fn(box->box.entry->id, reason, staleness->context);
	return 0;
}

void snapshot_each_stale_bundle(const struct snapshot *snapshot, uint64_t now,
                                void (*fn)(const char *bundle_id, const char *reason, void *context), void *context,
                                uint64_t *ret_next)
{
	struct staleness staleness = {now, 0, fn, context};

	(void)trie_each(&snapshot->views->boxes[KIND_CA_BUNDLE], judge_bundle, &staleness);
	*ret_next = staleness.next;
}

struct mending {
	void (*fn)(const char *upstream_tls_id, const char *reason, void *context);
	void *context;
};

static void mend(const struct mending *mending, const char *id, struct origin_profile *profile)
{
	struct error why = ERROR_NULL;

	origin_profile_refresh(profile);
	mending->fn(id, origin_profile_is_usable(profile, &why) ? NULL : why.text, mending->context);
}

static int mend_box(void *value, void *context)
{
	const struct upstream_tls_box *box = value;

	mend(context, box->box.entry->id, box->view.profile);
	return 0;
}

void snapshot_mend_origins(const struct snapshot *snapshot,
                           void (*fn)(const char *upstream_tls_id, const char *reason, void *context), void *context)
{
	struct mending mending = {fn, context};

	(void)trie_each(&snapshot->views->boxes[KIND_UPSTREAM_TLS], mend_box, &mending);
	if (snapshot->views->builtin_origin != NULL && snapshot_find_upstream_tls(snapshot, NULL) == NULL)
		mend(&mending, SNAPSHOT_BUILTIN_ID, snapshot->views->builtin_origin);
}
