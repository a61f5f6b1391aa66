/* SPDX-License-Identifier: Apache-2.0 */
/* SSL objects are read from the wire form (there may be a million, undecoded), the other kinds by one table. */
#include "snapshot/references.h"

#include "model/kind.h"
#include "snapshot/refuse.h"
#include "snapshot/scan.h"
#include "snapshot/views.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Of which type the SSL object must be that is referred to. */
enum ssl_type { ANY_TYPE, SERVER_TYPE, CLIENT_TYPE };

struct reference {
	enum kind from, to;
	enum ssl_type type;
	const char *field;
	size_t offset; /* of the id in the body */
};

#define REFERENCE_CLIENT_BUNDLE SIZE_MAX /* the only one that is not in the body itself but in its client_auth */

static const struct reference references[] = {
    {KIND_TLS_OPTIONS, KIND_SSL, SERVER_TYPE, "/default_ssl", offsetof(Tlsplane__TlsOptions, default_ssl)},
    {KIND_TLS_OPTIONS, KIND_CA_BUNDLE, ANY_TYPE, "/client_auth/ca_bundle", REFERENCE_CLIENT_BUNDLE},
    {KIND_LISTENER, KIND_UPSTREAM, ANY_TYPE, "/upstream", offsetof(Tlsplane__Listener, upstream)},
    {KIND_LISTENER, KIND_TLS_OPTIONS, ANY_TYPE, "/tls_options", offsetof(Tlsplane__Listener, tls_options)},
    {KIND_UPSTREAM, KIND_UPSTREAM_TLS, ANY_TYPE, "/upstream_tls", offsetof(Tlsplane__Upstream, upstream_tls)},
    {KIND_UPSTREAM_TLS, KIND_SSL, CLIENT_TYPE, "/client_ssl", offsetof(Tlsplane__UpstreamTls, client_ssl)},
    {KIND_UPSTREAM_TLS, KIND_CA_BUNDLE, ANY_TYPE, "/ca_bundle", offsetof(Tlsplane__UpstreamTls, ca_bundle)},
    {KIND_ROUTE, KIND_TLS_OPTIONS, ANY_TYPE, "/tls_options", offsetof(Tlsplane__Route, tls_options)},
    {KIND_ROUTE, KIND_UPSTREAM, ANY_TYPE, "/upstream", offsetof(Tlsplane__Route, upstream)},
    {KIND_ROUTE, KIND_UPSTREAM_TLS, ANY_TYPE, "/upstream_tls", offsetof(Tlsplane__Route, upstream_tls)},
};

static const char *read_id(const struct reference *reference, const ProtobufCMessage *body)
{
	const char *id;

	if (reference->offset == REFERENCE_CLIENT_BUNDLE) {
		const Tlsplane__ClientAuth *client = ((const Tlsplane__TlsOptions *)body)->client_auth;

		return client != NULL ? client->ca_bundle : NULL;
	}
	memcpy(&id, (const char *)body + reference->offset, sizeof(id));
	return id;
}

static int refuse_missing(struct snapshot_refusal *refusal, struct error *err, const struct entry *entry,
                          const char *field, enum kind kind, struct bytes id)
{
	return refuse(refusal, err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, field, "%s \"%.*s\" is not in this holding",
	              kind_find(kind)->noun, (int)id.len, id.data);
}

static int check_reference(const struct trie *objects, const struct reference *reference, const struct entry *entry,
                           const ProtobufCMessage *body, struct snapshot_refusal *refusal, struct error *err)
{
	const char *id = read_id(reference, body);
	const struct entry *target;

	if (id == NULL)
		return 0;
	target = trie_find(&objects[reference->to], BYTES(id, strlen(id)));
	if (target == NULL)
		return refuse_missing(refusal, err, entry, reference->field, reference->to, BYTES(id, strlen(id)));
	if (reference->type != ANY_TYPE && target->client_type != (reference->type == CLIENT_TYPE))
		return refuse(refusal, err, TLSPLANE__NACK_CODE__NACK_PROFILE, entry, reference->field,
		              "SSL object \"%s\" is not of type %s", id, reference->type == CLIENT_TYPE ? "client" : "server");
	return 0;
}

static int check_listeners(const struct trie *objects, const struct entry *entry, const Tlsplane__Route *route,
                           struct snapshot_refusal *refusal, struct error *err)
{
	char field[32];

	for (size_t i = 0; i < route->n_listeners; i++) {
		struct bytes id = BYTES(route->listeners[i], strlen(route->listeners[i]));

		if (trie_find(&objects[KIND_LISTENER], id) != NULL)
			continue;
		snprintf(field, sizeof(field), "/listeners/%zu", i);
		return refuse_missing(refusal, err, entry, field, KIND_LISTENER, id);
	}
	return 0;
}

/* to: bits of the kinds whose references are looked at. */
static int check_own(const struct trie *objects, const struct entry *entry, const ProtobufCMessage *body, unsigned to,
                     struct snapshot_refusal *refusal, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(references) && r == 0; i++) {
		if (references[i].from == entry->kind && (to >> references[i].to & 1) != 0)
			r = check_reference(objects, &references[i], entry, body, refusal, err);
	}
	if (r == 0 && entry->kind == KIND_ROUTE && (to >> KIND_LISTENER & 1) != 0)
		r = check_listeners(objects, entry, (const Tlsplane__Route *)body, refusal, err);
	return r;
}

int references_check_own(const struct trie *objects, const struct entry *entry, const ProtobufCMessage *body,
                         struct snapshot_refusal *refusal, struct error *err)
{
	return check_own(objects, entry, body, ~0u, refusal, err);
}

static bool is_missing(const struct trie *objects, enum kind kind, struct bytes id)
{
	return id.data != NULL && trie_find(&objects[kind], id) == NULL;
}

int references_check_ssl(const struct trie *objects, const struct entry *entry, struct snapshot_refusal *refusal,
                         struct error *err)
{
	struct scan_ssl scan = {0};

	if (!entry->refers || scan_ssl(entry->body, &scan) < 0)
		return 0;
	if (is_missing(objects, KIND_TLS_OPTIONS, scan.tls_options))
		return refuse_missing(refusal, err, entry, "/tls_options", KIND_TLS_OPTIONS, scan.tls_options);
	if (is_missing(objects, KIND_CA_BUNDLE, scan.ca_bundle))
		return refuse_missing(refusal, err, entry, "/client/ca_bundle", KIND_CA_BUNDLE, scan.ca_bundle);
	return 0;
}

struct walk {
	const struct trie *objects;
	unsigned to;
	struct snapshot_refusal *refusal;
	struct error *err;
};

static int check_ssl_value(void *value, void *context)
{
	const struct walk *walk = context;

	return references_check_ssl(walk->objects, value, walk->refusal, walk->err);
}

/* The refusal names the object that is held, not the equal one before. */
static int check_box_value(void *value, void *context)
{
	const struct walk *walk = context;
	const struct box *box = value;

	return check_own(walk->objects, box->entry, box->body, walk->to, walk->refusal, walk->err);
}

/* Bits of the kinds of which something went that references may have named. */
static unsigned find_lost(const struct trie *objects, const struct entry_list *gone)
{
	unsigned lost = 0;

	for (size_t i = 0; i < gone->len; i++) {
		const struct entry *entry = gone->items[i];
		const struct entry *successor = trie_find(&objects[entry->kind], entry_key(entry));

		if (successor == NULL || successor->client_type != entry->client_type)
			lost |= 1u << entry->kind;
	}
	return lost;
}

static bool may_refer(enum kind from, unsigned to)
{
	if (from == KIND_ROUTE && (to >> KIND_LISTENER & 1) != 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(references); i++) {
		if (references[i].from == from && (to >> references[i].to & 1) != 0)
			return true;
	}
	return false;
}

int references_check_gone(const struct trie *objects, const struct views *views, const struct entry_list *gone,
                          struct snapshot_refusal *refusal, struct error *err)
{
	struct walk walk = {objects, find_lost(objects, gone), refusal, err};
	int r = 0;

	if ((walk.to & (1u << KIND_TLS_OPTIONS | 1u << KIND_CA_BUNDLE)) != 0)
		r = trie_each(&objects[KIND_SSL], check_ssl_value, &walk);
	for (unsigned kind = 1; kind < SNAPSHOT_KINDS && r == 0; kind++) {
		if (may_refer((enum kind)kind, walk.to))
			r = trie_each(&views->boxes[kind], check_box_value, &walk);
	}
	return r;
}
