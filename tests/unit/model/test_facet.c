/* SPDX-License-Identifier: Apache-2.0 */
/* What lists find objects by: of what was just parsed and of what the store has it is the same; any bytes can be read. */
#include "parse.h"

#include "channel.pb-c.h"
#include "model/facet.h"
#include "pki.h"

static size_t count_of(struct bytes facets, enum facet_name name)
{
	struct facet facet;
	size_t count = 0;

	while (facet_next(&facets, &facet))
		count += facet.name == name;
	return count;
}

static bool has_number(struct bytes facets, enum facet_name name, uint64_t number)
{
	struct facet facet;

	while (facet_next(&facets, &facet)) {
		if (facet.name == name && !facet.is_text && facet.number == number)
			return true;
	}
	return false;
}

static bool has_text(struct bytes facets, enum facet_name name, const char *text)
{
	struct facet facet;

	while (facet_next(&facets, &facet)) {
		if (facet.name == name && facet.is_text && facet.text.len == strlen(text) && memcmp(facet.text.data, text, facet.text.len) == 0)
			return true;
	}
	return false;
}

START_TEST(test_hashes)
{
	/* 63 bits, and a zero byte between words: no pair is another pair, or one word. */
	ck_assert_uint_le(facet_hash("team", "a"), INT64_MAX);
	ck_assert_uint_ne(facet_hash("team", "a"), facet_hash("team", NULL));
	ck_assert_uint_ne(facet_hash("team", "a"), facet_hash("tea", "ma"));
	ck_assert_uint_ne(facet_hash("team", ""), facet_hash("team", NULL));
	ck_assert_uint_eq(facet_hash("team", "a"), facet_hash("team", "a"));
	ck_assert_uint_ne(facet_key_type(CERT_KEY_RSA, 2048), facet_key_type(CERT_KEY_RSA, 4096));
	ck_assert_uint_eq(facet_key_type(CERT_KEY_EC_P256, 256), facet_key_type(CERT_KEY_EC_P256, 0));
	ck_assert_uint_eq((uint32_t)facet_key_type(CERT_KEY_RSA, 2048), 2048);
}
END_TEST

START_TEST(test_reverse)
{
	char out[16];

	facet_reverse("www.a", out);
	ck_assert_str_eq(out, "a.www");
	facet_reverse("", out);
	ck_assert_str_eq(out, "");
}
END_TEST

static struct pki_cert *ca, *first, *second;

static void make_certificates(void)
{
	ca = pki_make(&(struct pki_spec){.name = "Some CA, Inc.", .is_ca = true});
	first = pki_make(&(struct pki_spec){.sans = "DNS:www.a.test,DNS:*.b.test", .issuer = ca, .not_before = -60, .not_after = 20 * 86400});
	second = pki_make(&(struct pki_spec){.sans = "DNS:www.a.test,DNS:*.b.test", .issuer = ca, .key = "RSA-2048", .not_before = -60,
	                                     .not_after = 10 * 86400});
}

static void free_certificates(void)
{
	pki_free(first);
	pki_free(second);
	pki_free(ca);
}

/* Of two pairs. */
static struct outcome parse_pairs(void)
{
	json_t *document = json_pack("{s:[s,s], s:s, s:s, s:[s], s:[s], s:{s:s, s:s}}", "snis", "WWW.a.test", "*.b.test", "cert",
	                             first->pem, "key", first->key_pem, "certs", second->pem, "keys", second->key_pem, "labels",
	                             "team", "a", "env", "prod");
	struct outcome outcome = parse_json(KIND_SSL, "pairs", document);

	json_decref(document);
	if (outcome.code != 0)
		print_findings(&outcome.findings);
	ck_assert_int_eq(outcome.code, 0);
	return outcome;
}

static struct bytes facets_of(const struct outcome *outcome)
{
	return BYTES(outcome->resource->facets, outcome->resource->facets_len);
}

START_TEST(test_of_a_document)
{
	struct outcome outcome;
	struct bytes facets;
	uint8_t digest[32];
	unsigned len = sizeof(digest);

	make_certificates();
	outcome = parse_pairs();
	facets = facets_of(&outcome);
	ck_assert_uint_eq(count_of(facets, FACET_SNI), 2);
	ck_assert(has_text(facets, FACET_SNI, "tset.a.www") && has_text(facets, FACET_SNI, "tset.b.*"));
	ck_assert_uint_eq(count_of(facets, FACET_LABEL), 4); /* each with its value and without */
	ck_assert(has_number(facets, FACET_LABEL, facet_hash("team", "a")) && has_number(facets, FACET_LABEL, facet_hash("team", NULL)));
	ck_assert(has_number(facets, FACET_LABEL, facet_hash("env", "prod")) && !has_number(facets, FACET_LABEL, facet_hash("env", "a")));
	ck_assert(has_number(facets, FACET_ISSUER, facet_hash("Some CA, Inc.", NULL)));
	ck_assert(has_number(facets, FACET_TYPE, 0) && count_of(facets, FACET_TYPE) == 1);
	ck_assert(has_number(facets, FACET_KEY_TYPE, facet_key_type(CERT_KEY_EC_P256, 0)));
	ck_assert(has_number(facets, FACET_KEY_TYPE, facet_key_type(CERT_KEY_RSA, 2048)));
	ck_assert_uint_eq(count_of(facets, FACET_FINGERPRINT), 4);
	ck_assert_int_eq(X509_digest(second->cert, EVP_sha256(), digest, &len), 1);
	ck_assert(has_number(facets, FACET_FINGERPRINT, facet_of_digest(digest)));
	/* Of its leaves the one that ends first. */
	ck_assert_uint_eq(count_of(facets, FACET_EXPIRY), 1);
	for (struct facet facet; facet_next(&facets, &facet);) {
		if (facet.name == FACET_EXPIRY)
			ck_assert_int_lt(llabs((int64_t)facet.number - time(NULL) - 10 * 86400), 60);
	}
	outcome_deinit(&outcome);
	free_certificates();
}
END_TEST

/* Whoever takes them from the store, for lack of them there, gets the very same. */
START_TEST(test_of_a_state)
{
	struct outcome outcomes[3];
	struct error err = ERROR_NULL;

	make_certificates();
	outcomes[0] = parse_pairs();
	outcomes[1] = parse_text(KIND_UPSTREAM, "u", "{\"nodes\": {\"127.0.0.1:1\": 1}, \"labels\": {\"dc\": \"x\"}}");
	outcomes[2] = parse_text(KIND_UPSTREAM, "u", "{\"nodes\": {\"127.0.0.1:1\": 1}}");
	for (size_t i = 0; i < 3; i++) {
		CLEANUP(buf_deinit) struct buf again = BUF_NULL;
		struct resource_state state = state_of(outcomes[i].resource);

		ck_assert_int_eq(facets_of_state(&state, &again, &err), 0);
		ck_assert_uint_eq(again.len, outcomes[i].resource->facets_len);
		if (again.len > 0)
			ck_assert_mem_eq(again.data, outcomes[i].resource->facets, again.len);
		outcome_deinit(&outcomes[i]);
	}
	free_certificates();
}
END_TEST

/* Damage costs what is damaged, and is never taken for lack of memory. */
START_TEST(test_of_a_damaged_state)
{
	struct resource_state state = {.object = {.kind = KIND_SSL, .id = "s", .selector = "", .body = BYTES("\xff\xff", 2)},
	                               .labels = "{\"team\":\"a\"}"};
	CLEANUP(buf_deinit) struct buf facets = BUF_NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(facets_of_state(&state, &facets, &err), 0);
	ck_assert_uint_eq(count_of(BYTES(facets.data, facets.len), FACET_LABEL), 2);
	ck_assert_uint_eq(count_of(BYTES(facets.data, facets.len), FACET_TYPE), 0);
	state.labels = "{\"team\"";
	ck_assert_int_eq(facets_of_state(&state, &facets, &err), E_CORRUPT);
}
END_TEST

/* In pieces and with any byte changed it is read without harm; whole, it ends where it ends. */
START_TEST(test_any_bytes)
{
	struct outcome outcome;
	struct facet facet;
	uint8_t *copy;
	size_t len;

	make_certificates();
	outcome = parse_pairs();
	len = outcome.resource->facets_len;
	for (size_t cut = 0; cut <= len; cut++) {
		struct bytes rest = BYTES(malloc(cut + 1), cut);

		memcpy((void *)(uintptr_t)rest.data, outcome.resource->facets, cut);
		copy = (uint8_t *)(uintptr_t)rest.data;
		while (facet_next(&rest, &facet))
			ck_assert(facet.is_text || facet.text.len == 8);
		ck_assert(cut < len || rest.len == 0);
		free(copy);
	}
	copy = malloc(len);
	for (size_t at = 0; at < len; at++) {
		struct bytes rest = BYTES(copy, len);

		memcpy(copy, outcome.resource->facets, len);
		copy[at] ^= 0xff;
		while (facet_next(&rest, &facet))
			ck_assert(facet.text.data + facet.text.len <= copy + len);
	}
	free(copy);
	outcome_deinit(&outcome);
	free_certificates();
}
END_TEST

UNIT_MAIN("model/facet", test_hashes, test_reverse, test_of_a_document, test_of_a_state, test_of_a_damaged_state, test_any_bytes)
