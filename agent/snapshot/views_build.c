/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a set of views from entries: bundles, then upstreams, then options (which refer to bundles), then listeners
 * (which refer to options and upstreams). Whatever the base has in the same form is shared: a profile survives any
 * change of its options that doesn't touch what decides it, an upstream keeps its resolved addresses while its body is
 * the same. */
#include "snapshot/views.h"

#include "model/body.h"
#include "snapshot/entry.h"
#include "snapshot/refuse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HANDSHAKE_TIMEOUT_MS 10000
#define MAX_CONNECTIONS 10000

struct build {
	const struct snapshot_context *context;
	const struct views *base; /* NULL: none */
	struct views *views;
	struct snapshot_refusal *refusal;
	struct error *err;
};

static bool has_same_body(const struct entry *a, const struct entry *b)
{
	return a == b || (a->body.len == b->body.len && memcmp(a->body.data, b->body.data, a->body.len) == 0);
}

static int compare_ids(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

/* The entries of a kind by id, and a zeroed array for as many results. */
static int collect(const struct trie *trie, struct entry_list *ret_entries, size_t size, void *ret_array,
                   struct error *err)
{
	void *array;

	if (trie->count == 0)
		return 0;
	array = calloc(trie->count, size);
	if (array == NULL || entry_list_add_trie(ret_entries, trie) < 0) {
		free(array);
		return error_nomem(err);
	}
	qsort(ret_entries->items, ret_entries->len, sizeof(ret_entries->items[0]), compare_ids);
	memcpy(ret_array, &array, sizeof(array));
	return 0;
}

static int make_bundle(struct build *build, struct entry *entry, struct bundle_box **ret)
{
	const struct bundle_box *known = build->base != NULL ? views_find_bundle(build->base, entry->id) : NULL;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	struct bundle_box *box;
	int r;

	if (known != NULL && has_same_body(known->entry, entry)) {
		box = (struct bundle_box *)(uintptr_t)known;
		box->count++;
		*ret = box;
		return 0;
	}
	r = decode_checked(entry, &body, build->refusal, build->err);
	if (r < 0)
		return r;
	box = malloc(sizeof(*box));
	if (box == NULL)
		return error_nomem(build->err);
	*box = (struct bundle_box){.count = 1, .entry = entry_ref(entry), .body = TAKE_PTR(body)};
	*ret = box;
	return 0;
}

static int make_bundles(struct build *build, const struct trie *trie)
{
	CLEANUP(entry_list_deinit) struct entry_list entries = {0};
	struct views *views = build->views;
	int r = collect(trie, &entries, sizeof(views->bundles[0]), &views->bundles, build->err);

	for (size_t i = 0; r == 0 && i < entries.len; i++) {
		r = make_bundle(build, entries.items[i], &views->bundles[i]);
		views->bundles_len += r == 0;
	}
	return r;
}

static int make_upstream(struct build *build, struct entry *entry, struct upstream_box **ret)
{
	const struct upstream_box *known = build->base != NULL ? views_find_upstream(build->base, entry->id) : NULL;
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	struct error why = ERROR_NULL;
	struct upstream_box *box;
	int r;

	if (known != NULL && has_same_body(known->entry, entry)) {
		box = (struct upstream_box *)(uintptr_t)known;
		box->count++;
		*ret = box;
		return 0;
	}
	r = decode_checked(entry, &body, build->refusal, build->err);
	if (r < 0)
		return r;
	box = malloc(sizeof(*box));
	if (box == NULL)
		return error_nomem(build->err);
	*box = (struct upstream_box){.count = 1};
	r = upstream_new(build->context->loop, entry->id, (const Tlsplane__Upstream *)body, build->context->upstream_events,
	                 &box->upstream, &why);
	if (r < 0) {
		free(box);
		if (r == E_NOMEM)
			return error_nomem(build->err);
		return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, "", "%s", why.text);
	}
	box->entry = entry_ref(entry);
	*ret = box;
	return 0;
}

static int make_upstreams(struct build *build, const struct trie *trie)
{
	CLEANUP(entry_list_deinit) struct entry_list entries = {0};
	struct views *views = build->views;
	int r = collect(trie, &entries, sizeof(views->upstreams[0]), &views->upstreams, build->err);

	for (size_t i = 0; r == 0 && i < entries.len; i++) {
		r = make_upstream(build, entries.items[i], &views->upstreams[i]);
		views->upstreams_len += r == 0;
	}
	return r;
}

static struct profile *find_profile(const struct views *views, const struct digest *digest)
{
	for (size_t i = 0; views != NULL && i < views->options_len; i++) {
		struct profile *profile = views->options[i]->view.profile;

		if (digest_is_equal(profile_digest(profile), digest))
			return profile;
	}
	return NULL;
}

/* An SSL_CTX per distinct profile, not per object. */
static int share_profile(struct build *build, const struct entry *entry, const Tlsplane__TlsOptions *body,
                         struct profile **ret)
{
	struct error why = ERROR_NULL;
	struct profile *known;
	struct digest digest;
	int r;

	r = profile_compute_digest(body, &digest, build->err);
	if (r < 0)
		return r;
	known = find_profile(build->views, &digest);
	if (known == NULL)
		known = find_profile(build->base, &digest);
	if (known != NULL) {
		*ret = profile_ref(known);
		return 0;
	}
	r = profile_new(body, ret, &why);
	if (r == E_NOMEM)
		return error_nomem(build->err);
	if (r < 0)
		return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, "", "%s", why.text);
	return 0;
}

static int check_bundle(struct build *build, const struct entry *entry, const Tlsplane__TlsOptions *body)
{
	const char *id = body->client_auth != NULL ? body->client_auth->ca_bundle : NULL;

	if (id == NULL || views_find_bundle(build->views, id) != NULL)
		return 0;
	return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, "/client_auth/ca_bundle",
	              "CA bundle \"%s\" is not in this holding", id);
}

static int new_options(struct build *build, struct entry *entry, struct options_box **ret)
{
	CLEANUP(body_free) ProtobufCMessage *message = NULL;
	const Tlsplane__TlsOptions *body;
	struct options_box *box;
	int r;

	r = decode_checked(entry, &message, build->refusal, build->err);
	if (r < 0)
		return r;
	body = (const Tlsplane__TlsOptions *)message;
	box = calloc(1, sizeof(*box));
	if (box == NULL)
		return error_nomem(build->err);
	r = share_profile(build, entry, body, &box->view.profile);
	if (r < 0) {
		free(box);
		return r;
	}
	box->count = 1;
	box->entry = entry_ref(entry);
	box->body = TAKE_PTR(message);
	box->view.entry = entry;
	box->view.body = body;
	box->view.handshake_timeout_ms = body->has_handshake_timeout_ms ? body->handshake_timeout_ms : HANDSHAKE_TIMEOUT_MS;
	box->view.sni_strict = body->has_sni_strict && body->sni_strict;
	*ret = box;
	return 0;
}

static int make_options_box(struct build *build, struct entry *entry, struct options_box **ret)
{
	const struct options_box *known = build->base != NULL ? views_find_options(build->base, entry->id) : NULL;

	if (known == NULL || known->entry != entry)
		return new_options(build, entry, ret);
	*ret = (struct options_box *)(uintptr_t)known;
	(*ret)->count++;
	return 0;
}

static int make_options(struct build *build, const struct trie *trie)
{
	CLEANUP(entry_list_deinit) struct entry_list entries = {0};
	struct views *views = build->views;
	const struct options_box *fallback;
	int r = collect(trie, &entries, sizeof(views->options[0]), &views->options, build->err);

	for (size_t i = 0; r == 0 && i < entries.len; i++) {
		r = make_options_box(build, entries.items[i], &views->options[i]);
		views->options_len += r == 0;
		if (r == 0)
			r = check_bundle(build, entries.items[i], views->options[i]->view.body);
	}
	if (r < 0)
		return r;
	fallback = views_find_options(views, "default");
	if (fallback == NULL)
		fallback = views_find_options(views, "modern");
	views->fallback = (struct options_box *)(uintptr_t)fallback;
	return 0;
}

/* One spelling per address: it is the key of a socket. */
static int format_address(const Tlsplane__Listener *body, char address[LISTENER_ADDRESS_MAX])
{
	struct in_addr v4;
	struct in6_addr v6;
	char host[INET6_ADDRSTRLEN];

	if (body->port == 0 || body->port > UINT16_MAX)
		return E_INVALID;
	if (inet_pton(AF_INET, body->host, &v4) == 1 && inet_ntop(AF_INET, &v4, host, sizeof(host)) != NULL)
		snprintf(address, LISTENER_ADDRESS_MAX, "%s:%u", host, body->port);
	else if (inet_pton(AF_INET6, body->host, &v6) == 1 && inet_ntop(AF_INET6, &v6, host, sizeof(host)) != NULL)
		snprintf(address, LISTENER_ADDRESS_MAX, "[%s]:%u", host, body->port);
	else
		return E_INVALID;
	return 0;
}

/* What the listener refers to; none of it may be missing. */
static int resolve_listener(struct build *build, struct listener_slot *slot, const Tlsplane__Listener *body)
{
	const struct upstream_box *upstream = views_find_upstream(build->views, body->upstream);
	const struct options_box *options = build->views->fallback;

	if (upstream == NULL)
		return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, slot->entry, "/upstream",
		              "upstream \"%s\" is not in this holding", body->upstream);
	if (body->tls_options != NULL)
		options = views_find_options(build->views, body->tls_options);
	if (options == NULL)
		return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, slot->entry, "/tls_options",
		              "TLS options \"%s\" are not in this holding",
		              body->tls_options != NULL ? body->tls_options : "default");
	slot->view.upstream = upstream->upstream;
	slot->view.options = body->tls_options != NULL ? &((struct options_box *)(uintptr_t)options)->view : NULL;
	return 0;
}

static int make_listener(struct build *build, struct entry *entry, struct listener_slot *slot)
{
	CLEANUP(body_free) ProtobufCMessage *message = NULL;
	const Tlsplane__Listener *body;
	int r;

	r = decode_checked(entry, &message, build->refusal, build->err);
	if (r < 0)
		return r;
	body = (const Tlsplane__Listener *)message;
	slot->entry = entry_ref(entry);
	slot->view.entry = entry;
	slot->view.id = entry->id;
	slot->view.max_connections = body->has_max_connections ? body->max_connections : MAX_CONNECTIONS;
	if (format_address(body, slot->address) < 0)
		return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_UNKNOWN, entry, "/bind",
		              "not an IP address and port");
	return resolve_listener(build, slot, body);
}

static int compare_addresses(const void *a, const void *b)
{
	const struct listener_slot *x = a, *y = b;

	return strcmp(x->address, y->address);
}

static int make_listeners(struct build *build, const struct trie *trie)
{
	CLEANUP(entry_list_deinit) struct entry_list entries = {0};
	struct views *views = build->views;
	int r = collect(trie, &entries, sizeof(views->listeners[0]), &views->listeners, build->err);

	for (size_t i = 0; r == 0 && i < entries.len; i++) {
		views->listeners_len++;
		r = make_listener(build, entries.items[i], &views->listeners[i]);
	}
	if (r < 0 || views->listeners_len == 0)
		return r;
	qsort(views->listeners, views->listeners_len, sizeof(views->listeners[0]), compare_addresses);
	for (size_t i = 0; i < views->listeners_len; i++) {
		struct listener_slot *slot = &views->listeners[i];

		slot->view.address = slot->address;
		if (i > 0 && strcmp(slot[-1].address, slot->address) == 0)
			return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, slot->entry, "/bind",
			              "listener \"%s\" has the same address", slot[-1].view.id);
	}
	return 0;
}

int views_new(const struct snapshot_context *context, const struct trie *objects, const struct views *base,
              struct snapshot_refusal *refusal, struct views **ret, struct error *err)
{
	CLEANUP(views_unref) struct views *views = calloc(1, sizeof(*views));
	struct build build = {.context = context, .base = base, .views = views, .refusal = refusal, .err = err};
	int r;

	if (views == NULL)
		return error_nomem(err);
	views->count = 1;
	r = make_bundles(&build, &objects[KIND_CA_BUNDLE]);
	if (r == 0)
		r = make_upstreams(&build, &objects[KIND_UPSTREAM]);
	if (r == 0)
		r = make_options(&build, &objects[KIND_TLS_OPTIONS]);
	if (r == 0)
		r = make_listeners(&build, &objects[KIND_LISTENER]);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(views);
	return 0;
}
