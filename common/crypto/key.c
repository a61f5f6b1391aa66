/* SPDX-License-Identifier: Apache-2.0 */
/* Raw keys in use, and keys of our own. A key is checked against its certificate by arithmetic, not by a trial
 * signature: for RSA that is about a hundredth of the cost, and it also finds a damaged CRT part, whose signatures
 * would give the key away. */
#include "crypto/key.h"

#include "crypto/crypto.h"
#include "crypto/key_sequence.h"

#include <assert.h>
#include <limits.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

DEFINE_CLEANUP(BIGNUM, BN_clear_free);
DEFINE_CLEANUP(BN_CTX, BN_CTX_free);
DEFINE_CLEANUP(EC_GROUP, EC_GROUP_free);
DEFINE_CLEANUP(EC_POINT, EC_POINT_clear_free);
DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free);
DEFINE_CLEANUP(OSSL_PARAM, OSSL_PARAM_free);
DEFINE_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free);
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free);

#define POINT_MAX (1 + 2 * 66)

static int refuse_pair(struct error *err)
{
	return error_set(err, E_INVALID, "the private key does not belong to the certificate");
}

/* Private numbers are "secure" BIGNUMs throughout, so that OSSL_PARAM_free wipes the copies as well. */
static int key_from_params(const char *algorithm, OSSL_PARAM_BLD *builder, EVP_PKEY **ret, struct error *err)
{
	CLEANUP(OSSL_PARAM_free) OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
	CLEANUP(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	EVP_PKEY *key = NULL;

	if (params == NULL || ctx == NULL)
		return crypto_error(err, "make %s key", algorithm);
	if (EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) != 1)
		return crypto_error(err, "make %s key", algorithm);
	*ret = key;
	return 0;
}

/* EC ------------------------------------------------------------------------------------------------------------- */

static const struct curve_row {
	enum cert_key_type type;
	int nid;
	const char *name;
} curve_rows[] = {
    {CERT_KEY_EC_P256, NID_X9_62_prime256v1, "P-256"},
    {CERT_KEY_EC_P384, NID_secp384r1, "P-384"},
    {CERT_KEY_EC_P521, NID_secp521r1, "P-521"},
};

static const struct curve_row *curve_of(enum cert_key_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(curve_rows); i++) {
		if (curve_rows[i].type == type)
			return &curve_rows[i];
	}
	return NULL;
}

/* scalar * G == the certificate's point, whose uncompressed form comes back. */
static int ec_check_pair(const struct curve_row *curve, const BIGNUM *scalar, X509 *cert, uint8_t point[POINT_MAX],
                         size_t *ret_len, struct error *err)
{
	CLEANUP(EC_GROUP_free) EC_GROUP *group = EC_GROUP_new_by_curve_name(curve->nid);
	CLEANUP(EC_POINT_clear_free) EC_POINT *theirs = NULL, *ours = NULL;
	const ASN1_BIT_STRING *encoded = X509_get0_pubkey_bitstr(cert);

	if (group == NULL)
		return crypto_error(err, "curve %s", curve->name);
	theirs = EC_POINT_new(group);
	ours = EC_POINT_new(group);
	if (theirs == NULL || ours == NULL)
		return error_nomem(err);
	if (BN_is_zero(scalar) || BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0)
		return error_set(err, E_INVALID, "the private key is outside its curve's range");
	if (EC_POINT_oct2point(group, theirs, encoded->data, (size_t)encoded->length, NULL) != 1 ||
	    EC_POINT_mul(group, ours, scalar, NULL, NULL, NULL) != 1)
		return crypto_error(err, "check EC key");
	if (EC_POINT_cmp(group, theirs, ours, NULL) != 0)
		return refuse_pair(err);
	*ret_len = EC_POINT_point2oct(group, theirs, POINT_CONVERSION_UNCOMPRESSED, point, POINT_MAX, NULL);
	return *ret_len > 0 ? 0 : crypto_error(err, "encode EC point");
}

static int ec_load(enum cert_key_type type, struct bytes raw, X509 *cert, EVP_PKEY **ret, struct error *err)
{
	const struct curve_row *curve = curve_of(type);
	CLEANUP(BN_clear_free) BIGNUM *scalar = BN_secure_new();
	CLEANUP(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	uint8_t point[POINT_MAX];
	size_t point_len = 0;
	int r;

	assert(curve != NULL); /* `loaders` */
	if (scalar == NULL || builder == NULL || BN_bin2bn(raw.data, (int)raw.len, scalar) == NULL)
		return error_nomem(err);
	BN_set_flags(scalar, BN_FLG_CONSTTIME);
	r = ec_check_pair(curve, scalar, cert, point, &point_len, err);
	if (r != 0)
		return r;
	if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) != 1 ||
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, point_len) != 1 ||
	    OSSL_PARAM_BLD_push_BN_pad(builder, OSSL_PKEY_PARAM_PRIV_KEY, scalar, raw.len) != 1)
		return crypto_error(err, "make EC key");
	return key_from_params("EC", builder, ret, err);
}

/* RSA ------------------------------------------------------------------------------------------------------------ */

enum rsa_part {
	RSA_N,
	RSA_E,
	RSA_D,
	RSA_P,
	RSA_Q,
	RSA_DP,
	RSA_DQ,
	RSA_QI,
	RSA_PARTS
}; /* in the order of RSAPrivateKey */

static const char *const rsa_names[RSA_PARTS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

struct rsa_numbers {
	BIGNUM *part[RSA_PARTS];
};

static void rsa_numbers_deinit(struct rsa_numbers *numbers)
{
	for (size_t i = 0; i < RSA_PARTS; i++)
		BN_clear_free(numbers->part[i]);
}
DEFINE_CLEANUP_VALUE(struct rsa_numbers, rsa_numbers_deinit);

static int rsa_read(struct bytes der, struct rsa_numbers *numbers, struct error *err)
{
	CLEANUP(key_sequence_free) ASN1_SEQUENCE_ANY *sequence = key_sequence_parse(der);

	if (sequence == NULL || !key_sequence_is_rsa(sequence))
		return error_set(err, E_INVALID, "not an RSA private key");
	for (int i = 0; i < RSA_PARTS; i++) {
		numbers->part[i] = BN_secure_new();
		if (numbers->part[i] == NULL ||
		    ASN1_INTEGER_to_BN(key_sequence_get(sequence, i + 1, V_ASN1_INTEGER), numbers->part[i]) == NULL)
			return error_nomem(err);
		BN_set_flags(numbers->part[i], BN_FLG_CONSTTIME);
	}
	return 0;
}

static bool rsa_matches(const struct rsa_numbers *numbers, X509 *cert)
{
	CLEANUP(BN_clear_free) BIGNUM *modulus = NULL, *exponent = NULL;
	EVP_PKEY *public = X509_get0_pubkey(cert);

	return EVP_PKEY_get_bn_param(public, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1 &&
	       EVP_PKEY_get_bn_param(public, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
	       BN_cmp(modulus, numbers->part[RSA_N]) == 0 && BN_cmp(exponent, numbers->part[RSA_E]) == 0;
}

/* crt == d mod (prime - 1), and it inverts e there. */
static bool rsa_exponent_is_sound(const struct rsa_numbers *numbers, enum rsa_part prime, enum rsa_part crt,
                                  BN_CTX *ctx)
{
	CLEANUP(BN_clear_free) BIGNUM *order = BN_secure_new(), *t = BN_secure_new();

	return order != NULL && t != NULL && BN_sub(order, numbers->part[prime], BN_value_one()) == 1 &&
	       BN_mod(t, numbers->part[RSA_D], order, ctx) == 1 && BN_cmp(t, numbers->part[crt]) == 0 &&
	       BN_mod_mul(t, numbers->part[RSA_E], numbers->part[crt], order, ctx) == 1 && BN_is_one(t);
}

/* p * q == n with both above 1, both CRT exponents, the coefficient. Primality is not asked: n has but one
 * factorisation into two. */
static bool rsa_is_sound(const struct rsa_numbers *numbers)
{
	CLEANUP(BN_CTX_free) BN_CTX *ctx = BN_CTX_secure_new();
	CLEANUP(BN_clear_free) BIGNUM *t = BN_secure_new();
	BIGNUM *const *part = numbers->part;

	if (ctx == NULL || t == NULL)
		return false;
	for (int i = 0; i < RSA_PARTS; i++) {
		if (BN_is_negative(part[i]) || BN_is_zero(part[i]) || BN_num_bits(part[i]) > BN_num_bits(part[RSA_N]))
			return false;
	}
	return !BN_is_one(part[RSA_P]) && !BN_is_one(part[RSA_Q]) && BN_mul(t, part[RSA_P], part[RSA_Q], ctx) == 1 &&
	       BN_cmp(t, part[RSA_N]) == 0 && rsa_exponent_is_sound(numbers, RSA_P, RSA_DP, ctx) &&
	       rsa_exponent_is_sound(numbers, RSA_Q, RSA_DQ, ctx) && BN_cmp(part[RSA_QI], part[RSA_P]) < 0 &&
	       BN_mod_mul(t, part[RSA_QI], part[RSA_Q], part[RSA_P], ctx) == 1 && BN_is_one(t);
}

static int rsa_load(enum cert_key_type type, struct bytes raw, X509 *cert, EVP_PKEY **ret, struct error *err)
{
	CLEANUP(rsa_numbers_deinit) struct rsa_numbers numbers = {{NULL}};
	CLEANUP(OSSL_PARAM_BLD_free) OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	int r = rsa_read(raw, &numbers, err);

	if (r < 0)
		return r;
	if (builder == NULL)
		return error_nomem(err);
	if (!rsa_matches(&numbers, cert))
		return refuse_pair(err);
	ERR_clear_error();
	if (!rsa_is_sound(&numbers)) {
		if (ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE)
			return crypto_error(err, "check RSA key");
		ERR_clear_error();
		return error_set(err, E_INVALID, "the RSA private key is damaged: its parts don't fit together");
	}
	for (int i = 0; i < RSA_PARTS; i++) {
		if (OSSL_PARAM_BLD_push_BN(builder, rsa_names[i], numbers.part[i]) != 1)
			return crypto_error(err, "make RSA key");
	}
	return key_from_params("RSA", builder, ret, err);
}

/* Ed25519 -------------------------------------------------------------------------------------------------------- */

static int ed25519_load(enum cert_key_type type, struct bytes raw, X509 *cert, EVP_PKEY **ret, struct error *err)
{
	CLEANUP(EVP_PKEY_free) EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw.data, raw.len);

	if (key == NULL)
		return crypto_error(err, "make Ed25519 key");
	if (EVP_PKEY_eq(key, X509_get0_pubkey(cert)) != 1) {
		ERR_clear_error();
		return refuse_pair(err);
	}
	*ret = TAKE_PTR(key);
	return 0;
}

/* ---------------------------------------------------------------------------------------------------------------- */

static int (*const loaders[])(enum cert_key_type type, struct bytes raw, X509 *cert, EVP_PKEY **ret,
                              struct error *err) = {
    [CERT_KEY_RSA] = rsa_load,    [CERT_KEY_EC_P256] = ec_load,      [CERT_KEY_EC_P384] = ec_load,
    [CERT_KEY_EC_P521] = ec_load, [CERT_KEY_ED25519] = ed25519_load,
};

int key_load(enum cert_key_type type, struct bytes raw, X509 *cert, EVP_PKEY **ret, struct error *err)
{
	const char *name;
	size_t want = key_raw_len(type);

	if ((size_t)type >= ARRAY_LEN(loaders) || loaders[type] == NULL)
		return error_set(err, E_INVALID, "a private key of an unknown type");
	if (cert_key_type_of(X509_get0_pubkey(cert), &name) != type)
		return error_set(err, E_INVALID, "the private key does not belong to the certificate, whose key is %s", name);
	if (want != 0 && raw.len != want)
		return error_set(err, E_INVALID, "a private key of %zu bytes where its type has %zu", raw.len, want);
	return loaders[type](type, raw, cert, ret, err);
}

int key_generate(EVP_PKEY **ret, struct error *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (key == NULL)
		return crypto_error(err, "make a P-256 key");
	*ret = key;
	return 0;
}

int key_encode(EVP_PKEY *key, struct secret **ret, struct error *err)
{
	CLEANUP(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	struct secret *made;
	int len;

	if (info == NULL)
		return crypto_error(err, "encode private key");
	len = i2d_PKCS8_PRIV_KEY_INFO(info, &der);
	if (len < 0)
		return crypto_error(err, "encode private key");
	made = secret_new_copy(der, (size_t)len);
	OPENSSL_clear_free(der, (size_t)len);
	if (made == NULL)
		return error_nomem(err);
	*ret = made;
	return 0;
}

int key_decode(struct bytes der, EVP_PKEY **ret, struct error *err)
{
	CLEANUP(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = NULL;
	const unsigned char *at = der.data;
	EVP_PKEY *key;

	if (der.data != NULL && der.len <= INT_MAX)
		info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
	ERR_clear_error();
	if (info == NULL || at != der.data + der.len)
		return error_set(err, E_SYNTAX, "not a PKCS#8 private key");
	key = EVP_PKCS82PKEY(info);
	if (key == NULL)
		return crypto_error(err, "decode private key");
	*ret = key;
	return 0;
}

int key_spki_sha256(EVP_PKEY *key, uint8_t digest[32], struct error *err)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key, &der), r;

	if (len < 0)
		return crypto_error(err, "encode public key");
	r = crypto_sha256(BYTES(der, (size_t)len), digest, err);
	OPENSSL_free(der);
	return r;
}
