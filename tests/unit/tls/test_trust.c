/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/trust.h"

#include "bodies.h"
#include "shake.h"
#include "tls/profile.h"
#include "tls/site.h"
#include "unit.h"

#include <stdlib.h>

struct probe {
	struct hello_hook hook;
	struct profile *profile;
	struct site *site;
	struct trust *trust;
};

static int on_hello(struct hello_hook *hook, SSL *ssl, int *alert)
{
	struct probe *probe = (struct probe *)hook;

	if (profile_put_on(probe->profile, ssl, 0, 0, NULL) < 0 || trust_put_on(probe->trust, ssl, NULL) < 0)
		return -1;
	return site_put_on(probe->site, ssl, NULL);
}

/* The server's verdict on a client, the same for both versions. */
static bool is_let_in(struct trust *trust, const struct pki_cert *cert, const struct pki_cert *chain, int *ret_names)
{
	Tlsplane__TlsOptions options = TLSPLANE__TLS_OPTIONS__INIT;
	struct probe probe = {.hook = {on_hello}, .trust = trust};
	SSL_CTX *front = NULL;
	bool done[2];

	options.has_min_version = 1;
	options.min_version = TLS1_2_VERSION;
	ck_assert_int_eq(profile_new(&options, &probe.profile, NULL), 0);
	ck_assert_int_eq(site_new_self_signed(&probe.site, NULL), 0);
	ck_assert_int_eq(front_new(&front, NULL), 0);
	for (int i = 0; i < 2; i++) {
		int version = i == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
		struct shake shake;

		shake_run(front, &probe.hook,
		          &(struct shake_spec){.min = version, .max = version, .cert = cert, .chain = chain}, &shake);
		done[i] = shake.done;
		if (ret_names != NULL)
			*ret_names = shake.ca_names;
		shake_deinit(&shake);
	}
	ck_assert(done[0] == done[1]);
	SSL_CTX_free(front);
	profile_unref(probe.profile);
	site_unref(probe.site);
	return done[0];
}

static struct trust *make(struct trust_cache *cache, const struct pki_cert *const *cas, size_t count, uint32_t depth,
                          uint8_t source)
{
	ProtobufCBinaryData *certs = calloc(count + 1, sizeof(*certs));
	struct trust_rules rules = {.require = true, .depth = depth, .anchors = {certs, count}, .source = {{source}}};
	struct trust *trust = NULL;
	struct error err = ERROR_NULL;

	for (size_t i = 0; i < count; i++)
		certs[i] = bodies_der(cas[i]);
	ck_assert_msg(trust_cache_get(cache, &rules, &trust, &err) == 0, "%s", err.text);
	for (size_t i = 0; i < count; i++)
		free(certs[i].data);
	free(certs);
	return trust;
}

START_TEST(test_verdicts)
{
	struct pki_cert *root = pki_make(&(struct pki_spec){.name = "root", .is_ca = true});
	struct pki_cert *wrong = pki_make(&(struct pki_spec){.name = "wrong", .is_ca = true});
	struct pki_cert *middle = pki_make(&(struct pki_spec){.name = "middle", .is_ca = true, .issuer = root});
	struct pki_cert *near = pki_make(&(struct pki_spec){.name = "near", .issuer = root, .usage = "clientAuth"});
	struct pki_cert *far = pki_make(&(struct pki_spec){.name = "far", .issuer = middle});
	struct pki_cert *alien = pki_make(&(struct pki_spec){.name = "alien", .issuer = wrong});
	struct pki_cert *mail = pki_make(&(struct pki_spec){.name = "mail", .issuer = root, .usage = "emailProtection"});
	struct pki_cert *old =
	    pki_make(&(struct pki_spec){.name = "old", .issuer = root, .not_before = -7200, .not_after = -3600});
	struct pki_cert *self = pki_make(&(struct pki_spec){.name = "self"});
	struct trust_cache *cache = NULL;
	struct trust *deep, *flat, *partial, *empty;

	ck_assert_int_eq(trust_cache_new(8, &cache, NULL), 0);
	deep = make(cache, (const struct pki_cert *[]){root}, 1, 1, 1);
	flat = make(cache, (const struct pki_cert *[]){root}, 1, 0, 1);
	partial = make(cache, (const struct pki_cert *[]){middle}, 1, 4, 2);
	empty = make(cache, NULL, 0, 1, 3);
	ck_assert(is_let_in(NULL, NULL, NULL, NULL)); /* nobody is asked */
	ck_assert(is_let_in(deep, near, NULL, NULL));
	ck_assert(is_let_in(deep, far, middle, NULL));
	ck_assert(is_let_in(flat, near, NULL, NULL));
	ck_assert(!is_let_in(flat, far, middle, NULL)); /* one intermediate too many */
	ck_assert(!is_let_in(deep, NULL, NULL, NULL));
	ck_assert(!is_let_in(deep, far, NULL, NULL)); /* the chain has a hole */
	ck_assert(!is_let_in(deep, alien, NULL, NULL));
	ck_assert(!is_let_in(deep, mail, NULL, NULL));
	ck_assert(!is_let_in(deep, old, NULL, NULL));
	ck_assert(!is_let_in(deep, self, NULL, NULL));
	ck_assert(!is_let_in(partial, far, NULL, NULL)); /* an intermediate is no anchor */
	ck_assert(!is_let_in(empty, near, NULL, NULL));
	trust_unref(deep);
	trust_unref(flat);
	trust_unref(partial);
	trust_unref(empty);
	trust_cache_free(cache);
	for (struct pki_cert **at = (struct pki_cert *[]){root, wrong, middle, near, far, alien, mail, old, self, NULL};
	     *at != NULL; at++)
		pki_free(*at);
}
END_TEST

START_TEST(test_names)
{
	struct pki_cert *cas[33], *leaf;
	struct trust_cache *cache = NULL;
	struct trust *few, *many;
	char name[16];
	int names;

	for (int i = 0; i < 33; i++) {
		snprintf(name, sizeof(name), "ca-%d", i);
		cas[i] = pki_make(&(struct pki_spec){.name = name, .is_ca = true});
	}
	leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = cas[0]});
	ck_assert_int_eq(trust_cache_new(8, &cache, NULL), 0);
	few = make(cache, (const struct pki_cert *const *)cas, 32, 1, 1);
	many = make(cache, (const struct pki_cert *const *)cas, 33, 1, 2);
	ck_assert(is_let_in(few, leaf, NULL, &names));
	ck_assert(!is_let_in(few, NULL, NULL, &names));
	ck_assert_int_eq(names, 32);
	ck_assert(!is_let_in(many, NULL, NULL, &names));
	ck_assert_int_le(names, 0); /* none: any CA, rather than a part of them */
	trust_unref(few);
	trust_unref(many);
	trust_cache_free(cache);
	pki_free(leaf);
	for (int i = 0; i < 33; i++)
		pki_free(cas[i]);
}
END_TEST

START_TEST(test_cache)
{
	struct pki_cert *a = pki_make(&(struct pki_spec){.name = "a", .is_ca = true});
	struct pki_cert *b = pki_make(&(struct pki_spec){.name = "b", .is_ca = true});
	struct trust_cache *cache = NULL;
	struct trust *one, *same, *deeper, *other, *copy, *none = NULL;
	struct trust_rules broken = {
	    .require = true, .anchors = {&(ProtobufCBinaryData){3, (uint8_t *)(uintptr_t) "abc"}, 1}, .source = {{9}}};
	struct trust_rules nothing = {.require = false};

	ck_assert_int_eq(trust_cache_new(8, &cache, NULL), 0);
	one = make(cache, (const struct pki_cert *[]){a}, 1, 1, 1);
	same = make(cache, (const struct pki_cert *[]){a}, 1, 1, 1);
	deeper = make(cache, (const struct pki_cert *[]){a}, 1, 2, 1);
	other = make(cache, (const struct pki_cert *[]){b}, 1, 1, 2);
	copy = make(cache, (const struct pki_cert *[]){a}, 1, 1, 3); /* the same anchors in another object */
	ck_assert_ptr_eq(one, same);
	ck_assert(!digest_is_equal(trust_digest(one), trust_digest(deeper)));
	ck_assert(!digest_is_equal(trust_digest(one), trust_digest(other)));
	ck_assert(digest_is_equal(trust_digest(one), trust_digest(copy)));
	ck_assert_int_lt(trust_cache_get(cache, &broken, &none, NULL), 0);
	ck_assert_int_eq(trust_cache_get(cache, &nothing, &none, NULL), 0);
	ck_assert_ptr_null(none);
	for (struct trust **at = (struct trust *[]){one, same, deeper, other, copy, NULL}; *at != NULL; at++)
		trust_unref(*at);
	trust_cache_free(cache);
	pki_free(a);
	pki_free(b);
}
END_TEST

UNIT_MAIN("tls/trust", test_verdicts, test_names, test_cache)
