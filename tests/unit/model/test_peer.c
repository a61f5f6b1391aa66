/* SPDX-License-Identifier: Apache-2.0 */
/* Rules over certificates and the identity that one maps to: what fits, and above all what must not. */
#include "model/peer.h"

#include "base/macros.h"
#include "model/cidr.h"
#include "pki.h"
#include "unit.h"

#include <openssl/asn1.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Subjects ---------------------------------------------------------------------------------------------------------- */

struct rdn {
	const char *type, *value;
	bool joins; /* the RDN before */
	int len;    /* 0: of the string */
	int asn1;   /* 0: MBSTRING_UTF8 */
};

static X509_NAME *make_name(const struct rdn *rdns, size_t count)
{
	X509_NAME *name = X509_NAME_new();

	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(X509_NAME_add_entry_by_txt(name, rdns[i].type, rdns[i].asn1 != 0 ? rdns[i].asn1 : MBSTRING_UTF8,
		                                            (const unsigned char *)rdns[i].value,
		                                            rdns[i].len != 0 ? rdns[i].len : -1, -1, rdns[i].joins ? -1 : 0),
		                 1);
	return name;
}

static X509 *make(const struct rdn *rdns, size_t count, const char *sans)
{
	X509_NAME *name = make_name(rdns, count);
	struct pki_cert *made = pki_make(&(struct pki_spec){.subject = name, .sans = sans});
	X509 *cert = made->cert;

	X509_up_ref(cert);
	pki_free(made);
	X509_NAME_free(name);
	return cert;
}

#define MAKE(sans, ...)                                                                                                \
	make((const struct rdn[]){__VA_ARGS__}, sizeof((const struct rdn[]){__VA_ARGS__}) / sizeof(struct rdn), (sans))

/* Rules ------------------------------------------------------------------------------------------------------------- */

typedef int normalise_fn(const char *text, char *ret, struct error *err);

static char normal[PEER_TEXT_MAX + 1]; /* of the newest text */

static const char *normalised(normalise_fn *normalise, const char *text)
{
	struct error err = ERROR_NULL;

	ck_assert_msg(normalise(text, normal, &err) == 0, "%s: %s", text, err.text);
	return normal;
}

static void refused(normalise_fn *normalise, const char *text)
{
	struct error err = ERROR_NULL;
	int r = normalise(text, normal, &err);

	ck_assert_msg(r == E_SYNTAX && err.text[0] != '\0', "%s: %d %s", text, r, normal);
}

static const struct key {
	const char *name;
	normalise_fn *normalise;
} keys[] = {{"dns", peer_normalise_dns}, {"uri", peer_normalise_uri}, {"email", peer_normalise_email}, {"dn", peer_normalise_dn},
            {"cn", NULL}};

/* "dns:x" fills the field with that one value, made canonical. value must hold PEER_TEXT_MAX + 1. */
static void fill(Tlsplane__PeerRule *rule, const char *text, char *value, char **slot)
{
	const char *at = strchr(text, ':') + 1;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		size_t *counts[] = {&rule->n_dns, &rule->n_uri, &rule->n_email, &rule->n_dn, &rule->n_cn};
		char ***lists[] = {&rule->dns, &rule->uri, &rule->email, &rule->dn, &rule->cn};

		if (strncmp(keys[i].name, text, strlen(keys[i].name)) != 0 || text[strlen(keys[i].name)] != ':')
			continue;
		strcpy(value, keys[i].normalise == NULL ? at : normalised(keys[i].normalise, at));
		*slot = value;
		*lists[i] = slot;
		*counts[i] = 1;
	}
}

/* One rule of up to two conditions. */
static bool fits(X509 *cert, const char *one, const char *two)
{
	static char values[2][PEER_TEXT_MAX + 1];
	char *slots[2];
	Tlsplane__PeerRule rule = TLSPLANE__PEER_RULE__INIT, *list[] = {&rule};

	fill(&rule, one, values[0], &slots[0]);
	if (two != NULL)
		fill(&rule, two, values[1], &slots[1]);
	return peer_is_allowed(cert, list, 1);
}

static bool fits_ip(X509 *cert, const char *range)
{
	Tlsplane__IpRange in = TLSPLANE__IP_RANGE__INIT, *ranges[] = {&in};
	Tlsplane__PeerRule rule = TLSPLANE__PEER_RULE__INIT, *list[] = {&rule};
	struct ip ip;
	uint8_t prefix;

	ck_assert_int_eq(cidr_parse(range, &ip, &prefix, NULL), 0);
	in.address = (ProtobufCBinaryData){ip.len, ip.bytes};
	in.prefix = prefix;
	rule.ip = ranges;
	rule.n_ip = 1;
	return peer_is_allowed(cert, list, 1);
}

/* ------------------------------------------------------------------------------------------------------------------- */

START_TEST(patterns_have_one_form)
{
	ck_assert_str_eq(normalised(peer_normalise_dns, "WWW.Example.COM."), "www.example.com");
	ck_assert_str_eq(normalised(peer_normalise_dns, "*.B\xc3\xbc" "cher.example"), "*.xn--bcher-kva.example");
	ck_assert_str_eq(normalised(peer_normalise_uri, "spiffe://Td/ns/*"), "spiffe://Td/ns/*");
	ck_assert_str_eq(normalised(peer_normalise_uri, "urn:x"), "urn:x");
	ck_assert_str_eq(normalised(peer_normalise_email, "Ann@EXAMPLE.com"), "Ann@example.com");
	ck_assert_str_eq(normalised(peer_normalise_email, "*@example.com"), "*@example.com");
	ck_assert_str_eq(normalised(peer_normalise_email, "\"a@b\"@example.com"), "\"a@b\"@example.com");
	refused(peer_normalise_dns, "*");
	refused(peer_normalise_dns, "a.*.b");
	refused(peer_normalise_dns, "10.0.0.1");
	refused(peer_normalise_dns, "");
	refused(peer_normalise_uri, "");
	refused(peer_normalise_uri, "no-scheme");
	refused(peer_normalise_uri, "1a:b");
	refused(peer_normalise_uri, "a:");
	refused(peer_normalise_uri, "a:b c");
	refused(peer_normalise_uri, "a:\xc3\xbc");
	refused(peer_normalise_uri, "spiffe://*");
	refused(peer_normalise_uri, "spiffe://td/a*");
	refused(peer_normalise_uri, "spiffe://td/*/a");
	refused(peer_normalise_uri, "spiffe://td/a?b/*");
	refused(peer_normalise_uri, "spiffe://td#/*");
	refused(peer_normalise_email, "example.com");
	refused(peer_normalise_email, "@example.com");
	refused(peer_normalise_email, "a@");
	refused(peer_normalise_email, "a b@example.com");
	refused(peer_normalise_email, "a*@example.com");
	refused(peer_normalise_email, "a@*.example.com");
}
END_TEST

START_TEST(too_long_is_refused)
{
	char *text = malloc(PEER_TEXT_MAX + 3);

	memset(text, 'a', PEER_TEXT_MAX + 2);
	memcpy(text, "urn:", 4);
	text[PEER_TEXT_MAX] = '\0';
	ck_assert_uint_eq(strlen(normalised(peer_normalise_uri, text)), PEER_TEXT_MAX);
	text[PEER_TEXT_MAX] = 'a';
	text[PEER_TEXT_MAX + 1] = '\0';
	refused(peer_normalise_uri, text);
	memcpy(text, "CN=", 3);
	text[PEER_TEXT_MAX] = '\0';
	ck_assert_uint_eq(strlen(normalised(peer_normalise_dn, text)), PEER_TEXT_MAX);
	text[PEER_TEXT_MAX] = 'a';
	refused(peer_normalise_dn, text);
	memset(text + 3, '"', 600); /* quadruples, nearly */
	refused(peer_normalise_dn, text);
	for (size_t i = 0; i < 65; i++)
		memcpy(text + 5 * i, "CN=a,", 5);
	text[5 * 64 - 1] = '\0';
	ck_assert_uint_eq(strlen(normalised(peer_normalise_dn, text)), 5 * 64 - 1);
	text[5 * 64 - 1] = ',';
	text[5 * 65 - 1] = '\0';
	refused(peer_normalise_dn, text);
	free(text);
}
END_TEST

START_TEST(names_have_one_form)
{
	static const struct {
		const char *text, *normal;
	} cases[] = {
		{"CN=a,O=b", "CN=a,O=b"},
		{"cn = a , o = b", "CN=a,O=b"},
		{"commonName=a;organizationName=b", "CN=a,O=b"},
		{"OID.2.5.4.3=a, 2.5.4.10=b", "CN=a,O=b"},
		{"1.2.3.4=a", "1.2.3.4=a"},
		{"CN=\"a, b\"", "CN=a\\, b"},
		{"CN=a\\, b", "CN=a\\, b"},
		{"CN=a\\2c b", "CN=a\\, b"},
		{"CN=a\\20", "CN=a\\ "},
		{"CN=a\\ ", "CN=a\\ "},
		{"CN=a  ", "CN=a"},
		{"CN=\\ a", "CN=\\ a"},
		{"CN=\\#a", "CN=\\#a"},
		{"CN=a#b=c", "CN=a#b=c"},
		{"CN=#0c0161", "CN=a"},
		{"CN=#030201FE", "CN=#030201fe"},
		{"CN=\\c3\\bc", "CN=\xc3\xbc"},
		{"CN=a\\0ab", "CN=a\\0Ab"},
		{"CN=a+O=b,C=c", "CN=a+O=b,C=c"},
		{"O=b+CN=a,C=c", "CN=a+O=b,C=c"},
		{"DC=example,DC=com", "DC=example,DC=com"},
		{"E=a@b", "emailAddress=a@b"},
		{"/C=c/O=o/CN=n", "CN=n,O=o,C=c"},
		{"/C=c/O=a, b/CN=n\\/m", "CN=n/m,O=a\\, b,C=c"},
		{"/O=o+CN=n", "CN=n+O=o"},
		{"/CN= a ", "CN=\\ a\\ "},
	};
	static const char *const wrong[] = {"",        "CN",         "CN=",        "=a",          "CN=a,",      ",CN=a",     "CN=a,,O=b",
	                                    "CN=a\\",  "CN=a\\x",    "CN=\"a",     "CN=\"a\\", "CN=\"a\"b",   "CN=a<b",     "CN=a\"b",   "XX=a",
	                                    "CN=\\00", "CN=a\\00b",  "CN=#",       "CN=#0",       "CN=#0c0261", "CN=#0500",  "CN=\\ff",
	                                    "/",       "/CN",        "/CN=a/b",    "/CN=a//O=b",  "CN=#0c0100", "CN=#0c00", "1..2=a",    "1=a",
	                                    "CN=\\ed\\a0\\80", "CN=#0c0161 x", "/CN=a\\"};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char again[PEER_TEXT_MAX + 1];

		ck_assert_str_eq(normalised(peer_normalise_dn, cases[i].text), cases[i].normal);
		strcpy(again, normal);
		ck_assert_str_eq(normalised(peer_normalise_dn, again), again);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		refused(peer_normalise_dn, wrong[i]);
}
END_TEST

START_TEST(alternative_names_fit)
{
	X509 *cert = MAKE("DNS:A.example.com,DNS:*.wild.example,URI:spiffe://td/ns/prod,email:Ann@Example.com", {"CN", "cn.test"});

	ck_assert(fits(cert, "dns:a.example.com", NULL));
	ck_assert(fits(cert, "dns:*.example.com", NULL));
	ck_assert(fits(cert, "dns:*.wild.example", NULL));
	ck_assert(!fits(cert, "dns:b.wild.example", NULL)); /* the certificate's wildcard is no licence */
	ck_assert(!fits(cert, "dns:example.com", NULL));
	ck_assert(!fits(cert, "dns:*.com", NULL));
	ck_assert(!fits(cert, "dns:cn.test", NULL)); /* the common name is no DNS name */
	ck_assert(fits(cert, "uri:spiffe://td/ns/prod", NULL));
	ck_assert(fits(cert, "uri:spiffe://td/*", NULL));
	ck_assert(fits(cert, "uri:spiffe://td/ns/*", NULL));
	ck_assert(!fits(cert, "uri:spiffe://td/ns/prod/*", NULL));
	ck_assert(!fits(cert, "uri:spiffe://TD/ns/prod", NULL));
	ck_assert(!fits(cert, "uri:spiffe://td/ns/pro", NULL));
	ck_assert(fits(cert, "email:Ann@example.com", NULL));
	ck_assert(fits(cert, "email:*@example.com", NULL));
	ck_assert(!fits(cert, "email:ann@example.com", NULL));
	ck_assert(!fits(cert, "email:*@com", NULL));
	ck_assert(fits(cert, "dns:a.example.com", "email:Ann@example.com"));
	ck_assert(!fits(cert, "dns:a.example.com", "email:bob@example.com"));
	ck_assert(!fits(cert, "dns:a.example.com", "cn:other"));
	ck_assert(fits(cert, "cn:cn.test", "uri:spiffe://td/*"));
	X509_free(cert);
}
END_TEST

START_TEST(nothing_leads_out_of_a_prefix)
{
	static const char *const uris[] = {"spiffe://td/ns/../admin", "spiffe://td/ns/a/../../b", "spiffe://td/ns/.",  "spiffe://td/ns/",
	                                   "spiffe://td/ns//a",       "spiffe://td/ns/%2e%2e/a",  "spiffe://td/ns/a?b", "spiffe://td/ns/a#b",
	                                   "spiffe://td/ns",          "spiffe://td/nsx/a"};

	for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
		char sans[64];
		X509 *cert;

		snprintf(sans, sizeof(sans), "URI:%s", uris[i]);
		cert = MAKE(sans, {"CN", "a"});
		ck_assert_msg(!fits(cert, "uri:spiffe://td/ns/*", NULL), "%s", uris[i]);
		X509_free(cert);
	}
}
END_TEST

START_TEST(other_names_are_no_names)
{
	X509 *cert = MAKE("otherName:1.2.3.4;IA5:a.example.com,otherName:1.3.6.1.5.5.7.8.9;UTF8:ann@example.com,RID:1.2.3", {"CN", "a"});

	ck_assert(!fits(cert, "dns:a.example.com", NULL));
	ck_assert(!fits(cert, "email:ann@example.com", NULL));
	ck_assert(!fits(cert, "email:*@example.com", NULL));
	X509_free(cert);
}
END_TEST

START_TEST(a_nul_ends_nothing)
{
	static const char raw[] = "a.example.com\0.evil.test";
	struct pki_cert *made = pki_make(&(struct pki_spec){.dns_raw = raw, .dns_raw_len = sizeof(raw) - 1});
	X509 *cert = MAKE(NULL, {"O", "o"}, {"CN", "admin\0x", false, 7});

	ck_assert(!fits(made->cert, "dns:a.example.com", NULL));
	ck_assert(!fits(made->cert, "dns:*.example.com", NULL));
	ck_assert(!fits(cert, "cn:admin", NULL));
	ck_assert(!fits(cert, "dn:CN=admin,O=o", NULL));
	ck_assert(!fits(cert, "dn:O=o", NULL));
	pki_free(made);
	X509_free(cert);
}
END_TEST

START_TEST(addresses_fit)
{
	X509 *cert = MAKE("IP:10.1.2.3,IP:2001:db8::1", {"CN", "10.9.9.9"});

	ck_assert(fits_ip(cert, "10.1.2.3"));
	ck_assert(fits_ip(cert, "10.0.0.0/8"));
	ck_assert(fits_ip(cert, "2001:db8::/32"));
	ck_assert(!fits_ip(cert, "10.9.9.9"));
	ck_assert(!fits_ip(cert, "192.168.0.0/16"));
	X509_free(cert);
}
END_TEST

START_TEST(subjects_are_multisets_of_rdns)
{
	X509 *cert = MAKE(NULL, {"C", "DE"}, {"O", "Org, Inc."}, {"OU", "a"}, {"OU", "b"}, {"CN", "n"});
	X509 *twice = MAKE(NULL, {"OU", "a"}, {"OU", "a"}, {"OU", "b"}, {"CN", "n"});

	ck_assert(fits(cert, "dn:CN=n,OU=b,OU=a,O=Org\\, Inc.,C=DE", NULL));
	ck_assert(fits(cert, "dn:C=DE,O=Org\\, Inc.,OU=a,OU=b,CN=n", NULL));
	ck_assert(fits(cert, "dn:/C=DE/O=Org, Inc./OU=a/OU=b/CN=n", NULL));
	ck_assert(!fits(cert, "dn:CN=n,OU=a,O=Org\\, Inc.,C=DE", NULL));
	ck_assert(!fits(cert, "dn:CN=n,OU=a,OU=a,O=Org\\, Inc.,C=DE", NULL)); /* CVE-2026-33248 */
	ck_assert(!fits(cert, "dn:CN=n,OU=b,OU=b,O=Org\\, Inc.,C=DE", NULL));
	ck_assert(!fits(cert, "dn:CN=N,OU=b,OU=a,O=Org\\, Inc.,C=DE", NULL));
	ck_assert(!fits(cert, "dn:CN=n", NULL));
	ck_assert(fits(twice, "dn:CN=n,OU=b,OU=a,OU=a", NULL));
	ck_assert(!fits(twice, "dn:CN=n,OU=b,OU=b,OU=a", NULL));
	ck_assert(!fits(twice, "dn:CN=n,OU=b,OU=a", NULL));
	X509_free(cert);
	X509_free(twice);
}
END_TEST

START_TEST(one_rdn_of_several_values_is_one)
{
	X509 *joined = MAKE(NULL, {"O", "o"}, {"CN", "n"}, {"UID", "u", true});
	X509 *apart = MAKE(NULL, {"O", "o"}, {"CN", "n"}, {"UID", "u"});

	ck_assert(fits(joined, "dn:CN=n+UID=u,O=o", NULL));
	ck_assert(fits(joined, "dn:UID=u+CN=n,O=o", NULL));
	ck_assert(!fits(joined, "dn:CN=n,UID=u,O=o", NULL));
	ck_assert(!fits(apart, "dn:CN=n+UID=u,O=o", NULL));
	ck_assert(fits(apart, "dn:O=o,UID=u,CN=n", NULL));
	X509_free(joined);
	X509_free(apart);
}
END_TEST

START_TEST(values_are_compared_as_text)
{
	X509 *cert = MAKE(NULL, {"CN", "\xfc", false, 1, V_ASN1_T61STRING}, {"O", "a+b"}, {"2.5.4.45", "x", false, 1, V_ASN1_BIT_STRING});
	X509 *plus = MAKE(NULL, {"CN", "a,O=b"});

	ck_assert(fits(cert, "dn:CN=\xc3\xbc,O=a\\+b,2.5.4.45=#03020378", NULL));
	ck_assert(fits(plus, "dn:CN=a\\,O\\=b", NULL));
	ck_assert(!fits(plus, "dn:CN=a,O=b", NULL)); /* no value is taken for two */
	X509_free(cert);
	X509_free(plus);
}
END_TEST

START_TEST(the_last_common_name_counts)
{
	X509 *cert = MAKE(NULL, {"CN", "first"}, {"CN", "last"});
	X509 *none = MAKE("DNS:a", {"O", "o"});

	ck_assert(fits(cert, "cn:last", NULL));
	ck_assert(!fits(cert, "cn:first", NULL));
	ck_assert(!fits(none, "cn:a", NULL));
	X509_free(cert);
	X509_free(none);
}
END_TEST

START_TEST(rules_that_say_nothing_let_nobody_in)
{
	X509 *cert = MAKE("DNS:a.test", {"CN", "a"});
	Tlsplane__PeerRule empty = TLSPLANE__PEER_RULE__INIT, *list[] = {&empty, &empty};

	ck_assert(!peer_is_allowed(cert, list, 2));
	ck_assert(peer_is_allowed(cert, NULL, 0));
	X509_free(cert);
}
END_TEST

/* Identity ---------------------------------------------------------------------------------------------------------- */

static void expect_identity(X509 *cert, const struct peer_rules *lists, size_t lists_len, const char *identity,
                            const char *source)
{
	char text[PEER_TEXT_MAX + 1] = "";
	const char *got = NULL;
	struct error err = ERROR_NULL;
	int r = peer_map_identity(cert, lists, lists_len, text, &got, &err);

	ck_assert_int_eq(r, identity == NULL ? E_NOT_FOUND : 0);
	ck_assert_str_eq(text, identity == NULL ? "" : identity);
	ck_assert_pstr_eq(got, source);
}

START_TEST(the_first_name_is_the_identity)
{
	X509 *all = MAKE("URI:spiffe://td/a,DNS:a.test,email:ann@a.test,email:bob@a.test", {"CN", "n"});
	X509 *dns = MAKE("URI:spiffe://td/a,DNS:a.test", {"CN", "n"});
	X509 *uri = MAKE("URI:spiffe://td/a,IP:127.0.0.1", {"CN", "n"});
	X509 *subject = MAKE("IP:127.0.0.1", {"O", "o"}, {"CN", "a\nb"});
	X509 *empty = MAKE(NULL, {"CN", "n"});

	expect_identity(all, NULL, 0, "ann@a.test", "email");
	expect_identity(dns, NULL, 0, "a.test", "dns");
	expect_identity(uri, NULL, 0, "spiffe://td/a", "uri");
	expect_identity(subject, NULL, 0, "CN=a\\0Ab,O=o", "dn");
	X509_NAME_ENTRY_free(X509_NAME_delete_entry(X509_get_subject_name(empty), 0));
	expect_identity(empty, NULL, 0, NULL, NULL);
	X509_free(all);
	X509_free(dns);
	X509_free(uri);
	X509_free(subject);
	X509_free(empty);
}
END_TEST

START_TEST(rules_choose_the_identity)
{
	X509 *cert = MAKE("URI:spiffe://td/a,DNS:a.test,email:ann@a.test,email:bob@a.test", {"CN", "n"});
	char bob[] = "bob@a.test", uri[] = "spiffe://td/*", cn[] = "n", nobody[] = "nobody";
	char *bobs[] = {bob}, *uris[] = {uri}, *cns[] = {cn}, *nobodies[] = {nobody};
	Tlsplane__PeerRule by_email = TLSPLANE__PEER_RULE__INIT, by_uri = TLSPLANE__PEER_RULE__INIT,
					   by_cn = TLSPLANE__PEER_RULE__INIT, misses = TLSPLANE__PEER_RULE__INIT;
	Tlsplane__PeerRule *one[] = {&by_uri}, *two[] = {&by_email}, *three[] = {&by_cn}, *four[] = {&misses};
	struct peer_rules lists[] = {{one, 1}, {two, 1}};

	by_email.email = bobs;
	by_uri.uri = misses.uri = uris;
	by_cn.cn = cns;
	misses.cn = nobodies;
	by_email.n_email = by_uri.n_uri = by_cn.n_cn = misses.n_uri = misses.n_cn = 1;
	expect_identity(cert, lists, 1, "spiffe://td/a", "uri");
	expect_identity(cert, lists, 2, "bob@a.test", "email"); /* e-mail comes before URIs, whichever list names it */
	lists[0] = (struct peer_rules){three, 1};
	expect_identity(cert, lists, 1, "CN=n", "dn");
	lists[0] = (struct peer_rules){four, 1}; /* a rule that does not fit names nobody */
	expect_identity(cert, lists, 1, "ann@a.test", "email");
	X509_free(cert);
}
END_TEST

START_TEST(hostile_names_are_escaped_or_passed_over)
{
	static const char nul[] = "a\0b", bytes[] = "a\\\r\n\xff";
	struct pki_cert *with_nul = pki_make(&(struct pki_spec){.name = "n", .dns_raw = nul, .dns_raw_len = 3});
	struct pki_cert *with_bytes = pki_make(&(struct pki_spec){.name = "n", .dns_raw = bytes, .dns_raw_len = 5});
	X509 *subject = MAKE(NULL, {"CN", "n\0x", false, 3});
	char long_name[PEER_TEXT_MAX + 2];
	struct pki_cert *with_long;

	memset(long_name, 'a', sizeof(long_name));
	with_long = pki_make(&(struct pki_spec){.name = "n", .dns_raw = long_name, .dns_raw_len = sizeof(long_name)});
	expect_identity(with_nul->cert, NULL, 0, "CN=n", "dn");
	expect_identity(with_bytes->cert, NULL, 0, "a\\5C\\0D\\0A\\FF", "dns");
	expect_identity(with_long->cert, NULL, 0, "CN=n", "dn");
	expect_identity(subject, NULL, 0, NULL, NULL);
	pki_free(with_nul);
	pki_free(with_bytes);
	pki_free(with_long);
	X509_free(subject);
}
END_TEST

UNIT_MAIN("model/peer", patterns_have_one_form, too_long_is_refused, names_have_one_form, alternative_names_fit,
          nothing_leads_out_of_a_prefix, other_names_are_no_names, a_nul_ends_nothing, addresses_fit,
          subjects_are_multisets_of_rdns, one_rdn_of_several_values_is_one, values_are_compared_as_text,
          the_last_common_name_counts, rules_that_say_nothing_let_nobody_in, the_first_name_is_the_identity,
          rules_choose_the_identity, hostile_names_are_escaped_or_passed_over)
