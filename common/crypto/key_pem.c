/* SPDX-License-Identifier: Apache-2.0 */
/* From an uploaded PEM key to the raw form, by the block's label:
 *   PRIVATE KEY      PKCS#8 (RFC 5958): algorithm, then one of the below, or for Ed25519 (RFC 8410) an OCTET STRING
 *   EC PRIVATE KEY   SEC1 (RFC 5915): scalar and named curve
 *   RSA PRIVATE KEY  PKCS#1 (RFC 8017)
 * PEM_FLAG_SECURE makes OpenSSL wipe what it reads through. */
#include "crypto/key.h"

#include "crypto/crypto.h"
#include "crypto/key_sequence.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <string.h>

DEFINE_CLEANUP(BIO, BIO_free);
DEFINE_CLEANUP(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free);
DEFINE_CLEANUP(ASN1_OCTET_STRING, ASN1_OCTET_STRING_free);
DEFINE_CLEANUP(ASN1_OBJECT, ASN1_OBJECT_free);

struct found_key {
	enum cert_key_type type;
	struct secret *raw; /* owned */
};

static enum cert_key_type type_of_curve(int nid)
{
	switch (nid) {
	case NID_X9_62_prime256v1:
		return CERT_KEY_EC_P256;
	case NID_secp384r1:
		return CERT_KEY_EC_P384;
	case NID_secp521r1:
		return CERT_KEY_EC_P521;
	default:
		return CERT_KEY_OTHER;
	}
}

static int refuse_curve(int nid, struct error *err)
{
	if (nid == NID_undef)
		return error_set(err, E_INVALID,
		                 "an EC key with explicit or unknown curve parameters; use P-256, P-384 or P-521");
	return error_set(err, E_INVALID, "an EC key on curve %s; use P-256, P-384 or P-521", OBJ_nid2sn(nid));
}

/* The curve in ECPrivateKey's own parameters: [0] EXPLICIT. False: it has none. */
static bool read_inner_curve(const ASN1_SEQUENCE_ANY *sequence, int *ret_nid)
{
	const ASN1_STRING *tagged = key_sequence_get(sequence, 2, V_ASN1_OTHER);
	const unsigned char *at;
	ASN1_OBJECT *oid;
	long len;
	int tag, class;

	if (tagged == NULL)
		return false;
	at = ASN1_STRING_get0_data(tagged);
	if ((ASN1_get_object(&at, &len, &tag, &class, ASN1_STRING_length(tagged)) & 0x80) != 0 || tag != 0 ||
	    class != V_ASN1_CONTEXT_SPECIFIC)
		return false;
	oid = d2i_ASN1_OBJECT(NULL, &at, len);
	*ret_nid = oid != NULL ? OBJ_obj2nid(oid) : NID_undef;
	ASN1_OBJECT_free(oid);
	ERR_clear_error();
	return true;
}

static int pad_scalar(const ASN1_STRING *scalar, size_t want, struct secret **ret, struct error *err)
{
	const unsigned char *data = ASN1_STRING_get0_data(scalar);
	size_t len = (size_t)ASN1_STRING_length(scalar);

	for (; len > want && data[0] == 0; len--)
		data++;
	if (len == 0 || len > want)
		return error_set(err, E_INVALID, "the private key is not of its curve's size");
	*ret = secret_new(want);
	if (*ret == NULL)
		return error_nomem(err);
	memcpy((*ret)->data + want - len, data, len);
	return 0;
}

/* outer_nid: the curve that PKCS#8 names around it; NID_undef for SEC1, which must name its own. */
static int read_ec(struct bytes der, int outer_nid, struct found_key *key, struct error *err)
{
	CLEANUP(key_sequence_free) ASN1_SEQUENCE_ANY *sequence = key_sequence_parse(der);
	const ASN1_STRING *scalar;
	int nid = outer_nid;

	if (sequence == NULL || !key_sequence_has_number(sequence, 0, 1))
		return error_set(err, E_SYNTAX, "not an EC private key (RFC 5915)");
	scalar = key_sequence_get(sequence, 1, V_ASN1_OCTET_STRING);
	if (scalar == NULL)
		return error_set(err, E_SYNTAX, "not an EC private key (RFC 5915)");
	if (!read_inner_curve(sequence, &nid) && outer_nid == NID_undef)
		return error_set(err, E_SYNTAX, "an EC private key that names no curve");
	if (outer_nid != NID_undef && nid != outer_nid)
		return error_set(err, E_INVALID, "an EC private key that names two curves");
	key->type = type_of_curve(nid);
	if (key->type == CERT_KEY_OTHER)
		return refuse_curve(nid, err);
	return pad_scalar(scalar, key_raw_len(key->type), &key->raw, err);
}

static int read_sec1(struct bytes der, struct found_key *key, struct error *err)
{
	return read_ec(der, NID_undef, key, err);
}

static int read_rsa(struct bytes der, struct found_key *key, struct error *err)
{
	CLEANUP(key_sequence_free) ASN1_SEQUENCE_ANY *sequence = key_sequence_parse(der);

	if (sequence != NULL && key_sequence_has_number(sequence, 0, 1))
		return error_set(err, E_INVALID, "an RSA key of more than two primes");
	if (sequence == NULL || !key_sequence_is_rsa(sequence))
		return error_set(err, E_SYNTAX, "not an RSA private key (RFC 8017)");
	key->type = CERT_KEY_RSA;
	key->raw = secret_new_copy(der.data, der.len);
	return key->raw != NULL ? 0 : error_nomem(err);
}

static int read_ed25519(struct bytes der, struct found_key *key, struct error *err)
{
	/* 04 20 and the seed: the one DER form there is. */
	if (der.len != 34 || der.data[0] != V_ASN1_OCTET_STRING || der.data[1] != 32)
		return error_set(err, E_SYNTAX, "not an Ed25519 private key (RFC 8410)");
	key->type = CERT_KEY_ED25519;
	key->raw = secret_new_copy(der.data + 2, 32);
	return key->raw != NULL ? 0 : error_nomem(err);
}

static int read_pkcs8_algorithm(const X509_ALGOR *algorithm, struct bytes inner, struct found_key *key,
                                struct error *err)
{
	const ASN1_OBJECT *oid;
	const void *parameter;
	int parameter_type, nid;

	X509_ALGOR_get0(&oid, &parameter_type, &parameter, algorithm);
	nid = OBJ_obj2nid(oid);
	switch (nid) {
	case NID_rsaEncryption:
		return read_rsa(inner, key, err);
	case NID_X9_62_id_ecPublicKey:
		nid = parameter_type == V_ASN1_OBJECT ? OBJ_obj2nid(parameter) : NID_undef;
		return type_of_curve(nid) == CERT_KEY_OTHER ? refuse_curve(nid, err) : read_ec(inner, nid, key, err);
	case NID_ED25519:
		return read_ed25519(inner, key, err);
	default:
		return error_set(err, E_INVALID, "a %s private key; use RSA, EC (P-256, P-384, P-521) or Ed25519",
		                 nid != NID_undef ? OBJ_nid2sn(nid) : "unknown kind of");
	}
}

static int read_pkcs8(struct bytes der, struct found_key *key, struct error *err)
{
	CLEANUP(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = NULL;
	const unsigned char *at = der.data, *inner;
	const X509_ALGOR *algorithm;
	int inner_len;

	info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
	ERR_clear_error();
	if (info == NULL || at != der.data + der.len || PKCS8_pkey_get0(NULL, &inner, &inner_len, &algorithm, info) != 1)
		return error_set(err, E_SYNTAX, "not a PKCS#8 private key (RFC 5958)");
	return read_pkcs8_algorithm(algorithm, BYTES(inner, (size_t)inner_len), key, err);
}

static const struct label_row {
	const char *label;
	int (*read)(struct bytes der, struct found_key *key, struct error *err); /* NULL: refused */
	int code;
	const char *reason;
} label_rows[] = {
    {"PRIVATE KEY", read_pkcs8, 0, NULL},
    {"EC PRIVATE KEY", read_sec1, 0, NULL},
    {"RSA PRIVATE KEY", read_rsa, 0, NULL},
    {"ENCRYPTED PRIVATE KEY", NULL, E_SYNTAX, "the private key is encrypted; decrypt it first (openssl pkey)"},
    {"DSA PRIVATE KEY", NULL, E_INVALID, "a DSA private key; use RSA, EC (P-256, P-384, P-521) or Ed25519"},
    {"OPENSSH PRIVATE KEY", NULL, E_SYNTAX, "a private key in OpenSSH's own form; use PKCS#8, SEC1 or PKCS#1"},
    {"PUBLIC KEY", NULL, E_SYNTAX, "a public key, not a private key"},
    {"CERTIFICATE", NULL, E_SYNTAX, "a certificate where a private key is expected"},
};

struct key_block {
	char *label, *header;
	unsigned char *der;
	long len;
};

static void key_block_deinit(struct key_block *block)
{
	OPENSSL_secure_free(block->label);
	OPENSSL_secure_free(block->header);
	OPENSSL_secure_clear_free(block->der, (size_t)block->len);
	*block = (struct key_block){NULL, NULL, NULL, 0};
}
DEFINE_CLEANUP_VALUE(struct key_block, key_block_deinit);

static int read_block(const struct key_block *block, struct found_key *key, struct error *err)
{
	if (strcmp(block->label, "EC PARAMETERS") == 0)
		return 0;
	if (block->header[0] != 0)
		return error_set(err, E_SYNTAX,
		                 "the private key is encrypted, or has PEM headers; decrypt it first (openssl pkey)");
	for (size_t i = 0; i < ARRAY_LEN(label_rows); i++) {
		const struct label_row *row = &label_rows[i];

		if (strcmp(block->label, row->label) != 0)
			continue;
		if (row->read == NULL)
			return error_set(err, row->code, "%s", row->reason);
		if (key->raw != NULL)
			return error_set(err, E_SYNTAX, "several private keys where one is expected");
		return row->read(BYTES(block->der, (size_t)block->len), key, err);
	}
	return error_set(err, E_SYNTAX, "a PEM block that is not a private key");
}

static int read_blocks(BIO *text, struct found_key *key, struct error *err)
{
	for (;;) {
		CLEANUP(key_block_deinit) struct key_block block = {NULL, NULL, NULL, 0};
		unsigned long newest;
		int r;

		if (PEM_read_bio_ex(text, &block.label, &block.header, &block.der, &block.len,
		                    PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) == 1) {
			r = read_block(&block, key, err);
			if (r < 0)
				return r;
			continue;
		}
		newest = ERR_peek_last_error();
		ERR_clear_error();
		if (ERR_GET_REASON(newest) == ERR_R_MALLOC_FAILURE)
			return error_nomem(err);
		if (ERR_GET_LIB(newest) == ERR_LIB_PEM && ERR_GET_REASON(newest) == PEM_R_NO_START_LINE)
			return key->raw != NULL ? 0 : error_set(err, E_SYNTAX, "no PEM private key found");
		return error_set(err, E_SYNTAX, "broken PEM: no matching END line, or not base64");
	}
}

int key_parse_pem(const char *pem, size_t len, enum cert_key_type *ret_type, struct secret **ret_raw, struct error *err)
{
	CLEANUP(BIO_free) BIO *text = NULL;
	struct found_key key = {CERT_KEY_OTHER, NULL};
	int r;

	if (len > INT_MAX)
		return error_set(err, E_TOO_LARGE, "PEM text too long");
	text = BIO_new_mem_buf(pem != NULL ? pem : "", (int)len);
	if (text == NULL)
		return error_nomem(err);
	r = read_blocks(text, &key, err);
	if (r < 0) {
		secret_free(key.raw);
		return r;
	}
	*ret_type = key.type;
	*ret_raw = key.raw;
	return 0;
}
