/* SPDX-License-Identifier: Apache-2.0 */
/* The Nth allocation of our own code fails: each maker says so and leaves nothing behind (the sanitizers look). */
#include "allocations.h"
#include "bodies.h"
#include "crypto/seal.h"
#include "shake.h"
#include "tls/hello_hook.h"
#include "tls/profile.h"
#include "tls/site.h"
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
	ProtobufCBinaryData der = bodies_der(ca);
	const struct trust_rules rules = {.require = true, .depth = 1, .anchors = {&der, 1}, .source = {{1}}};
	struct trust_cache *cache = NULL;
	struct trust *trust = NULL;
	int r;

	ck_assert_int_eq(trust_cache_new(4, &cache, NULL), 0);
	for (size_t n = 1;; n++) {
		allocations_fail_at(n);
		r = trust_cache_get(cache, &rules, &trust, NULL);
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
	pki_free(ca);
}
END_TEST

UNIT_MAIN("tls/memory", test_profile, test_site, test_trust)
