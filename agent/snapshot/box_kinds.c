/* SPDX-License-Identifier: Apache-2.0 */
/* What each kind adds to its box. A profile is shared by all options that ask for the same; an upstream keeps its
 * resolved addresses while its body is the same; an origin profile is remade when its object or its bundle changes, and
 * not when the client certificate is rotated. */
#include "crypto/crl.h"
#include "crypto/crypto.h"
#include "resolve/decide.h"
#include "snapshot/refuse.h"
#include "snapshot/views.h"

#include <stdio.h>

/* What could not be made of the object: E_NOMEM stays itself, anything else refuses the update. */
static int refuse_for(struct views_build *build, const struct box *box, const char *field, const struct error *why,
                      int r)
{
	if (r == E_NOMEM)
		return error_nomem(build->err);
	return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_PROFILE, box->entry, field, "%s", why->text);
}

/* TLS options ----------------------------------------------------------------------------------------------------- */

struct profile_search {
	const struct digest *digest;
	struct profile *found;
};

static int match_profile(void *value, void *context)
{
	const struct options_box *box = value;
	struct profile_search *search = context;

	if (!digest_is_equal(profile_digest(box->view.profile), search->digest))
		return 0;
	search->found = box->view.profile;
	return 1;
}

static struct profile *find_profile(const struct views *views, const struct digest *digest)
{
	struct profile_search search = {.digest = digest};

	if (views != NULL)
		(void)trie_each(&views->boxes[KIND_TLS_OPTIONS], match_profile, &search);
	return search.found;
}

/* An SSL_CTX per distinct profile, not per object. */
static int share_profile(struct views_build *build, const struct options_box *box, struct profile **ret)
{
	const Tlsplane__TlsOptions *body = box->view.body;
	struct error why = ERROR_NULL;
	struct profile *known;
	struct digest digest;
	int r = profile_compute_digest(body, &digest, build->err);

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
	return r < 0 ? refuse_for(build, &box->box, "", &why, r) : 0;
}

static int fill_options(struct views_build *build, struct box *base)
{
	struct options_box *box = container_of(base, struct options_box, box);
	const Tlsplane__TlsOptions *body = (const Tlsplane__TlsOptions *)base->body;

	box->view.entry = base->entry;
	box->view.body = body;
	box->view.handshake_timeout_ms = decide_handshake_timeout_ms_of(body);
	box->view.sni_strict = body->has_sni_strict && body->sni_strict;
	return share_profile(build, box, &box->view.profile);
}

static void clear_options(struct box *box)
{
	profile_unref(container_of(box, struct options_box, box)->view.profile);
}

/* CA bundles ------------------------------------------------------------------------------------------------------ */

/* Unix seconds; 0: the CRL never becomes stale. */
static int read_next_update(struct bytes der, uint64_t *ret, struct error *err)
{
	CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
	CLEANUP(crl_info_deinit) struct crl_info info = {0};
	int r = crl_parse(der, &crl, err);

	if (r == 0)
		r = crl_info_read(crl, &info, err);
	if (r < 0)
		return r;
	if (info.next_update == INT64_MAX)
		*ret = 0;
	else
		*ret = info.next_update > 0 ? (uint64_t)info.next_update : 1;
	return 0;
}

static int fill_bundle(struct views_build *build, struct box *base)
{
	struct bundle_box *box = container_of(base, struct bundle_box, box);
	const Tlsplane__CaBundle *body = (const Tlsplane__CaBundle *)base->body;

	for (size_t i = 0; i < body->n_crls; i++) {
		struct error why = ERROR_NULL;
		uint64_t next_update = 0;
		char field[32];
		int r = read_next_update(BYTES(body->crls[i].data, body->crls[i].len), &next_update, &why);

		if (r < 0) {
			snprintf(field, sizeof(field), "/crls/%zu", i);
			return refuse_for(build, base, field, &why, r);
		}
		if (next_update > 0 && (box->next_update == 0 || next_update < box->next_update)) {
			box->next_update = next_update;
			box->crl = i;
		}
	}
	return 0;
}

/* Upstreams ------------------------------------------------------------------------------------------------------- */

static int fill_upstream(struct views_build *build, struct box *base)
{
	struct upstream_box *box = container_of(base, struct upstream_box, box);
	struct error why = ERROR_NULL;
	int r;

	box->view.entry = base->entry;
	box->view.body = (const Tlsplane__Upstream *)base->body;
	r = upstream_new(build->context->loop, base->entry->id, box->view.body, build->context->upstream_events,
	                 &box->view.upstream, &why);
	return r < 0 ? refuse_for(build, base, "", &why, r) : 0;
}

/* The last set of views that has an upstream is gone: stop resolving. Connections may still count it. */
static void clear_upstream(struct box *base)
{
	struct upstream_box *box = container_of(base, struct upstream_box, box);

	if (box->view.upstream != NULL)
		upstream_retire(box->view.upstream);
	upstream_unref(box->view.upstream);
}

/* Upstream TLS ---------------------------------------------------------------------------------------------------- */

static const struct box *find_bundle(const struct views *views, const Tlsplane__UpstreamTls *body)
{
	return body->ca_bundle != NULL ? views_find(views, KIND_CA_BUNDLE, body->ca_bundle) : NULL;
}

bool upstream_tls_box_is_current(const struct views *views, const struct upstream_tls_box *box)
{
	return find_bundle(views, box->view.body) == box->bundle;
}

static int digest_origin(const struct upstream_tls_box *box, struct digest *ret, struct error *err)
{
	struct digest parts[2] = {box->box.entry->digest, box->bundle != NULL ? box->bundle->entry->digest : DIGEST_NULL};

	_Static_assert(sizeof(parts) == 2 * DIGEST_LEN, "digests are bytes alone");
	return crypto_sha256(BYTES(parts, sizeof(parts)), ret->bytes, err);
}

static int fill_upstream_tls(struct views_build *build, struct box *base)
{
	struct upstream_tls_box *box = container_of(base, struct upstream_tls_box, box);
	const Tlsplane__UpstreamTls *body = (const Tlsplane__UpstreamTls *)base->body;
	const struct box *bundle = find_bundle(build->views, body);
	struct error why = ERROR_NULL;
	struct digest digest;
	int r;

	box->view.entry = base->entry;
	box->view.body = body;
	if (bundle != NULL)
		box->bundle = box_ref((struct box *)(uintptr_t)bundle);
	r = digest_origin(box, &digest, build->err);
	if (r < 0)
		return r;
	r = origin_profile_new(body, bundle != NULL ? (const Tlsplane__CaBundle *)bundle->body : NULL, &digest,
	                       build->context->system_ca_file, &box->view.profile, &why);
	return r < 0 ? refuse_for(build, base, "", &why, r) : 0;
}

static void clear_upstream_tls(struct box *base)
{
	struct upstream_tls_box *box = container_of(base, struct upstream_tls_box, box);

	origin_profile_unref(box->view.profile);
	box_unref(box->bundle);
}

/* Routes and listeners -------------------------------------------------------------------------------------------- */

static int fill_route(struct views_build *build, struct box *base)
{
	struct route_box *box = container_of(base, struct route_box, box);

	box->view.entry = base->entry;
	box->view.body = (const Tlsplane__Route *)base->body;
	return 0;
}

static int fill_listener(struct views_build *build, struct box *base)
{
	struct listener_box *box = container_of(base, struct listener_box, box);

	if (listener_format_address((const Tlsplane__Listener *)base->body, box->address) == 0)
		return 0;
	return refuse(build->refusal, build->err, TLSPLANE__NACK_CODE__NACK_UNKNOWN, base->entry, "/bind",
	              "not an IP address and port");
}

const struct box_ops box_ops[SNAPSHOT_KINDS] = {
    [KIND_TLS_OPTIONS] = {sizeof(struct options_box), fill_options, clear_options},
    [KIND_LISTENER] = {sizeof(struct listener_box), fill_listener, NULL},
    [KIND_UPSTREAM] = {sizeof(struct upstream_box), fill_upstream, clear_upstream},
    [KIND_CA_BUNDLE] = {sizeof(struct bundle_box), fill_bundle, NULL},
    [KIND_ROUTE] = {sizeof(struct route_box), fill_route, NULL},
    [KIND_UPSTREAM_TLS] = {sizeof(struct upstream_tls_box), fill_upstream_tls, clear_upstream_tls},
};
