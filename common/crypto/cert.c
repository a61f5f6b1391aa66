/* SPDX-License-Identifier: Apache-2.0 */
/* PEM and DER of certificates, hashes, and who issued whom. */
#include "crypto/cert.h"

#include "crypto/crypto.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

DEFINE_CLEANUP(BIO, BIO_free);

struct pem_block {
	char *label;
	char *header;
	unsigned char *data;
	long len;
};

static void pem_block_deinit(struct pem_block *block)
{
	OPENSSL_free(block->label);
	OPENSSL_free(block->header);
	OPENSSL_free(block->data);
	*block = (struct pem_block){NULL, NULL, NULL, 0};
}
DEFINE_CLEANUP_VALUE(struct pem_block, pem_block_deinit);

/* 1: *block is filled; 0: the text is at its end. */
static int pem_read_block(BIO *text, struct pem_block *block, size_t number, struct error *err)
{
	unsigned long newest;

	if (PEM_read_bio(text, &block->label, &block->header, &block->data, &block->len) == 1)
		return 1;
	newest = ERR_peek_last_error();
	if (ERR_GET_LIB(newest) == ERR_LIB_PEM && ERR_GET_REASON(newest) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return 0;
	}
	if (crypto_error(err, "PEM block %zu", number) == E_NOMEM)
		return error_nomem(err);
	return error_set(err, E_SYNTAX, "PEM block %zu is broken: no matching END line, or not base64", number);
}

static int pem_check_certificate(const struct pem_block *block, size_t number, struct error *err)
{
	if (strcmp(block->label, PEM_STRING_X509) == 0) {
		if (block->header[0] != 0)
			return error_set(err, E_SYNTAX, "PEM block %zu has headers, which a certificate has not", number);
		return 0;
	}
	if (strstr(block->label, "PRIVATE KEY") != NULL)
		return error_set(err, E_SYNTAX, "PEM block %zu is a private key, not a certificate", number);
	return error_set(err, E_SYNTAX, "PEM block %zu is not a CERTIFICATE", number);
}

int cert_each_pem(const char *pem, size_t len, size_t max,
                  int (*fn)(struct bytes der, void *context, struct error *err), void *context, struct error *err)
{
	CLEANUP(BIO_free) BIO *text = NULL;
	int r;

	if (len > INT_MAX)
		return error_set(err, E_TOO_LARGE, "PEM text too long");
	text = BIO_new_mem_buf(pem != NULL ? pem : "", (int)len);
	if (text == NULL)
		return error_nomem(err);
	for (size_t number = 1;; number++) {
		CLEANUP(pem_block_deinit) struct pem_block block = {NULL, NULL, NULL, 0};

		r = pem_read_block(text, &block, number, err);
		if (r < 0)
			return r;
		if (r == 0)
			return number > 1 ? 0 : error_set(err, E_SYNTAX, "no PEM block \"-----BEGIN CERTIFICATE-----\" found");
		r = pem_check_certificate(&block, number, err);
		if (r < 0)
			return r;
		if (number > max)
			return error_set(err, E_TOO_LARGE, "more than %zu certificates", max);
		r = fn(BYTES(block.data, (size_t)block.len), context, err);
		if (r != 0)
			return r;
	}
}

void cert_put_pem(struct bytes der, struct buf *out)
{
	unsigned char line[65];

	buf_put_str(out, "-----BEGIN CERTIFICATE-----\n");
	for (size_t at = 0; at < der.len; at += 48) {
		int part = der.len - at < 48 ? (int)(der.len - at) : 48;
		int n = EVP_EncodeBlock(line, der.data + at, part);

		buf_put(out, line, (size_t)n);
		buf_put_u8(out, '\n');
	}
	buf_put_str(out, "-----END CERTIFICATE-----\n");
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
