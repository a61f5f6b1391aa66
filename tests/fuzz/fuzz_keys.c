/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys as users upload them: PEM splitting, certificate facts, private keys, CSRs, CRLs. */
#include "crypto/authority.h"
#include "crypto/cert.h"
#include "crypto/crl.h"
#include "crypto/crypto.h"
#include "crypto/key.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (crypto_init(NULL) < 0)
		abort();
	return 0;
}

static int take_cert(struct bytes der, void *context, struct error *err)
{
	CLEANUP(X509_free) X509 *cert = NULL;
	CLEANUP(cert_info_deinit) struct cert_info info = {0};

	if (cert_parse(der, &cert, err) == 0)
		(void)!cert_info_read(cert, &info, err);
	return 0;
}

static int take_crl(struct bytes der, void *context, struct error *err)
{
	CLEANUP(X509_CRL_free) X509_CRL *crl = NULL;
	CLEANUP(crl_info_deinit) struct crl_info info = {0};

	if (crl_parse(der, &crl, err) == 0)
		(void)!crl_info_read(crl, &info, err);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(secret_free) struct secret *raw = NULL;
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = NULL;
	struct error err = ERROR_NULL;
	enum cert_key_type type;

	(void)!cert_each_pem((const char *)data, size, 8, take_cert, NULL, &err);
	take_cert(BYTES(data, size), NULL, &err);
	(void)!crl_each_pem((const char *)data, size, 8, take_crl, NULL, &err);
	take_crl(BYTES(data, size), NULL, &err);
	(void)!key_parse_pem((const char *)data, size, &type, &raw, &err);
	(void)!authority_read_csr(BYTES(data, size), &key, &err);
	return 0;
}
