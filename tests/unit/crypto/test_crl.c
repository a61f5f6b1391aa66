/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs: what is read, who signed, and the kinds that are refused. */
#include "crypto/crl.h"

#include "base/macros.h"
#include "crypto/cert.h"
#include "pki.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pki_cert *ca, *other, *leaf;

static void setup(void)
{
	ca = pki_make(&(struct pki_spec){.name = "the ca", .is_ca = true});
	other = pki_make(&(struct pki_spec){.name = "the ca", .is_ca = true});
	leaf = pki_make(&(struct pki_spec){.name = "leaf", .issuer = ca});
}

static void teardown(void)
{
	pki_free(ca);
	pki_free(other);
	pki_free(leaf);
}

struct first {
	int code;
	struct error err;
	X509_CRL *crl;
	size_t seen;
};

static int on_der(struct bytes der, void *context, struct error *err)
{
	struct first *first = context;

	if (first->seen++ == 0)
		first->code = crl_parse(der, &first->crl, &first->err);
	return 0;
}

static struct first parse(const struct pki_crl_spec *spec)
{
	struct first first = {.err = ERROR_NULL};
	char *pem = pki_make_crl(spec);

	ck_assert_int_eq(crl_each_pem(pem, strlen(pem), 9, on_der, &first, &first.err), 0);
	free(pem);
	return first;
}

static void expect_refused(const struct pki_crl_spec *spec, const char *words)
{
	struct first first = parse(spec);

	ck_assert_msg(first.code == E_INVALID && strstr(first.err.text, words) != NULL, "%d %s", first.code, first.err.text);
	ck_assert_ptr_null(first.crl);
}

START_TEST(tells_what_it_says)
{
	struct first first = parse(&(struct pki_crl_spec){.issuer = ca, .revoked = {leaf, other}});
	struct crl_info info = {0};

	ck_assert_int_eq(first.code, 0);
	ck_assert_int_eq(crl_info_read(first.crl, &info, &first.err), 0);
	ck_assert_str_eq(info.issuer, "CN=the ca");
	ck_assert_uint_eq(info.revoked, 2);
	ck_assert_int_lt(info.this_update, (int64_t)time(NULL));
	ck_assert_int_gt(info.next_update, (int64_t)time(NULL));
	crl_info_deinit(&info);
	X509_CRL_free(first.crl);
	first = parse(&(struct pki_crl_spec){.issuer = ca, .has_no_next_update = true});
	ck_assert_int_eq(crl_info_read(first.crl, &info, &first.err), 0);
	ck_assert_int_eq(info.next_update, INT64_MAX);
	ck_assert_uint_eq(info.revoked, 0);
	crl_info_deinit(&info);
	X509_CRL_free(first.crl);
}
END_TEST

START_TEST(knows_its_issuer)
{
	struct pki_cert *mute =
		pki_make(&(struct pki_spec){.name = "the ca", .is_ca = true, .reuse = ca, .key_usage = "critical,keyCertSign"});
	struct pki_cert *renamed = pki_make(&(struct pki_spec){.name = "another", .is_ca = true, .reuse = ca});
	struct first first = parse(&(struct pki_crl_spec){.issuer = ca});

	ck_assert(crl_is_issued_by(first.crl, ca->cert));
	ck_assert(!crl_is_issued_by(first.crl, other->cert));
	ck_assert(!crl_is_issued_by(first.crl, mute->cert));
	ck_assert(!crl_is_issued_by(first.crl, renamed->cert));
	X509_CRL_free(first.crl);
	first = parse(&(struct pki_crl_spec){.issuer = ca, .signer = other});
	ck_assert(!crl_is_issued_by(first.crl, ca->cert));
	ck_assert(crl_is_issued_by(first.crl, other->cert)); /* of the same name */
	X509_CRL_free(first.crl);
	pki_free(mute);
	pki_free(renamed);
}
END_TEST

START_TEST(refuses_what_would_be_judged_otherwise)
{
	expect_refused(&(struct pki_crl_spec){.issuer = ca, .extensions = {"2.5.29.27=critical,ASN1:INTEGER:1"}}, "delta");
	expect_refused(&(struct pki_crl_spec){.issuer = ca, .extensions = {"2.5.29.27=ASN1:INTEGER:1"}}, "delta");
	expect_refused(&(struct pki_crl_spec){.issuer = ca, .extensions = {"1.2.3.4=critical,ASN1:INTEGER:1"}}, "critical");
	expect_refused(
		&(struct pki_crl_spec){.issuer = ca, .revoked = {leaf}, .entry_extension = "1.2.3.4=critical,ASN1:INTEGER:1"},
		"entry 1");
	expect_refused(&(struct pki_crl_spec){.issuer = ca, .extensions = {"2.5.29.28=critical,DER:30038401ff"}}, "indirect");
	expect_refused(&(struct pki_crl_spec){.issuer = ca, .extensions = {"2.5.29.28=critical,DER:300483020560"}}, "reasons");
	expect_refused(&(struct pki_crl_spec){.issuer = ca, .extensions = {"2.5.29.28=critical,DER:30038501ff"}}, "attribute");
	expect_refused(&(struct pki_crl_spec){.issuer = ca, .extensions = {"2.5.29.28=critical,DER:0500"}}, "does not parse");
}
END_TEST

START_TEST(takes_what_openssl_judges)
{
	static const char *const extensions[] = {
		"1.2.3.4=ASN1:INTEGER:1",               /* not critical */
		"2.5.29.20=ASN1:INTEGER:7",             /* CRL number */
		"2.5.29.28=critical,DER:30038101ff",    /* of leaves only */
	};

	for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
		struct first first = parse(&(struct pki_crl_spec){.issuer = ca, .extensions = {extensions[i]}});

		ck_assert_msg(first.code == 0, "%s: %s", extensions[i], first.err.text);
		X509_CRL_free(first.crl);
	}
}
END_TEST

START_TEST(refuses_other_bytes)
{
	char *pem = pki_make_crl(&(struct pki_crl_spec){.issuer = ca});
	struct first first = {.err = ERROR_NULL};
	X509_CRL *crl = NULL;

	ck_assert_int_eq(crl_parse(BYTES_NULL, &crl, &first.err), E_SYNTAX);
	ck_assert_int_eq(crl_parse(BYTES("0\3abc", 5), &crl, &first.err), E_SYNTAX);
	ck_assert_int_eq(crl_each_pem(leaf->pem, strlen(leaf->pem), 9, on_der, &first, &first.err), E_SYNTAX);
	ck_assert_str_eq(first.err.text, "PEM block 1 is not a CRL (X509 CRL)");
	ck_assert_int_eq(crl_each_pem("", 0, 9, on_der, &first, &first.err), E_SYNTAX);
	ck_assert_int_eq(crl_each_pem(pem, strlen(pem), 0, on_der, &first, &first.err), E_TOO_LARGE);
	ck_assert_uint_eq(first.seen, 0);
	free(pem);
}
END_TEST

static int put_back(struct bytes der, void *context, struct error *err)
{
	crl_put_pem(der, context);
	return 0;
}

static int parse_longer(struct bytes der, void *context, struct error *err)
{
	uint8_t *longer = malloc(der.len + 1);
	X509_CRL *crl = NULL;
	int r;

	memcpy(longer, der.data, der.len);
	longer[der.len] = 0;
	r = crl_parse(BYTES(longer, der.len + 1), &crl, err);
	free(longer);
	return r;
}

START_TEST(text_comes_back)
{
	char *pem = pki_make_crl(&(struct pki_crl_spec){.issuer = ca, .revoked = {leaf}});
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(crl_each_pem(pem, strlen(pem), 1, put_back, &text, &err), 0);
	ck_assert_str_eq(buf_cstr(&text), pem);
	ck_assert_int_eq(crl_each_pem(pem, strlen(pem), 1, parse_longer, NULL, &err), E_SYNTAX);
	ck_assert_str_eq(err.text, "bytes behind the CRL");
	free(pem);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {tells_what_it_says,  knows_its_issuer,    refuses_what_would_be_judged_otherwise,
	                              takes_what_openssl_judges, refuses_other_bytes, text_comes_back};
	int failed;

	setup();
	failed = unit_run("crypto/crl", tests, ARRAY_LEN(tests));
	teardown();
	return failed;
}
