/* SPDX-License-Identifier: Apache-2.0 */
/* PEM text taken apart and written. */
#include "crypto/pem.h"

#include "crypto/crypto.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>

DEFINE_CLEANUP(BIO, BIO_free);

const struct pem_type pem_certificate = {PEM_STRING_X509, "a certificate", "certificates"};
const struct pem_type pem_crl = {PEM_STRING_X509_CRL, "a CRL", "CRLs"};

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

static int pem_check_block(const struct pem_block *block, const struct pem_type *type, size_t number, struct error *err)
{
	if (strcmp(block->label, type->label) == 0) {
		if (block->header[0] != 0)
			return error_set(err, E_SYNTAX, "PEM block %zu has headers, which %s has not", number, type->noun);
		return 0;
	}
	if (strstr(block->label, "PRIVATE KEY") != NULL)
		return error_set(err, E_SYNTAX, "PEM block %zu is a private key, not %s", number, type->noun);
	return error_set(err, E_SYNTAX, "PEM block %zu is not %s (%s)", number, type->noun, type->label);
}

int pem_each(const char *pem, size_t len, const struct pem_type *type, size_t max,
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
			return number > 1 ? 0 : error_set(err, E_SYNTAX, "no PEM block \"-----BEGIN %s-----\" found", type->label);
		r = pem_check_block(&block, type, number, err);
		if (r < 0)
			return r;
		if (number > max)
			return error_set(err, E_TOO_LARGE, "more than %zu %s", max, type->plural);
		r = fn(BYTES(block.data, (size_t)block.len), context, err);
		if (r != 0)
			return r;
	}
}

void pem_put(struct bytes der, const struct pem_type *type, struct buf *out)
{
	unsigned char line[65];

	buf_printf(out, "-----BEGIN %s-----\n", type->label);
	for (size_t at = 0; at < der.len; at += 48) {
		int part = der.len - at < 48 ? (int)(der.len - at) : 48;
		int n = EVP_EncodeBlock(line, der.data + at, part);

		buf_put(out, line, (size_t)n);
		buf_put_u8(out, '\n');
	}
	buf_printf(out, "-----END %s-----\n", type->label);
}
