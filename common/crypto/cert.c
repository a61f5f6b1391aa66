/* SPDX-License-Identifier: Apache-2.0 */
/* PEM and DER of certificates, hashes, and who issued whom. */
#include "crypto/cert.h"

#include "crypto/crypto.h"
#include "crypto/pem.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

int cert_each_pem(const char *pem, size_t len, size_t max,
                  int (*fn)(struct bytes der, void *context, struct error *err), void *context, struct error *err)
{
	return pem_each(pem, len, &pem_certificate, max, fn, context, err);
}

void cert_put_pem(struct bytes der, struct buf *out)
{
	pem_put(der, &pem_certificate, out);
}

int cert_parse(struct bytes der, X509 **ret, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	const unsigned char *at = der.data;

	if (der.data == NULL || der.len > INT_MAX)
		return error_set(err, E_SYNTAX, "not a certificate");
	cert = d2i_X509(NULL, &at, (long)der.len);
	if (cert == NULL) {
		int r = crypto_error(err, "not an X.509 certificate");

		if (r == E_NOMEM)
			return r;
		if (err != NULL)
			err->code = E_SYNTAX;
		return E_SYNTAX;
	}
	if (at != der.data + der.len)
		return error_set(err, E_SYNTAX, "bytes behind the certificate");
	X509_check_purpose(cert, -1, 0);
	ERR_clear_error(); /* an undecodable public key leaves its reason there; cert_info_read tells */
	*ret = TAKE_PTR(cert);
	return 0;
}

bool cert_is_issued_by(X509 *cert, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool is = key != NULL && X509_check_issued(issuer, cert) == X509_V_OK && X509_verify(cert, key) == 1;

	ERR_clear_error();
	return is;
}

int cert_spki_sha256(X509 *cert, uint8_t digest[32], struct error *err)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der), r;

	if (len < 0)
		return crypto_error(err, "encode public key");
	r = crypto_sha256(BYTES(der, (size_t)len), digest, err);
	OPENSSL_free(der);
	return r;
}
