/* SPDX-License-Identifier: Apache-2.0 */
/* Origin profiles: from the upstream_tls object to an SSL_CTX. */
#include "tls/origin.h"

#include "base/buf.h"
#include "base/memory.h"
#include "crypto/crypto.h"
#include "model/body.h"
#include "model/effective.h"
#include "tls/anchors.h"
#include "tls/meaning.h"
#include "tls/origin_impl.h"
#include "tls/tls_impl.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(SSL_CTX, SSL_CTX_free);

bool origin_checks_chain(const struct origin_profile *profile)
{
	return profile->body->verify != TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED &&
	       profile->body->properties != TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_NAME;
}

bool origin_checks_name(const struct origin_profile *profile)
{
	return profile->body->verify != TLSPLANE__UPSTREAM_VERIFY__UPSTREAM_VERIFY_DISABLED &&
	       profile->body->properties != TLSPLANE__UPSTREAM_PROPERTIES__UPSTREAM_PROPERTIES_SIGNATURE;
}

/* The crypto parameters as options have them, with the defaults towards origins. */
static int read_meaning(const Tlsplane__UpstreamTls *body, struct meaning *ret, struct error *err)
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;

	options.has_min_version = options.has_max_version = 1;
	options.min_version = effective_origin_min_version(body);
	options.max_version = effective_origin_max_version(body);
	options.n_cipher_suites = body->n_cipher_suites;
	options.cipher_suites = body->cipher_suites;
	options.n_curve_preferences = body->n_curve_preferences;
	options.curve_preferences = body->curve_preferences;
	options.n_alpn_protocols = body->n_alpn_protocols;
	options.alpn_protocols = body->alpn_protocols;
	return meaning_read(&options, ret, err);
}

static int add_bundle(struct origin_profile *profile, const Tlsplane__CaBundle *bundle, X509_STORE *store, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < bundle->n_certs; i++)
		r = anchors_add_cert(store, &bundle->certs[i], NULL, err);
	for (size_t i = 0; r == 0 && i < bundle->n_crls; i++)
		r = anchors_add_crl(store, &bundle->crls[i], err);
	profile->has_crls = bundle->n_crls > 0;
	return r;
}

/* System CAs that can't be read are the machine's fault, not the object's: told at every handshake instead of refusing the revision. */
static int fill_anchors(struct origin_profile *profile, const Tlsplane__UpstreamTls *body, const Tlsplane__CaBundle *bundle,
                        const char *system_ca_file, struct error *err)
{
	X509_STORE *store;
	int r = origin_anchors_init(&profile->anchors, effective_origin_system_ca(body) && origin_checks_chain(profile), system_ca_file, err);

	if (r < 0)
		return r;
	store = profile->anchors.own;
	if (body->ca_bundle != NULL && bundle == NULL)
		return error_set(err, E_INVALID, "/ca_bundle: %s is not held", body->ca_bundle);
	for (size_t i = 0; r == 0 && i < body->n_ca; i++)
		r = anchors_add_cert(store, &body->ca[i], NULL, err);
	if (r == 0 && bundle != NULL)
		r = add_bundle(profile, bundle, store, err);
	if (r < 0)
		return error_prefix(err, r, "%s", bundle != NULL ? "/ca_bundle" : "/ca");
	r = origin_anchors_refresh(&profile->anchors, err);
	return r == E_UNAVAILABLE ? 0 : r;
}

static int build_context(struct origin_profile *profile, const struct meaning *meaning, struct error *err)
{
	bool reuse = effective_origin_session_reuse(profile->body);
	int r;

	profile->ctx = SSL_CTX_new(TLS_client_method());
	if (profile->ctx == NULL)
		return crypto_error(err, "make a context");
	SSL_CTX_set_options(profile->ctx, TLS_OPTIONS_ALWAYS);
	if (reuse)
		SSL_CTX_clear_options(profile->ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(profile->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(profile->ctx, 1);
	SSL_CTX_set_mode(profile->ctx, TLS_MODES);
	SSL_CTX_set_verify(profile->ctx, SSL_VERIFY_PEER, NULL);
	origin_judge_install(profile->ctx);
	if (reuse)
		origin_cache_install(profile->ctx);
	r = meaning_put_on(meaning, profile->ctx, err);
	if (r == 0 && meaning->alpn.len > 0 &&
	    SSL_CTX_set_alpn_protos(profile->ctx, meaning->alpn.data, (unsigned)meaning->alpn.len) != 0)
		r = crypto_error(err, "/alpn_protocols");
	return r;
}

/* A copy without the anchors, which the store holds. */
static int copy_body(const Tlsplane__UpstreamTls *body, Tlsplane__UpstreamTls **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf bytes = BUF_NULL;
	Tlsplane__UpstreamTls words = *body;
	ProtobufCMessage *copy = NULL;
	int r;

	words.n_ca = 0;
	r = body_encode(&words.base, &bytes, err);
	if (r == 0)
		r = body_decode(&tlsplane__upstream_tls__descriptor, BYTES(bytes.data, bytes.len), &copy, err);
	if (r == 0)
		*ret = (Tlsplane__UpstreamTls *)copy;
	return r;
}

static int fill(struct origin_profile *profile, const Tlsplane__UpstreamTls *body, const Tlsplane__CaBundle *bundle,
                const char *system_ca_file, struct error *err)
{
	CLEANUP(meaning_deinit) struct meaning meaning = {0};
	int r = copy_body(body, &profile->body, err);

	if (r == 0)
		r = read_meaning(body, &meaning, err);
	if (r == 0)
		r = build_context(profile, &meaning, err);
	if (r == 0)
		r = fill_anchors(profile, body, bundle, system_ca_file, err);
	return r;
}

int origin_profile_new(const Tlsplane__UpstreamTls *body, const Tlsplane__CaBundle *bundle, const struct digest *digest,
                       const char *system_ca_file, struct origin_profile **ret, struct error *err)
{
	static const Tlsplane__UpstreamTls built_in = TLSPLANE__UPSTREAM_TLS__INIT;
	CLEANUP(origin_profile_unref) struct origin_profile *profile = calloc(1, sizeof(*profile));
	uint64_t failures = memory_failures();
	int r;

	if (profile == NULL)
		return error_nomem(err);
	atomic_init(&profile->count, 1);
	profile->digest = *digest;
	r = memory_judge(failures, fill(profile, body != NULL ? body : &built_in, bundle, system_ca_file, err), err);
	if (r == 0)
		*ret = TAKE_PTR(profile);
	return r;
}

struct origin_profile *origin_profile_ref(struct origin_profile *profile)
{
	atomic_fetch_add_explicit(&profile->count, 1, memory_order_relaxed);
	return profile;
}

struct origin_profile *origin_profile_unref(struct origin_profile *profile)
{
	if (profile == NULL || atomic_fetch_sub_explicit(&profile->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	SSL_CTX_free(profile->ctx);
	body_free((ProtobufCMessage *)profile->body);
	origin_anchors_deinit(&profile->anchors);
	free(profile);
	return NULL;
}

uint32_t origin_profile_timeout_ms(const struct origin_profile *profile)
{
	return effective_origin_handshake_timeout_ms(profile->body);
}

bool origin_profile_is_usable(struct origin_profile *profile, struct error *why)
{
	return origin_anchors_take(&profile->anchors, NULL, NULL, why) == 0;
}

void origin_profile_refresh(struct origin_profile *profile)
{
	(void)!origin_anchors_refresh(&profile->anchors, NULL); /* what is wrong stays with the anchors */
}
