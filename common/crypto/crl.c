/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs: parsing, and the refusal of kinds that OpenSSL would pass over in silence or judge by in part. */
#include "crypto/crl.h"

#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "crypto/pem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

DEFINE_CLEANUP(ISSUING_DIST_POINT, ISSUING_DIST_POINT_free);

int crl_each_pem(const char *pem, size_t len, size_t max, int (*fn)(struct bytes der, void *context, struct error *err),
                 void *context, struct error *err)
{
	return pem_each(pem, len, &pem_crl, max, fn, context, err);
}

void crl_put_pem(struct bytes der, struct buf *out)
{
	pem_put(der, &pem_crl, out);
}

/* In the list itself: what its critical extensions say is understood, as far as they are judged below. */
static bool list_extension_is_known(int nid)
{
	return nid == NID_issuing_distribution_point || nid == NID_authority_key_identifier || nid == NID_crl_number;
}

static int check_extensions(X509_CRL *crl, struct error *err)
{
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
		X509_EXTENSION *extension = X509_CRL_get_ext(crl, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(extension));

		if (nid == NID_delta_crl)
			return error_set(err, E_INVALID, "a delta CRL; give the complete one");
		if (X509_EXTENSION_get_critical(extension) && !list_extension_is_known(nid))
			return error_set(err, E_INVALID, "the CRL has a critical extension that is not understood");
	}
	return 0;
}

/* An entry's critical extension would change what it says; that of the certificate's issuer makes the CRL an indirect one. */
static int check_entries(X509_CRL *crl, struct error *err)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);

	for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
		X509_REVOKED *entry = sk_X509_REVOKED_value(entries, i);

		for (int k = 0; k < X509_REVOKED_get_ext_count(entry); k++)
			if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, k)))
				return error_set(err, E_INVALID, "entry %d of the CRL has a critical extension, which is not understood",
				                 i + 1);
	}
	return 0;
}

static int check_distribution_point(X509_CRL *crl, struct error *err)
{
	CLEANUP(ISSUING_DIST_POINT_free) ISSUING_DIST_POINT *point = NULL;
	int critical = 0;

	point = X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &critical, NULL);
	ERR_clear_error();
	if (point == NULL && critical == -1)
		return 0;
	if (point == NULL)
		return error_set(err, E_INVALID, "the CRL's issuing distribution point does not parse");
	if (point->indirectCRL > 0)
		return error_set(err, E_INVALID, "an indirect CRL; give one that its certificates' issuer signed");
	if (point->onlysomereasons != NULL || point->onlyattr > 0)
		return error_set(err, E_INVALID, "a CRL for some reasons, or attribute certificates, only; give the complete one");
	return 0;
}

static int check_times(X509_CRL *crl, struct error *err)
{
	int64_t ignored;
	int r = cert_read_time(X509_CRL_get0_lastUpdate(crl), "the CRL's thisUpdate", &ignored, err);

	if (r == 0 && X509_CRL_get0_nextUpdate(crl) != NULL)
		r = cert_read_time(X509_CRL_get0_nextUpdate(crl), "the CRL's nextUpdate", &ignored, err);
	return r;
}

int crl_parse(struct bytes der, X509_CRL **ret, struct error *err)
{
	CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
	const unsigned char *at = der.data;
	int r;

	if (der.data == NULL || der.len > INT_MAX)
		return error_set(err, E_SYNTAX, "not a CRL");
	crl = d2i_X509_CRL(NULL, &at, (long)der.len);
	if (crl == NULL) {
		if (crypto_error(err, "not an X.509 CRL") == E_NOMEM)
			return E_NOMEM;
		return error_set(err, E_SYNTAX, "not an X.509 CRL");
	}
	if (at != der.data + der.len)
		return error_set(err, E_SYNTAX, "bytes behind the CRL");
	r = check_extensions(crl, err);
	if (r == 0)
		r = check_distribution_point(crl, err);
	if (r == 0)
		r = check_entries(crl, err);
	if (r == 0)
		r = check_times(crl, err);
	ERR_clear_error();
	if (r < 0)
		return r;
	*ret = TAKE_PTR(crl);
	return 0;
}

bool crl_is_issued_by(X509_CRL *crl, X509 *ca)
{
	EVP_PKEY *key = X509_get0_pubkey(ca);
	bool is = key != NULL && X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0 &&
	          (X509_get_key_usage(ca) & KU_CRL_SIGN) != 0 && X509_CRL_verify(crl, key) == 1;

	ERR_clear_error();
	return is;
}

int crl_info_read(X509_CRL *crl, struct crl_info *ret, struct error *err)
{
	CLEANUP(crl_info_deinit) struct crl_info info = {.next_update = INT64_MAX};
	int count = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl));
	int r = cert_read_name(X509_CRL_get_issuer(crl), "the CRL's issuer", &info.issuer, err);

	if (r == 0)
		r = cert_read_time(X509_CRL_get0_lastUpdate(crl), "the CRL's thisUpdate", &info.this_update, err);
	if (r == 0 && X509_CRL_get0_nextUpdate(crl) != NULL)
		r = cert_read_time(X509_CRL_get0_nextUpdate(crl), "the CRL's nextUpdate", &info.next_update, err);
	if (r < 0)
		return r;
	info.revoked = count > 0 ? (size_t)count : 0;
	*ret = info;
	info = (struct crl_info){0};
	return 0;
}

void crl_info_deinit(struct crl_info *info)
{
	free(info->issuer);
	*info = (struct crl_info){0};
}
