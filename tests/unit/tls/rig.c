/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include "bodies.h"
#include "crypto/crypto.h"
#include "tls/site.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct trust *rig_trust(const struct rig_rules *rules)
{
	ProtobufCBinaryData anchors[34];
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	struct decide_client client = {
		.ask = rules->mode != TLSPLANE__CLIENT_VERIFY__VERIFY_NONE,
		.demand = rules->mode == TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE || rules->mode == TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE_ANY,
		.verify = rules->mode == TLSPLANE__CLIENT_VERIFY__VERIFY_REQUIRE || rules->mode == TLSPLANE__CLIENT_VERIFY__VERIFY_IF_GIVEN,
		.depth = rules->flat ? 0 : rules->depth == 0 ? 1 : rules->depth,
		.anchors = anchors,
		.allow_stale_crls = rules->accept_stale,
		.send_ca_names = !rules->hide_names,
		.map_identity = rules->map_identity};
	struct trust_cache *cache = NULL;
	struct trust *trust = NULL;
	struct error err = ERROR_NULL;
	int r;

	for (; rules->cas[client.anchors_len] != NULL; client.anchors_len++)
		anchors[client.anchors_len] = bodies_der(rules->cas[client.anchors_len]);
	for (; client.parts_len < 2 && rules->parts[client.parts_len] != NULL; client.parts_len++)
		client.parts[client.parts_len] = rules->parts[client.parts_len];
	bundle.crls = (ProtobufCBinaryData *)(uintptr_t)rules->crls;
	bundle.n_crls = rules->crls_len;
	client.bundles[1] = (struct decide_bundle){.id = "bundle", .body = &bundle};
	ck_assert_int_eq(trust_cache_new(1, &cache, NULL), 0);
	r = trust_cache_get(cache, &(struct digest){{1}}, &client, &trust, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	trust_cache_free(cache);
	for (size_t i = 0; i < client.anchors_len; i++)
		free(anchors[i].data);
	return trust;
}

struct profile *rig_profile(uint16_t min, uint16_t max, uint32_t suite12, uint32_t suite13)
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;
	uint32_t suites[2];
	struct profile *profile = NULL;
	struct error err = ERROR_NULL;
	int r;

	options.has_min_version = options.has_max_version = 1;
	options.min_version = min;
	options.max_version = max;
	options.cipher_suites = suites;
	if (suite12 != 0)
		suites[options.n_cipher_suites++] = suite12;
	if (suite13 != 0)
		suites[options.n_cipher_suites++] = suite13;
	r = profile_new(&options, &profile, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	return profile;
}

static int put_context(const struct rig_policy *policy, SSL *ssl)
{
	uint8_t digest[SHA256_LEN];
	struct buf bytes = BUF_NULL;
	int r;

	buf_put_str(&bytes, policy->shares_context ? "all" : policy->name);
	if (!policy->shares_context) {
		buf_put(&bytes, trust_digest(policy->trust)->bytes, DIGEST_LEN);
		buf_put(&bytes, profile_digest(policy->profile)->bytes, DIGEST_LEN);
	}
	r = crypto_sha256(BYTES(bytes.data, bytes.len), digest, NULL);
	buf_deinit(&bytes);
	return r == 0 && SSL_set_session_id_context(ssl, digest, sizeof(digest)) == 1 ? 0 : -1;
}

static int on_hello(struct hello_hook *hook, SSL *ssl, int *alert)
{
	struct rig *rig = (struct rig *)hook;
	const struct rig_policy *policy = rig->policy;
	static struct site *site;

	if (site == NULL)
		ck_assert_int_eq(site_new_self_signed(&site, NULL), 0);
	if (rig->calls++ > 0)
		return 0;
	if (seat_set(&rig->seat, ssl) < 0 || profile_put_on(policy->profile, ssl, 0, 0, NULL) < 0 ||
	    trust_put_on(policy->trust, ssl, &rig->seat, NULL) < 0 ||
	    tickets_put_on(&policy->tickets, ssl, &rig->seat, NULL) < 0 || site_put_on(site, ssl, NULL) < 0)
		return -1;
	SSL_CTX_set_session_cache_mode(SSL_get_SSL_CTX(ssl), policy->caches ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
	if (policy->caches)
		SSL_set_num_tickets(ssl, 2);
	return put_context(policy, ssl);
}

void rig_run(const struct rig_policy *policy, const struct shake_spec *spec, struct rig *ret)
{
	static SSL_CTX *fronts[2];
	SSL_CTX *front;

	for (int i = 0; i < 2; i++)
		if (fronts[i] == NULL)
			ck_assert_int_eq(front_new(&fronts[i], NULL), 0);
	SSL_CTX_set_session_cache_mode(fronts[1], SSL_SESS_CACHE_SERVER);
	front = fronts[policy->caches ? 1 : 0];
	*ret = (struct rig){.hook = {on_hello}, .policy = policy};
	shake_run(front, &ret->hook, spec, &ret->shake);
	seat_settle(&ret->seat, ret->shake.server, ret->shake.error);
	ret->chain_len = ret->seat.facts != NULL ? ret->seat.facts->chain_len : 0;
}

bool rig_resumed(const struct rig *rig)
{
	return rig->shake.done && SSL_session_reused(rig->shake.server) == 1;
}

SSL_SESSION *rig_session(const struct rig *rig)
{
	SSL_SESSION *session = SSL_get1_session(rig->shake.client);

	ck_assert_ptr_nonnull(session);
	return session;
}

void rig_deinit(struct rig *rig)
{
	shake_deinit(&rig->shake);
	seat_deinit(&rig->seat);
}
