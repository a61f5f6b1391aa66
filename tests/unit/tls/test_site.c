/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/site.h"

#include "bodies.h"
#include "crypto/crypto.h"
#include "shake.h"
#include "tls/profile.h"
#include "tls/site_parse.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct keyring *keyring;

/* One SSL object at rest. */
struct rest {
	struct buf body, sealed;
	struct digest digest;
	struct site_source source;
};

static void make_keyring(void)
{
	char dir[] = "/tmp/tlsplane-test-XXXXXX", path[64];
	struct error err = ERROR_NULL;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/keyring", dir);
	ck_assert_msg(keyring_load(path, true, &keyring, &err) == 0, "%s", err.text);
	unlink(path);
	rmdir(dir);
}

static void rest_init(struct rest *rest, const struct ssl_spec *spec, uint8_t number)
{
	struct buf secret = BUF_NULL;

	memset(rest, 0, sizeof(*rest));
	bodies_make_ssl(spec, &rest->body, &secret);
	ck_assert_int_eq(keyring_seal(keyring, BYTES("aad", 3), BYTES(secret.data, secret.len), &rest->sealed, NULL), 0);
	buf_deinit(&secret);
	rest->digest.bytes[0] = number;
	rest->source = (struct site_source){&rest->digest, BYTES(rest->body.data, rest->body.len),
	                                    BYTES(rest->sealed.data, rest->sealed.len), BYTES("aad", 3)};
}

static void rest_deinit(struct rest *rest)
{
	buf_deinit(&rest->body);
	buf_deinit(&rest->sealed);
}

struct probe {
	struct hello_hook hook;
	const struct profile *profile;
	const struct site *site;
};

static int on_hello(struct hello_hook *hook, SSL *ssl, int *alert)
{
	struct probe *probe = (struct probe *)hook;

	return profile_put_on(probe->profile, ssl, 0, 0, NULL) == 0 ? site_put_on(probe->site, ssl, NULL) : -1;
}

static void run(const struct site *site, const struct shake_spec *spec, struct shake *shake)
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;
	struct probe probe = {.hook = {on_hello}, .site = site};
	struct profile *profile = NULL;
	SSL_CTX *front = NULL;

	options.has_min_version = 1;
	options.min_version = TLS1_2_VERSION;
	ck_assert_int_eq(profile_new(&options, &profile, NULL), 0);
	ck_assert_int_eq(front_new(&front, NULL), 0);
	probe.profile = profile;
	shake_run(front, &probe.hook, spec, shake);
	profile_unref(profile);
	SSL_CTX_free(front);
}

START_TEST(test_words)
{
	struct pki_cert *ca = pki_make(&(struct pki_spec){.name = "ca", .is_ca = true});
	struct pki_cert *leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = ca, .sans = "DNS:a.test"});
	struct site *site = NULL;
	struct rest rest;

	make_keyring();
	rest_init(&rest,
	          &(struct ssl_spec){.snis = {"a.test"},
	                             .pairs = {leaf},
	                             .client_ca = ca,
	                             .client_depth = 2,
	                             .tls_options = "strict",
	                             .protocols = {0x0303, 0x0304}},
	          1);
	ck_assert_int_eq(site_new(keyring, &rest.source, NULL, &site, NULL), 0);
	ck_assert_str_eq(site_tls_options(site), "strict");
	ck_assert_uint_eq(site_min_version(site), 0x0303);
	ck_assert_uint_eq(site_max_version(site), 0x0304);
	ck_assert_uint_eq(site_client(site)->n_ca, 1);
	ck_assert_uint_eq(site_client(site)->depth, 2);
	site_unref(site);
	rest_deinit(&rest);
	pki_free(leaf);
	pki_free(ca);
	keyring_free(keyring);
}
END_TEST

/* Each pair serves the clients that can use its type; the chain goes with the leaf. */
START_TEST(test_two_types)
{
	struct pki_cert *root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	struct pki_cert *middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	struct pki_cert *ec = pki_make(&(struct pki_spec){.name = "ec", .issuer = middle});
	struct pki_cert *rsa = pki_make(&(struct pki_spec){.name = "rsa", .issuer = middle, .key = "RSA-2048"});
	struct site *site = NULL;
	struct shake shake;
	struct rest rest;

	make_keyring();
	rest_init(&rest, &(struct ssl_spec){.snis = {"a.test"}, .pairs = {ec, rsa}, .intermediate = middle}, 1);
	ck_assert_int_eq(site_new(keyring, &rest.source, NULL, &site, NULL), 0);
	run(site, &(struct shake_spec){.max = TLS1_2_VERSION, .suites12 = "ECDHE-RSA-AES128-GCM-SHA256"}, &shake);
	ck_assert(shake.done);
	ck_assert_str_eq(shake.leaf, "rsa");
	ck_assert_int_eq(sk_X509_num(SSL_get_peer_cert_chain(shake.client)), 2);
	shake_deinit(&shake);
	run(site, &(struct shake_spec){.sni = "a.test"}, &shake);
	ck_assert(shake.done);
	ck_assert_str_eq(shake.leaf, "ec");
	shake_deinit(&shake);
	site_unref(site);
	rest_deinit(&rest);
	pki_free(rsa);
	pki_free(ec);
	pki_free(middle);
	pki_free(root);
	keyring_free(keyring);
}
END_TEST

START_TEST(test_key_types)
{
	static const char *const types[] = {"P-256", "P-384", "P-521", "Ed25519", "RSA-2048"};

	make_keyring();
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct pki_cert *leaf = pki_make(&(struct pki_spec){.name = types[i], .key = types[i]});
		struct site *site = NULL;
		struct error err = ERROR_NULL;
		struct shake shake;
		struct rest rest;

		rest_init(&rest, &(struct ssl_spec){.snis = {"a.test"}, .pairs = {leaf}}, 1);
		ck_assert_msg(site_new(keyring, &rest.source, NULL, &site, &err) == 0, "%s: %s", types[i], err.text);
		run(site, &(struct shake_spec){.sni = "a.test"}, &shake);
		ck_assert_msg(shake.done, "%s", types[i]);
		shake_deinit(&shake);
		site_unref(site);
		rest_deinit(&rest);
		pki_free(leaf);
	}
	keyring_free(keyring);
}
END_TEST

START_TEST(test_damaged)
{
	struct pki_cert *leaf = pki_make(&(struct pki_spec){.name = "leaf"}),
	                *other = pki_make(&(struct pki_spec){.name = "other"});
	struct error err = ERROR_NULL;
	struct site *site = NULL;
	struct rest rest, mixed;
	struct site_source source;

	make_keyring();
	rest_init(&rest, &(struct ssl_spec){.snis = {"a.test"}, .pairs = {leaf}}, 1);
	rest_init(&mixed, &(struct ssl_spec){.snis = {"a.test"}, .pairs = {other}}, 2);
	source = rest.source;
	source.aad = BYTES("bad", 3);
	ck_assert_int_eq(site_new(keyring, &source, NULL, &site, &err), E_CORRUPT);
	source = rest.source;
	source.sealed = mixed.source.sealed; /* another object's key */
	ck_assert_int_lt(site_new(keyring, &source, NULL, &site, &err), 0);
	source = rest.source;
	source.body.len /= 2;
	ck_assert_int_lt(site_new(keyring, &source, NULL, &site, &err), 0);
	source.body.len = 0;
	ck_assert_int_eq(site_new(keyring, &source, NULL, &site, &err), E_CORRUPT);
	ck_assert_ptr_null(site);
	rest_deinit(&rest);
	rest_deinit(&mixed);
	pki_free(leaf);
	pki_free(other);
	keyring_free(keyring);
}
END_TEST

START_TEST(test_cache)
{
	struct pki_cert *leaf = pki_make(&(struct pki_spec){.name = "leaf"});
	struct site *first = NULL, *second = NULL, *third = NULL;
	struct site_cache *cache = NULL;
	uint64_t entries, hits, misses;
	struct rest rest[3];

	make_keyring();
	ck_assert_int_eq(site_cache_new(keyring, 2, &cache, NULL), 0);
	for (uint8_t i = 0; i < 3; i++)
		rest_init(&rest[i], &(struct ssl_spec){.snis = {"a.test"}, .pairs = {leaf}}, i);
	ck_assert_int_eq(site_cache_get(cache, &rest[0].source, &first, NULL), 0);
	ck_assert_int_eq(site_cache_get(cache, &rest[0].source, &second, NULL), 0);
	ck_assert_ptr_eq(first, second);
	site_unref(second);
	ck_assert_int_eq(site_cache_get(cache, &rest[1].source, &second, NULL), 0);
	ck_assert_int_eq(site_cache_get(cache, &rest[2].source, &third, NULL),
	                 0); /* pushes the first out, which is still in use */
	site_cache_stats(cache, &entries, &hits, &misses);
	ck_assert_uint_eq(entries, 2);
	ck_assert_uint_eq(hits, 1);
	ck_assert_uint_eq(misses, 3);
	site_cache_drop(cache, &rest[2].digest);
	site_cache_stats(cache, &entries, &hits, &misses);
	ck_assert_uint_eq(entries, 1);
	site_cache_free(cache);
	ck_assert_uint_eq(site_min_version(first) + site_min_version(third), 0);
	site_unref(first);
	site_unref(second);
	site_unref(third);
	for (int i = 0; i < 3; i++)
		rest_deinit(&rest[i]);
	pki_free(leaf);
	keyring_free(keyring);
}
END_TEST

static X509 *issuer_of(struct site_cache *cache, const struct rest *rest, struct site **ret)
{
	ck_assert_int_eq(site_cache_get(cache, &rest->source, ret, NULL), 0);
	ck_assert_int_eq(sk_X509_num((*ret)->pairs[0].chain), 1);
	return sk_X509_value((*ret)->pairs[0].chain, 0);
}

/* Sites of one cache share what issued them, and only what is byte for byte the same. */
START_TEST(test_shared_intermediates)
{
	struct pki_cert *root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true}), *middles[2], *leaves[3];
	struct site_cache *cache = NULL;
	struct site *sites[3] = {NULL};
	X509 *issuers[3];
	struct rest rest[3];

	make_keyring();
	ck_assert_int_eq(site_cache_new(keyring, 8, &cache, NULL), 0);
	for (int i = 0; i < 2; i++)
		middles[i] = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	for (uint8_t i = 0; i < 3; i++) {
		leaves[i] = pki_make(&(struct pki_spec){.name = "leaf", .issuer = middles[i / 2]});
		rest_init(&rest[i],
		          &(struct ssl_spec){.snis = {"a.test"}, .pairs = {leaves[i]}, .intermediate = middles[i / 2]}, i);
		issuers[i] = issuer_of(cache, &rest[i], &sites[i]);
		ck_assert_int_eq(X509_cmp(issuers[i], middles[i / 2]->cert), 0);
	}
	ck_assert_ptr_eq(issuers[0], issuers[1]);
	ck_assert_ptr_ne(issuers[0], issuers[2]);
	site_cache_free(cache); /* sites outlive it */
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(X509_cmp(issuers[i], middles[i / 2]->cert), 0);
		site_unref(sites[i]);
		rest_deinit(&rest[i]);
		pki_free(leaves[i]);
	}
	pki_free(middles[0]);
	pki_free(middles[1]);
	pki_free(root);
	keyring_free(keyring);
}
END_TEST

START_TEST(test_self_signed)
{
	struct site *site = NULL;
	struct shake shake;

	ck_assert_int_eq(site_new_self_signed(&site, NULL), 0);
	run(site, &(struct shake_spec){.sni = NULL}, &shake);
	ck_assert(shake.done);
	ck_assert_str_eq(shake.leaf, "tlsplane default");
	shake_deinit(&shake);
	site_unref(site);
}
END_TEST

UNIT_MAIN("tls/site", test_words, test_two_types, test_key_types, test_damaged, test_cache, test_shared_intermediates,
          test_self_signed)
