/* SPDX-License-Identifier: Apache-2.0 */
#include "crls.h"

#include <check.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

ProtobufCBinaryData crls_make(const struct pki_crl_spec *spec)
{
	char *pem = pki_make_crl(spec);
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_CRL *crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL);
	unsigned char *der = NULL;
	ProtobufCBinaryData data;
	int len = i2d_X509_CRL(crl, &der);

	ck_assert_int_gt(len, 0);
	data = (ProtobufCBinaryData){(size_t)len, malloc((size_t)len)};
	ck_assert_ptr_nonnull(data.data);
	memcpy(data.data, der, (size_t)len);
	OPENSSL_free(der);
	X509_CRL_free(crl);
	BIO_free(bio);
	free(pem);
	return data;
}
