/* SPDX-License-Identifier: Apache-2.0 */
#include "certs.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(condition)                                                                                                \
	do {                                                                                                               \
		if (!(condition)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
			abort();                                                                                                   \
		}                                                                                                              \
	} while (0)

EVP_PKEY *certs_make_key(const char *type)
{
	EVP_PKEY *key;

	if (strncmp(type, "RSA", 3) == 0)
		key = EVP_RSA_gen(type[3] == ':' ? (unsigned)strtoul(type + 4, NULL, 10) : 2048);
	else if (strcmp(type, "ED25519") == 0 || strcmp(type, "ED448") == 0)
		key = EVP_PKEY_Q_keygen(NULL, NULL, type);
	else
		key = EVP_EC_gen(type);
	MUST(key != NULL);
	return key;
}

static void add_extension(X509 *cert, X509 *issuer, const char *text)
{
	char name[64];
	const char *equals = strchr(text, '=');
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	MUST(equals != NULL);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509V3_set_ctx_nodb(&ctx);
	extension = X509V3_EXT_conf(NULL, &ctx, name, equals + 1);
	MUST(extension != NULL);
	MUST(X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

X509 *certs_make(const struct certs_spec *spec)
{
	static long serial = 1000;
	X509 *cert = X509_new(), *issuer = spec->issuer != NULL ? spec->issuer : cert;
	EVP_PKEY *signer = spec->issuer_key != NULL ? spec->issuer_key : spec->key;
	bool dated = spec->not_before != 0 || spec->not_after != 0;
	int type = EVP_PKEY_get_base_id(signer);
	time_t now = time(NULL);

	MUST(cert != NULL && X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, spec->key) == 1);
	MUST(ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial) == 1);
	MUST(ASN1_TIME_set(X509_getm_notBefore(cert), dated ? (time_t)spec->not_before : now - 86400) != NULL);
	MUST(ASN1_TIME_set(X509_getm_notAfter(cert), dated ? (time_t)spec->not_after : now + 86400) != NULL);
	if (spec->common_name != NULL)
		MUST(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
		                                (const unsigned char *)spec->common_name, -1, -1, 0) == 1);
	MUST(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
	for (size_t i = 0; i < sizeof(spec->extensions) / sizeof(spec->extensions[0]) && spec->extensions[i] != NULL; i++)
		add_extension(cert, issuer, spec->extensions[i]);
	MUST(X509_sign(cert, signer, type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448 ? NULL : EVP_sha256()) > 0);
	return cert;
}

static char *take_text(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	MUST(len > 0 && (text = strndup(data, (size_t)len)) != NULL);
	BIO_free(bio);
	return text;
}

char *certs_key_pem(EVP_PKEY *key, bool traditional)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(bio != NULL);
	if (traditional)
		MUST(PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	else
		MUST(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	return take_text(bio);
}

char *certs_pem(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());

	MUST(bio != NULL && PEM_write_bio_X509(bio, cert) == 1);
	return take_text(bio);
}

uint8_t *certs_der(X509 *cert, size_t *ret_len)
{
	int len = i2d_X509(cert, NULL);
	uint8_t *der = malloc((size_t)len), *at = der;

	MUST(der != NULL && i2d_X509(cert, &at) == len);
	*ret_len = (size_t)len;
	return der;
}
