/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of the JSON edge fails once, in our own code and in Jansson: the answer is E_NOMEM, nothing leaks,
 * nothing half-made comes out. Then in OpenSSL as well, which often calls it by another name, or does without: nothing
 * leaks, and it is never both. */
#include "parse.h"

#include "allocations.h"
#include "base/macros.h"
#include "base/memory.h"
#include "channel.pb-c.h"
#include "model/body.h"
#include "model/name.h"
#include "model/object.h"
#include "model/selector.h"
#include "pki.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

static struct pki_cert *ca, *leaf, *rsa;

/* strdup and reallocarray call libc's own malloc; the linker sends ours here. */
char *__wrap_strdup(const char *text);
void *__wrap_reallocarray(void *old, size_t count, size_t size);

char *__wrap_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = malloc(size);

	return copy == NULL ? NULL : memcpy(copy, text, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return realloc(old, count * size);
}

static bool openssl_fails;

void *__real_malloc(size_t size);
void *__real_realloc(void *old, size_t size);

static void *openssl_malloc(size_t size, const char *file, int line)
{
	return openssl_fails ? malloc(size) : __real_malloc(size);
}

static void *openssl_realloc(void *old, size_t size, const char *file, int line)
{
	return openssl_fails ? realloc(old, size) : __real_realloc(old, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
	free(memory);
}

static json_t *documents[7];
static const enum kind kinds[] = {KIND_SSL, KIND_TLS_OPTIONS, KIND_LISTENER, KIND_UPSTREAM, KIND_CA_BUNDLE,
                                  KIND_ROUTE, KIND_UPSTREAM_TLS};

#define COMMON "s:{s:s}, s:s, s:{s:s, s:s}"
#define COMMON_VALUES "labels", "a", "b", "desc", "text", "selector", "zone", "eu", "app", "web"

/* Beyond chain and mode. */
static void add_conditions(json_t *client)
{
	json_t *more = json_pack("{s:[{s:s, s:s}], s:[s], s:[s,s], s:s, s:s}", "allow", "dns", "a.test", "dn", "/O=o/CN=n", "deny_spki",
	                         "sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=", "deny_serials", "1", "02:ff", "stale_crls",
	                         "accept", "on_tighten", "keep");

	if (json_object_update_new(client, more) != 0)
		abort();
}

static void setup(void)
{
	char *crl;

	ca = pki_make(&(struct pki_spec){.is_ca = true});
	leaf = pki_make(&(struct pki_spec){.sans = "DNS:a.test,DNS:*.a.test", .issuer = ca});
	rsa = pki_make(&(struct pki_spec){.sans = "DNS:a.test", .key = "RSA-2048", .issuer = ca});
	crl = pki_make_crl(&(struct pki_crl_spec){.issuer = ca, .revoked = {leaf}});
	documents[0] = json_pack("{" COMMON ", s:[s,s,s], s:s, s:s, s:[s], s:[s], s:[s,s], s:{s:s, s:i}, s:s, s:i}",
	                         COMMON_VALUES, "snis", "a.test", "b\xc3\xbc.a.test", "x.test", "cert", leaf->pem, "key",
	                         leaf->key_pem, "certs", rsa->pem, "keys", rsa->key_pem, "ssl_protocols", "TLSv1.2",
	                         "TLSv1.3", "client", "ca", ca->pem, "depth", 1, "tls_options", "o", "priority", 3);
	documents[1] = json_pack("{" COMMON ", s:s, s:[s,i], s:[s,i], s:[s], s:s, s:{s:s, s:s}, s:f}", COMMON_VALUES,
	                         "min_version", "1.1", "cipher_suites", "TLS_AES_128_GCM_SHA256", 49171,
	                         "curve_preferences", "X25519", 23, "alpn_protocols", "h2", "default_ssl", "d",
	                         "client_auth", "verify", "require", "ca", ca->pem, "handshake_timeout", 2.5);
	documents[2] = json_pack("{" COMMON ", s:s, s:s, s:s, s:[s]}", COMMON_VALUES, "bind", "127.0.0.1:1", "upstream", "u",
	                         "tls_options", "o", "accept_proxy_protocol", "10.0.0.0/8");
	documents[3] = json_pack("{" COMMON ", s:{s:i, s:i}, s:s, s:s}", COMMON_VALUES, "nodes", "b.test:1", 1, "[::1]:2", 2,
	                         "upstream_tls", "t", "send_proxy_protocol", "v2");
	documents[4] = json_pack("{" COMMON ", s:s, s:s}", COMMON_VALUES, "certs", ca->pem, "crls", crl);
	documents[5] = json_pack("{" COMMON ", s:[s,s,s], s:[s,s], s:s, s:s, s:[s,s]}", COMMON_VALUES, "snis", "",
	                         "**.b\xc3\xbc.test", "a.test", "listeners", "l", "m", "mode", "terminate", "upstream", "u",
	                         "allow_clients", "10.0.0.0/8", "::1");
	documents[6] = json_pack("{" COMMON ", s:s, s:s, s:s, s:[{s:s, s:[s,s]}, {s:s, s:s, s:s, s:s}], s:[s], s:[s], s:[s], s:[s]}",
	                         COMMON_VALUES, "client_ssl", "c", "ca", ca->pem, "server_name", "a.test", "allow", "dns",
	                         "*.a.test", "uri", "spiffe://a/b", "spiffe://a/c/*", "cn", "x", "dn", "CN=a,O=b", "email",
	                         "*@a.test", "ip", "10.0.0.0/8", "pins",
	                         "sha256//ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=", "cipher_suites",
	                         "ECDHE-RSA-AES128-GCM-SHA256", "curve_preferences", "X25519", "alpn_protocols", "h2");
	for (size_t i = 0; i < ARRAY_LEN(documents); i++)
		if (documents[i] == NULL)
			abort();
	add_conditions(json_object_get(documents[0], "client"));
	add_conditions(json_object_get(documents[1], "client_auth"));
	json_object_set_new(documents[1], "session_tickets", json_pack("{s:i}", "count", 3));
	free(crl);
}

static size_t fail_each_parse(enum kind kind, json_t *document)
{
	struct resource_limits limits = limits_now();

	for (size_t n = 1;; n++) {
		struct findings findings = FINDINGS_NULL;
		struct resource *resource = NULL;
		struct error err = ERROR_NULL;
		bool failed;
		int r;

		allocations_fail_at(n);
		r = resource_parse(kind, "id", document, &limits, &findings, &resource, &err);
		failed = allocations_stop();
		if (r != 0) {
			ck_assert_msg(failed, "%s", err.text);
			if (r != E_NOMEM && !openssl_fails)
				print_findings(&findings);
			ck_assert_msg(r == E_NOMEM || openssl_fails, "allocation %zu of kind %u: %d %s", n, kind, r, err.text);
			ck_assert_ptr_null(resource);
		}
		ck_assert(openssl_fails || ERR_peek_error() == 0);
		ERR_clear_error();
		resource_free(resource);
		findings_deinit(&findings);
		if (!failed)
			return n;
	}
}

START_TEST(parsing)
{
	for (size_t i = 0; i < ARRAY_LEN(documents); i++)
		ck_assert_uint_gt(fail_each_parse(kinds[i], documents[i]), 10);
}
END_TEST

static size_t fail_each_render(const struct resource *resource)
{
	struct resource_state state = state_of(resource);
	struct resource_limits limits = limits_now();

	for (size_t n = 1;; n++) {
		struct error err = ERROR_NULL;
		json_t *document;
		bool failed;

		allocations_fail_at(n);
		document = resource_render(&state, &limits, &err);
		failed = allocations_stop();
		if (document == NULL)
			ck_assert_msg(failed && (err.code == E_NOMEM || openssl_fails), "allocation %zu of kind %u: %s", n,
			              resource->kind, err.text);
		json_decref(document);
		if (!failed)
			return n;
	}
}

START_TEST(rendering)
{
	for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
		struct outcome outcome = parse_json(kinds[i], "id", documents[i]);

		ck_assert_int_eq(outcome.code, 0);
		ck_assert_uint_gt(fail_each_render(outcome.resource), 10);
		outcome_deinit(&outcome);
	}
}
END_TEST

START_TEST(with_openssl)
{
	struct outcome outcome = parse_json(KIND_SSL, "id", documents[0]);

	openssl_fails = true;
	(void)fail_each_parse(KIND_SSL, documents[0]);
	(void)fail_each_parse(KIND_CA_BUNDLE, documents[4]);
	(void)fail_each_render(outcome.resource);
	openssl_fails = false;
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(json_text_and_patches)
{
	static const char text[] = "{\"a\": {\"b\": [1, 2.5, \"x\"]}, \"c\": null}";
	json_t *patch = load("{\"a\": {\"b\": null, \"c\": {\"d\": 1}}, \"e\": 1}");

	for (size_t n = 1;; n++) {
		struct error err = ERROR_NULL;
		json_t *document = NULL, *merged;
		int r;

		allocations_fail_at(n);
		r = resource_load_json(BYTES(text, sizeof(text) - 1), &document, &err);
		if (r == 0) {
			merged = resource_merge_patch(document, patch);
			if (!allocations_stop())
				ck_assert_ptr_nonnull(merged);
			else
				r = E_NOMEM;
			json_decref(merged);
		} else {
			ck_assert(allocations_stop());
		}
		json_decref(document);
		if (r == 0)
			break;
		ck_assert_msg(r == E_NOMEM, "allocation %zu: %s", n, err.text);
	}
	json_decref(patch);
}
END_TEST

START_TEST(bodies_digests_selectors)
{
	struct outcome outcome = parse_json(KIND_SSL, "id", documents[0]);
	struct resource_state state = state_of(outcome.resource);
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		CLEANUP(buf_deinit) struct buf out = BUF_NULL;
		ProtobufCMessage *body = NULL;
		struct error err = ERROR_NULL;
		struct digest digest = DIGEST_NULL;
		char pointer[256], *labels = NULL;
		int r;

		allocations_fail_at(n);
		r = body_decode(&tlsplane__ssl__descriptor, state.object.body, &body, &err);
		if (r == 0)
			r = body_check(KIND_SSL, body, pointer, &err);
		if (r == 0)
			r = body_encode(body, &out, &err);
		if (r == 0)
			r = object_digest(&state.object, &digest, &err);
		if (r == 0)
			r = chain_extend(&digest, (struct revision){1, 1}, NULL, 0, &err);
		if (r == 0)
			r = selector_from_labels("{\"a\":\"b\"}", &labels, &err);
		failed = allocations_stop();
		ck_assert_msg(r == 0 || (failed && (r == E_NOMEM || r == E_SYNTAX)), "allocation %zu: %d %s", n, r, err.text);
		free(labels);
		body_free(body);
	}
	outcome_deinit(&outcome);
}
END_TEST

START_TEST(presets)
{
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		struct resource *preset = NULL;
		struct error err = ERROR_NULL;
		int r;

		allocations_fail_at(n);
		r = resource_preset(2, &preset, &err);
		failed = allocations_stop();
		ck_assert_msg(r == 0 || (failed && (r == E_NOMEM || r == E_SYNTAX)), "allocation %zu: %d %s", n, r, err.text);
		resource_free(preset);
	}
}
END_TEST

static void teardown(void)
{
	pki_free(ca);
	pki_free(leaf);
	pki_free(rsa);
	for (size_t i = 0; i < ARRAY_LEN(documents); i++)
		json_decref(documents[i]);
}

int main(void)
{
	const TTest *const tests[] = {parsing, rendering, with_openssl, json_text_and_patches, bodies_digests_selectors,
	                              presets};
	int failed;

	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
		return EXIT_FAILURE;
	json_set_alloc_funcs(memory_alloc, memory_free_wiped);
	setup();
	failed = unit_run("model/allocations", tests, ARRAY_LEN(tests));
	teardown();
	return failed;
}
