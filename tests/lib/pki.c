/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(what)                                                                                                     \
	do {                                                                                                               \
		if (!(what)) {                                                                                                 \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                                 \
			ERR_print_errors_fp(stderr);                                                                               \
			abort();                                                                                                   \
		}                                                                                                              \
	} while (0)

static EVP_PKEY *generate(EVP_PKEY_CTX *ctx, const OSSL_PARAM *params)
{
	EVP_PKEY *key = NULL;

	MUST(ctx != NULL && EVP_PKEY_keygen_init(ctx) == 1);
	MUST(params == NULL || EVP_PKEY_CTX_set_params(ctx, params) == 1);
	MUST(EVP_PKEY_generate(ctx, &key) == 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *make_rsa(const char *algorithm, const char *bits_text, unsigned exponent)
{
	unsigned bits = (unsigned)strtoul(bits_text, NULL, 10), e = exponent != 0 ? exponent : 65537;
	OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_BITS, &bits),
	                       OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_RSA_E, &e), OSSL_PARAM_construct_end()};

	return generate(EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL), params);
}

static EVP_PKEY *make_ec(const char *curve, bool explicit_curve)
{
	char group[32] = "", encoding[] = "explicit";
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
	                       OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_EC_ENCODING, encoding, 0),
	                       OSSL_PARAM_construct_end()};

	snprintf(group, sizeof(group), "%s", curve);
	params[0].data_size = strlen(group);
	if (!explicit_curve)
		params[1] = OSSL_PARAM_construct_end();
	return generate(EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL), params);
}

static EVP_PKEY *make_dsa(const char *bits_text)
{
	unsigned bits = (unsigned)strtoul(bits_text, NULL, 10);
	OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_PKEY_PARAM_FFC_PBITS, &bits), OSSL_PARAM_construct_end()};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "DSA", NULL);
	EVP_PKEY *parameters = NULL, *key;

	MUST(EVP_PKEY_paramgen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1);
	MUST(EVP_PKEY_generate(ctx, &parameters) == 1);
	EVP_PKEY_CTX_free(ctx);
	key = generate(EVP_PKEY_CTX_new_from_pkey(NULL, parameters, NULL), NULL);
	EVP_PKEY_free(parameters);
	return key;
}

static EVP_PKEY *make_key(const struct pki_spec *spec)
{
	const char *name = spec->key != NULL ? spec->key : "P-256";

	if (spec->reuse != NULL) {
		MUST(EVP_PKEY_up_ref(spec->reuse->key) == 1);
		return spec->reuse->key;
	}
	if (strncmp(name, "RSA-PSS-", 8) == 0)
		return make_rsa("RSA-PSS", name + 8, spec->rsa_exponent);
	if (strncmp(name, "RSA-", 4) == 0)
		return make_rsa("RSA", name + 4, spec->rsa_exponent);
	if (strncmp(name, "DSA-", 4) == 0)
		return make_dsa(name + 4);
	if (strncmp(name, "Ed", 2) == 0)
		return generate(EVP_PKEY_CTX_new_from_name(NULL, name, NULL), NULL);
	return make_ec(name, spec->explicit_curve);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	MUST(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

static void add_raw_name(X509 *cert, const void *name, size_t len)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *general = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	MUST(names != NULL && general != NULL && text != NULL && ASN1_STRING_set(text, name, (int)len) == 1);
	GENERAL_NAME_set0_value(general, GEN_DNS, text);
	MUST(sk_GENERAL_NAME_push(names, general) > 0);
	MUST(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1);
	GENERAL_NAMES_free(names);
}

static void set_identity(X509 *cert, const struct pki_spec *spec)
{
	const char *name = spec->name != NULL ? spec->name : "test";
	X509_NAME *subject = X509_get_subject_name(cert);
	uint8_t serial[16];
	BIGNUM *number;

	MUST(RAND_bytes(serial, sizeof(serial)) == 1);
	serial[0] = (uint8_t)((serial[0] & 0x3f) | 0x40);
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	MUST(number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL);
	BN_free(number);
	if (spec->subject != NULL)
		MUST(X509_set_subject_name(cert, spec->subject) == 1);
	else
		MUST(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1);
}

static void set_validity(X509 *cert, const struct pki_spec *spec)
{
	bool plain = spec->not_before == 0 && spec->not_after == 0;

	MUST(X509_gmtime_adj(X509_getm_notBefore(cert), plain ? -3600 : (long)spec->not_before) != NULL);
	MUST(X509_gmtime_adj(X509_getm_notAfter(cert), plain ? 90 * 86400L : (long)spec->not_after) != NULL);
}

static char *pem_of(int (*write)(BIO *out, const struct pki_cert *made), const struct pki_cert *made)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *data, *copy;
	long len;

	MUST(out != NULL && write(out, made) == 1);
	len = BIO_get_mem_data(out, &data);
	copy = strndup(data, (size_t)len);
	MUST(copy != NULL);
	BIO_free(out);
	return copy;
}

static int write_cert(BIO *out, const struct pki_cert *made)
{
	return PEM_write_bio_X509(out, made->cert);
}

static int write_key(BIO *out, const struct pki_cert *made)
{
	return PEM_write_bio_PrivateKey(out, made->key, NULL, NULL, 0, NULL, NULL);
}

struct pki_cert *pki_make(const struct pki_spec *spec)
{
	struct pki_cert *made = calloc(1, sizeof(*made));
	const EVP_MD *digest = EVP_get_digestbyname(spec->digest != NULL ? spec->digest : "SHA256");
	EVP_PKEY *signer;
	X509 *issuer;

	MUST(made != NULL && digest != NULL);
	made->key = make_key(spec);
	made->cert = X509_new();
	MUST(made->cert != NULL && X509_set_version(made->cert, X509_VERSION_3) == 1);
	issuer = spec->issuer != NULL ? spec->issuer->cert : made->cert;
	signer = spec->issuer != NULL ? spec->issuer->key : made->key;
	set_identity(made->cert, spec);
	set_validity(made->cert, spec);
	MUST(X509_set_issuer_name(made->cert, X509_get_subject_name(issuer)) == 1);
	MUST(X509_set_pubkey(made->cert, made->key) == 1);
	add_extension(made->cert, issuer, NID_basic_constraints, spec->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
	add_extension(made->cert, issuer, NID_subject_key_identifier, "hash");
	add_extension(made->cert, issuer, NID_authority_key_identifier, "keyid");
	if (spec->dns_raw != NULL)
		add_raw_name(made->cert, spec->dns_raw, spec->dns_raw_len);
	else if (spec->sans != NULL)
		add_extension(made->cert, issuer, NID_subject_alt_name, spec->sans);
	if (spec->usage != NULL)
		add_extension(made->cert, issuer, NID_ext_key_usage, spec->usage);
	if (spec->key_usage != NULL)
		add_extension(made->cert, issuer, NID_key_usage, spec->key_usage);
	if (spec->tls_feature != NULL)
		add_extension(made->cert, issuer, NID_tlsfeature, spec->tls_feature);
	if (EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519 || EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED448)
		digest = NULL;
	MUST(X509_sign(made->cert, signer, digest) > 0);
	made->pem = pem_of(write_cert, made);
	made->key_pem = pem_of(write_key, made);
	ERR_clear_error();
	return made;
}

struct pki_cert *pki_free(struct pki_cert *cert)
{
	if (cert == NULL)
		return NULL;
	X509_free(cert->cert);
	EVP_PKEY_free(cert->key);
	free(cert->pem);
	free(cert->key_pem);
	free(cert);
	return NULL;
}

char *pki_join(const char *first, ...)
{
	char *joined = strdup(first);
	const char *next;
	va_list args;

	MUST(joined != NULL);
	va_start(args, first);
	while ((next = va_arg(args, const char *)) != NULL) {
		size_t len = strlen(joined);

		joined = realloc(joined, len + strlen(next) + 1);
		MUST(joined != NULL);
		strcpy(joined + len, next);
	}
	va_end(args);
	return joined;
}

static X509_EXTENSION *make_extension(const char *text, X509_CRL *crl)
{
	const char *equals = strchr(text, '=');
	char *name = strndup(text, (size_t)(equals - text));
	X509_EXTENSION *extension;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
	extension = X509V3_EXT_conf(NULL, &ctx, name, equals + 1);
	MUST(extension != NULL);
	free(name);
	return extension;
}

static void add_revoked(X509_CRL *crl, const struct pki_cert *cert, const char *extension_text)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *at = X509_gmtime_adj(NULL, -1800);

	MUST(entry != NULL && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(cert->cert)) == 1);
	MUST(X509_REVOKED_set_revocationDate(entry, at) == 1);
	if (extension_text != NULL) {
		X509_EXTENSION *extension = make_extension(extension_text, crl);

		MUST(X509_REVOKED_add_ext(entry, extension, -1) == 1);
		X509_EXTENSION_free(extension);
	}
	MUST(X509_CRL_add0_revoked(crl, entry) == 1);
	ASN1_TIME_free(at);
}

static void set_updates(X509_CRL *crl, const struct pki_crl_spec *spec)
{
	bool plain = spec->this_update == 0 && spec->next_update == 0;
	ASN1_TIME *from = X509_gmtime_adj(NULL, plain ? -3600 : (long)spec->this_update);
	ASN1_TIME *to = X509_gmtime_adj(NULL, plain ? 86400 : (long)spec->next_update);

	MUST(X509_CRL_set1_lastUpdate(crl, from) == 1);
	MUST(spec->has_no_next_update || X509_CRL_set1_nextUpdate(crl, to) == 1);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
}

char *pki_make_crl(const struct pki_crl_spec *spec)
{
	const struct pki_cert *signer = spec->signer != NULL ? spec->signer : spec->issuer;
	X509_CRL *crl = X509_CRL_new();
	BIO *out = BIO_new(BIO_s_mem());
	char *data, *pem;
	long len;

	MUST(crl != NULL && out != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1);
	MUST(X509_CRL_set_issuer_name(crl, X509_get_subject_name(spec->issuer->cert)) == 1);
	set_updates(crl, spec);
	for (size_t i = 0; i < 4 && spec->revoked[i] != NULL; i++)
		add_revoked(crl, spec->revoked[i], i == 0 ? spec->entry_extension : NULL);
	for (size_t i = 0; i < 3 && spec->extensions[i] != NULL; i++) {
		X509_EXTENSION *extension = make_extension(spec->extensions[i], crl);

		MUST(X509_CRL_add_ext(crl, extension, -1) == 1);
		X509_EXTENSION_free(extension);
	}
	MUST(X509_CRL_sign(crl, signer->key, EVP_sha256()) > 0 && PEM_write_bio_X509_CRL(out, crl) == 1);
	len = BIO_get_mem_data(out, &data);
	pem = strndup(data, (size_t)len);
	MUST(pem != NULL);
	BIO_free(out);
	X509_CRL_free(crl);
	ERR_clear_error();
	return pem;
}
