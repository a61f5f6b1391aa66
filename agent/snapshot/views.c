/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership and lookup of views; views_build.c makes them. */
#include "snapshot/views.h"

#include "model/body.h"
#include "snapshot/entry.h"
#include "snapshot/refuse.h"

#include <stdlib.h>
#include <string.h>

static void options_box_unref(struct options_box *box)
{
	if (--box->count > 0)
		return;
	profile_unref(box->view.profile);
	body_free(box->body);
	entry_unref(box->entry);
	free(box);
}

/* The last set of views that has an upstream is gone: stop resolving. Connections may still count it. */
static void upstream_box_unref(struct upstream_box *box)
{
	if (--box->count > 0)
		return;
	if (box->upstream != NULL)
		upstream_retire(box->upstream);
	upstream_unref(box->upstream);
	entry_unref(box->entry);
	free(box);
}

static void bundle_box_unref(struct bundle_box *box)
{
	if (--box->count > 0)
		return;
	body_free(box->body);
	entry_unref(box->entry);
	free(box);
}

struct views *views_ref(struct views *views)
{
	views->count++;
	return views;
}

struct views *views_unref(struct views *views)
{
	if (views == NULL || --views->count > 0)
		return NULL;
	for (size_t i = 0; i < views->listeners_len; i++)
		entry_unref(views->listeners[i].entry);
	for (size_t i = 0; i < views->options_len; i++)
		options_box_unref(views->options[i]);
	for (size_t i = 0; i < views->upstreams_len; i++)
		upstream_box_unref(views->upstreams[i]);
	for (size_t i = 0; i < views->bundles_len; i++)
		bundle_box_unref(views->bundles[i]);
	free(views->listeners);
	free(views->options);
	free(views->upstreams);
	free(views->bundles);
	free(views);
	return NULL;
}

/* All boxes are searched alike: each begins with its count and its entry. */
static int compare_options(const void *id, const void *element)
{
	const struct options_box *const *box = element;

	return strcmp(id, (*box)->entry->id);
}

static int compare_upstream(const void *id, const void *element)
{
	const struct upstream_box *const *box = element;

	return strcmp(id, (*box)->entry->id);
}

static int compare_bundle(const void *id, const void *element)
{
	const struct bundle_box *const *box = element;

	return strcmp(id, (*box)->entry->id);
}

static int compare_listener(const void *address, const void *element)
{
	const struct listener_slot *slot = element;

	return strcmp(address, slot->address);
}

/* bsearch must not be given a NULL array. */
static const void *find(const void *key, const void *array, size_t len, size_t size,
                        int (*compare)(const void *, const void *))
{
	return len > 0 ? bsearch(key, array, len, size, compare) : NULL;
}

const struct options_box *views_find_options(const struct views *views, const char *id)
{
	struct options_box *const *box =
	    find(id, views->options, views->options_len, sizeof(views->options[0]), compare_options);

	return box != NULL ? *box : NULL;
}

const struct upstream_box *views_find_upstream(const struct views *views, const char *id)
{
	struct upstream_box *const *box =
	    find(id, views->upstreams, views->upstreams_len, sizeof(views->upstreams[0]), compare_upstream);

	return box != NULL ? *box : NULL;
}

const struct bundle_box *views_find_bundle(const struct views *views, const char *id)
{
	struct bundle_box *const *box =
	    find(id, views->bundles, views->bundles_len, sizeof(views->bundles[0]), compare_bundle);

	return box != NULL ? *box : NULL;
}

const struct listener_slot *views_find_listener(const struct views *views, const char *address)
{
	return find(address, views->listeners, views->listeners_len, sizeof(views->listeners[0]), compare_listener);
}

int views_check_default_ssl(const struct views *views, const struct trie *ssls, struct snapshot_refusal *refusal,
                            struct error *err)
{
	for (size_t i = 0; i < views->options_len; i++) {
		const char *id = views->options[i]->view.body->default_ssl;

		if (id != NULL && trie_find(ssls, BYTES(id, strlen(id))) == NULL)
			return refuse(refusal, err, TLSPLANE__NACK_CODE__NACK_PROFILE, views->options[i]->entry, "/default_ssl",
			              "SSL object \"%s\" is not in this holding", id);
	}
	return 0;
}
