/* SPDX-License-Identifier: Apache-2.0 */
/* The Nth allocation of our own code fails: each maker says so and leaves nothing behind (the sanitizers look). */
#include "allocations.h"
#include "bodies.h"
#include "crls.h"
#include "crypto/seal.h"
#include "shake.h"
#include "tls/hello_hook.h"
#include "tls/origin.h"
#include "tls/profile.h"
#include "tls/site.h"
#include "tls/tickets.h"
#include "tls/trust.h"
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

START_TEST(test_profile)
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;
	char *protocols[] = {(char[]){"h2"}};
	struct profile *profile = NULL;
	int r;

	options.has_min_version = 1;
	options.min_version = 0x0303;
	options.alpn_protocols = protocols;
	options.n_alpn_protocols = 1;
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = profile_new(&options, &profile, NULL);
		if (!allocations_stop())
			break;
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_ptr_null(profile);
	}
	ck_assert_int_eq(r, 0);
	profile_unref(profile);
}
END_TEST

START_TEST(test_site)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true}),
	                *leaf = pki_make(&(struct pki_spec){.issuer = ca});
	char dir[] = "/tmp/tlsplane-test-XXXXXX", path[64];
	struct buf body = BUF_NULL, secret = BUF_NULL, sealed = BUF_NULL;
	struct digest digest = DIGEST_NULL;
	struct keyring *keyring = NULL;
	struct site_cache *cache = NULL;
	struct site_source source;
	struct site *site = NULL;
	int r;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/keyring", dir);
	ck_assert_int_eq(keyring_load(path, true, &keyring, NULL), 0);
	unlink(path);
	rmdir(dir);
	bodies_make_ssl(
	    &(struct ssl_spec){
	        .snis = {"a.test"}, .pairs = {leaf}, .intermediate = ca, .client_ca = ca, .tls_options = "o"},
	    &body, &secret);
	ck_assert_int_eq(keyring_seal(keyring, BYTES_NULL, BYTES(secret.data, secret.len), &sealed, NULL), 0);
	source = (struct site_source){&digest, BYTES(body.data, body.len), BYTES(sealed.data, sealed.len), BYTES_NULL};
	ck_assert_int_eq(site_cache_new(keyring, 4, &cache, NULL), 0);
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = site_cache_get(cache, &source, &site, NULL);
		if (!allocations_stop())
			break;
		if (r == 0) { /* only the cache could not keep it */
			site = site_unref(site);
			continue;
		}
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_ptr_null(site);
	}
	ck_assert_int_eq(r, 0);
	site_unref(site);
	site_cache_free(cache);
	keyring_free(keyring);
	buf_deinit(&body);
	buf_deinit(&secret);
	buf_deinit(&sealed);
	pki_free(leaf);
	pki_free(ca);
}
END_TEST

START_TEST(test_trust)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	ProtobufCBinaryData der = bodies_der(ca), crl = crls_make(&(struct pki_crl_spec){.issuer = ca});
	Tlsplane__ClientAuth part = TLSPLANE__CLIENT_AUTH__INIT;
	Tlsplane__CaBundle bundle = TLSPLANE__CA_BUNDLE__INIT;
	struct decide_client client = {.ask = true, .verify = true, .depth = 1, .anchors = &der, .anchors_len = 1,
	                               .parts = {&part}, .parts_len = 1, .send_ca_names = true};
	const struct digest key = {{1}};
	struct trust_cache *cache = NULL;
	struct trust *trust = NULL;
	int r;

	part.n_pins = 1;
	part.pins = &der;
	bundle.n_crls = 1;
	bundle.crls = &crl;
	client.bundles[0] = (struct decide_bundle){.id = "b", .body = &bundle};
	ck_assert_int_eq(trust_cache_new(4, &cache, NULL), 0);
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = trust_cache_get(cache, &key, &client, &trust, NULL);
		if (!allocations_stop())
			break;
		if (r == 0) {
			trust = trust_unref(trust);
			continue;
		}
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_ptr_null(trust);
	}
	ck_assert_int_eq(r, 0);
	trust_unref(trust);
	trust_cache_free(cache);
	free(der.data);
	free(crl.data);
	pki_free(ca);
}
END_TEST

START_TEST(test_ticket_sets)
{
	Tlsplane__TicketKeys keys = TLSPLANE__TICKET_KEYS__INIT;
	Tlsplane__TicketSet sets[2] = {TLSPLANE__TICKET_SET__INIT, TLSPLANE__TICKET_SET__INIT}, *list[] = {&sets[0], &sets[1]};
	Tlsplane__TicketKey key = TLSPLANE__TICKET_KEY__INIT, *key_list[] = {&key};
	char *selectors[] = {(char[]){""}, (char[]){"a=b"}};
	uint8_t bytes[TICKET_SECRET_LEN] = {1};
	struct ticket_sets *made = NULL;
	int r;

	key.name = (ProtobufCBinaryData){TICKET_NAME_LEN, bytes};
	key.secret = (ProtobufCBinaryData){TICKET_SECRET_LEN, bytes};
	for (int i = 0; i < 2; i++) {
		sets[i].selector = selectors[i];
		sets[i].n_keys = 1;
		sets[i].keys = key_list;
	}
	keys.n_sets = 2;
	keys.sets = list;
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = ticket_sets_new(&keys, &made, NULL);
		if (!allocations_stop())
			break;
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_ptr_null(made);
	}
	ck_assert_int_eq(r, 0);
	ticket_sets_unref(made);
}
END_TEST

START_TEST(test_origin)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	ProtobufCBinaryData der = bodies_der(ca);
	Tlsplane__UpstreamTls body = TLSPLANE__UPSTREAM_TLS__INIT;
	char *protocols[] = {(char[]){"h2"}};
	struct origin_target target = {.host = "o.test", .port = 1};
	const struct digest digest = {{1}};
	struct origin_profile *profile = NULL;
	struct origin_cache *cache = NULL;
	struct origin_seat seat;
	SSL *ssl = NULL;
	int r;

	body.n_ca = 1;
	body.ca = &der;
	body.n_alpn_protocols = 1;
	body.alpn_protocols = protocols;
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = origin_profile_new(&body, NULL, &digest, NULL, &profile, NULL);
		if (!allocations_stop())
			break;
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_ptr_null(profile);
	}
	ck_assert_int_eq(r, 0);
	allocations_fail_at(1);
	r = origin_cache_new(8, &cache, NULL);
	allocations_stop();
	ck_assert_int_eq(r, E_NOMEM);
	ck_assert_int_eq(origin_cache_new(8, &cache, NULL), 0);
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = origin_ssl_new(profile, cache, &target, &seat, &ssl, NULL);
		if (!allocations_stop())
			break;
		ck_assert_int_eq(r, E_NOMEM);
		ck_assert_ptr_null(ssl);
		origin_seat_deinit(&seat);
	}
	ck_assert_int_eq(r, 0);
	SSL_free(ssl);
	origin_seat_deinit(&seat);
	origin_cache_free(cache);
	origin_profile_unref(profile);
	free(der.data);
	pki_free(ca);
}
END_TEST

UNIT_MAIN("tls/memory", test_profile, test_site, test_trust, test_ticket_sets, test_origin)
