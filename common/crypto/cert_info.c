/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a certificate. Each reader fills its part of struct cert_info; what it can't make sense of refuses the
 * certificate, so that nobody decides on half of the facts. */
#include "crypto/cert.h"

#include "crypto/crypto.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

DEFINE_CLEANUP(BIO, BIO_free);
DEFINE_CLEANUP(BIGNUM, BN_free);
DEFINE_CLEANUP(GENERAL_NAMES, GENERAL_NAMES_free);
DEFINE_CLEANUP(TLS_FEATURE, TLS_FEATURE_free);

enum { STATUS_REQUEST = 5, STATUS_REQUEST_V2 = 17 }; /* TLS extensions (RFC 6066, RFC 6961) */

static const struct group_row {
	const char *openssl; /* as EVP_PKEY_get_group_name says */
	const char *name;
	enum cert_key_type type;
} group_rows[] = {
    {"prime256v1", "EC P-256", CERT_KEY_EC_P256},
    {"secp384r1", "EC P-384", CERT_KEY_EC_P384},
    {"secp521r1", "EC P-521", CERT_KEY_EC_P521},
};

static bool key_has_explicit_curve(EVP_PKEY *key)
{
	int explicit = 0;

	return EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit) == 1 &&
	       explicit != 0;
}

static enum cert_key_type ec_key_type_of(EVP_PKEY *key, const char **ret_name)
{
	char group[64];
	size_t len;

	*ret_name = "EC with another curve";
	if (EVP_PKEY_get_group_name(key, group, sizeof(group), &len) != 1)
		return CERT_KEY_OTHER;
	for (size_t i = 0; i < ARRAY_LEN(group_rows); i++) {
		if (strcmp(group, group_rows[i].openssl) == 0) {
			*ret_name = group_rows[i].name;
			return group_rows[i].type;
		}
	}
	if (OBJ_sn2nid(group) != NID_undef)
		*ret_name = OBJ_nid2sn(OBJ_sn2nid(group));
	return CERT_KEY_OTHER;
}

enum cert_key_type cert_key_type_of(EVP_PKEY *key, const char **ret_name)
{
	const char *unused;

	if (ret_name == NULL)
		ret_name = &unused;
	*ret_name = "unknown";
	if (key == NULL)
		return CERT_KEY_OTHER;
	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		*ret_name = "RSA";
		return CERT_KEY_RSA;
	case EVP_PKEY_EC:
		return ec_key_type_of(key, ret_name);
	case EVP_PKEY_ED25519:
		*ret_name = "Ed25519";
		return CERT_KEY_ED25519;
	default:
		if (EVP_PKEY_get0_type_name(key) != NULL)
			*ret_name = OBJ_nid2sn(EVP_PKEY_get_base_id(key));
		return CERT_KEY_OTHER;
	}
}

static int read_rsa_exponent(EVP_PKEY *key, uint64_t *ret, struct error *err)
{
	CLEANUP(BN_free) BIGNUM *exponent = NULL;

	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1)
		return crypto_error(err, "read RSA exponent");
	*ret = BN_num_bits(exponent) > 64 ? UINT64_MAX : 0;
	if (*ret == 0)
		*ret = BN_get_word(exponent);
	return 0;
}

/* A key of an algorithm that OpenSSL doesn't know, or that is malformed, leaves the certificate parsed but key NULL. */
static int read_key(X509 *cert, struct cert_info *info, struct error *err)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	ASN1_OBJECT *algorithm = NULL;
	int bits;

	if (key == NULL) {
		ERR_clear_error();
		info->key_type = CERT_KEY_OTHER;
		info->key_name = "unknown";
		if (X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(cert)) == 1 &&
		    OBJ_obj2nid(algorithm) != NID_undef)
			info->key_name = OBJ_nid2sn(OBJ_obj2nid(algorithm));
		return 0;
	}
	info->key_type = cert_key_type_of(key, &info->key_name);
	bits = EVP_PKEY_get_bits(key);
	info->key_bits = bits > 0 ? (uint32_t)bits : 0;
	if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC)
		info->has_explicit_curve = key_has_explicit_curve(key);
	ERR_clear_error();
	return info->key_type == CERT_KEY_RSA ? read_rsa_exponent(key, &info->rsa_exponent, err) : 0;
}

int cert_read_name(const X509_NAME *name, const char *what, char **ret, struct error *err)
{
	CLEANUP(BIO_free) BIO *text = BIO_new(BIO_s_mem());
	char *data;
	long len;

	if (text == NULL)
		return error_nomem(err);
	if (X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) < 0) {
		crypto_error(err, "%s", what);
		return error_set(err, E_INVALID, "%s is not readable", what);
	}
	len = BIO_get_mem_data(text, &data);
	*ret = strndup(len > 0 ? data : "", (size_t)len);
	return *ret != NULL ? 0 : error_nomem(err);
}

/* The last (most specific) one. */
static int read_common_name(X509 *cert, struct cert_info *info, struct error *err)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	unsigned char *utf8 = NULL;
	int at = -1, next, len;

	while ((next = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
		at = next;
	if (at < 0)
		return 0;
	len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (len < 0) {
		crypto_error(err, "common name");
		return error_set(err, E_INVALID, "the certificate's common name is not readable");
	}
	if (len > 0 && memchr(utf8, 0, (size_t)len) != NULL)
		info->san_has_nul = true;
	info->common_name = strndup((char *)utf8, (size_t)len);
	OPENSSL_free(utf8);
	return info->common_name != NULL ? 0 : error_nomem(err);
}

static int read_serial(X509 *cert, char **ret, struct error *err)
{
	CLEANUP(BN_free) BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
	char *hex = number != NULL ? BN_bn2hex(number) : NULL;

	if (hex == NULL)
		return crypto_error(err, "read serial number");
	for (char *c = hex; *c != 0; c++)
		*c = *c >= 'A' && *c <= 'F' ? (char)(*c - 'A' + 'a') : *c;
	*ret = strdup(hex);
	OPENSSL_free(hex);
	return *ret != NULL ? 0 : error_nomem(err);
}

static int read_signature_algorithm(X509 *cert, char **ret, struct error *err)
{
	char text[128];

	if (OBJ_obj2txt(text, sizeof(text), X509_get0_tbs_sigalg(cert)->algorithm, 0) <= 0)
		return crypto_error(err, "read signature algorithm");
	*ret = strdup(text);
	return *ret != NULL ? 0 : error_nomem(err);
}

int cert_read_time(const ASN1_TIME *time, const char *what, int64_t *ret, struct error *err)
{
	struct tm parts = {0};

	if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1) {
		ERR_clear_error();
		return error_set(err, E_INVALID, "%s is not a time", what);
	}
	*ret = (int64_t)timegm(&parts);
	return 0;
}

/* A copy that is safe to show; sees NULs, which a C string would hide. */
static int copy_ia5(const ASN1_IA5STRING *string, char **ret, bool *ret_has_nul, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	const unsigned char *data = ASN1_STRING_get0_data(string);
	int len = ASN1_STRING_length(string);

	for (int i = 0; i < len; i++) {
		*ret_has_nul |= data[i] == 0;
		if (data[i] < 0x20 || data[i] >= 0x7f)
			buf_printf(&text, "\\%02x", data[i]);
		else
			buf_put_u8(&text, data[i]);
	}
	*ret = buf_take(&text, NULL);
	return *ret != NULL ? 0 : error_nomem(err);
}

static int copy_ip(const ASN1_OCTET_STRING *string, char **ret, struct error *err)
{
	char text[INET6_ADDRSTRLEN];
	int len = ASN1_STRING_length(string);

	if (len != 4 && len != 16)
		return error_set(err, E_INVALID, "the certificate has an alternative IP address of %d bytes", len);
	inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(string), text, sizeof(text));
	*ret = strdup(text);
	return *ret != NULL ? 0 : error_nomem(err);
}

/* Types that no TLS client matches (directory names, X.400 addresses...) are left out. */
static int read_alternative_name(const GENERAL_NAME *from, struct cert_info *info, struct error *err)
{
	struct cert_name *to = &info->names[info->names_len];
	int r;

	switch (from->type) {
	case GEN_DNS:
		to->type = CERT_NAME_DNS;
		r = copy_ia5(from->d.dNSName, &to->text, &info->san_has_nul, err);
		break;
	case GEN_EMAIL:
		to->type = CERT_NAME_EMAIL;
		r = copy_ia5(from->d.rfc822Name, &to->text, &info->san_has_nul, err);
		break;
	case GEN_URI:
		to->type = CERT_NAME_URI;
		r = copy_ia5(from->d.uniformResourceIdentifier, &to->text, &info->san_has_nul, err);
		break;
	case GEN_IPADD:
		to->type = CERT_NAME_IP;
		r = copy_ip(from->d.iPAddress, &to->text, err);
		break;
	default:
		return 0;
	}
	if (r == 0)
		info->names_len++;
	return r;
}

static int read_alternative_names(X509 *cert, struct cert_info *info, struct error *err)
{
	CLEANUP(GENERAL_NAMES_free) GENERAL_NAMES *names = NULL;
	int critical = 0, r = 0;

	names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);
	ERR_clear_error();
	if (names == NULL) {
		if (critical == -1)
			return 0;
		return error_set(err, E_INVALID, "the certificate's alternative names %s",
		                 critical == -2 ? "stand there twice" : "do not parse");
	}
	info->names = calloc((size_t)sk_GENERAL_NAME_num(names) + 1, sizeof(*info->names));
	if (info->names == NULL)
		return error_nomem(err);
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && r == 0; i++)
		r = read_alternative_name(sk_GENERAL_NAME_value(names, i), info, err);
	return r;
}

/* RFC 7633. What does not parse asks for nothing that a client could understand. */
static bool has_must_staple(X509 *cert)
{
	CLEANUP(TLS_FEATURE_free) TLS_FEATURE *features = X509_get_ext_d2i(cert, NID_tlsfeature, NULL, NULL);
	bool found = false;

	ERR_clear_error();
	for (int i = 0; features != NULL && i < sk_ASN1_INTEGER_num(features); i++) {
		long feature = ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i));

		found |= feature == STATUS_REQUEST || feature == STATUS_REQUEST_V2;
	}
	return found;
}

static int read_uses(X509 *cert, struct cert_info *info, struct error *err)
{
	uint32_t flags = X509_get_extension_flags(cert), uses = X509_get_extended_key_usage(cert);
	int ca = X509_check_ca(cert);

	ERR_clear_error();
	if ((flags & EXFLAG_INVALID) != 0)
		return error_set(err, E_INVALID, "the certificate has a malformed or contradictory extension");
	info->must_staple = has_must_staple(cert);
	info->is_ca = ca == 1 || ca == 3;
	info->is_self_issued = X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
	info->may_serve = uses == UINT32_MAX || (uses & (XKU_SSL_SERVER | XKU_ANYEKU)) != 0;
	info->may_connect = uses == UINT32_MAX || (uses & (XKU_SSL_CLIENT | XKU_ANYEKU)) != 0;
	return 0;
}

static int read_texts(X509 *cert, struct cert_info *info, struct error *err)
{
	int r = cert_read_name(X509_get_subject_name(cert), "the certificate's subject", &info->subject, err);

	if (r == 0)
		r = cert_read_name(X509_get_issuer_name(cert), "the certificate's issuer", &info->issuer, err);
	if (r == 0)
		r = read_common_name(cert, info, err);
	if (r == 0)
		r = read_serial(cert, &info->serial, err);
	if (r == 0)
		r = read_signature_algorithm(cert, &info->signature_algorithm, err);
	if (r == 0)
		r = read_alternative_names(cert, info, err);
	return r;
}

static int read_digests(X509 *cert, struct cert_info *info, struct error *err)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der), r;

	if (len < 0)
		return crypto_error(err, "encode certificate");
	r = crypto_sha256(BYTES(der, (size_t)len), info->sha256, err);
	OPENSSL_free(der);
	return r < 0 ? r : cert_spki_sha256(cert, info->spki_sha256, err);
}

int cert_info_read(X509 *cert, struct cert_info *ret, struct error *err)
{
	CLEANUP(cert_info_deinit) struct cert_info info = {0};
	int r = read_texts(cert, &info, err);

	if (r == 0)
		r = cert_read_time(X509_get0_notBefore(cert), "the certificate's notBefore", &info.not_before, err);
	if (r == 0)
		r = cert_read_time(X509_get0_notAfter(cert), "the certificate's notAfter", &info.not_after, err);
	if (r == 0)
		r = read_uses(cert, &info, err);
	if (r == 0)
		r = read_key(cert, &info, err);
	if (r == 0)
		r = read_digests(cert, &info, err);
	if (r < 0)
		return r;
	*ret = info;
	info = (struct cert_info){0};
	return 0;
}

void cert_info_deinit(struct cert_info *info)
{
	for (size_t i = 0; i < info->names_len; i++)
		free(info->names[i].text);
	free(info->names);
	free(info->subject);
	free(info->issuer);
	free(info->common_name);
	free(info->serial);
	free(info->signature_algorithm);
	*info = (struct cert_info){0};
}
