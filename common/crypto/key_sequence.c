/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/key_sequence.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

ASN1_SEQUENCE_ANY *key_sequence_parse(struct bytes der)
{
	const unsigned char *at = der.data;
	ASN1_SEQUENCE_ANY *sequence;

	if (der.data == NULL || der.len > INT_MAX)
		return NULL;
	sequence = d2i_ASN1_SEQUENCE_ANY(NULL, &at, (long)der.len);
	ERR_clear_error();
	if (sequence != NULL && at != der.data + der.len) {
		key_sequence_free(sequence);
		return NULL;
	}
	return sequence;
}

static bool holds_string(const ASN1_TYPE *element)
{
	return element->type != V_ASN1_OBJECT && element->type != V_ASN1_BOOLEAN && element->type != V_ASN1_NULL;
}

void key_sequence_free(ASN1_SEQUENCE_ANY *sequence)
{
	for (int i = 0; i < sk_ASN1_TYPE_num(sequence); i++) {
		ASN1_TYPE *element = sk_ASN1_TYPE_value(sequence, i);

		if (holds_string(element) && element->value.asn1_string != NULL && element->value.asn1_string->data != NULL)
			OPENSSL_cleanse(element->value.asn1_string->data, (size_t)element->value.asn1_string->length);
	}
	sk_ASN1_TYPE_pop_free(sequence, ASN1_TYPE_free);
}

const ASN1_STRING *key_sequence_get(const ASN1_SEQUENCE_ANY *sequence, int at, int type)
{
	const ASN1_TYPE *element = sk_ASN1_TYPE_value(sequence, at); /* NULL beyond the end */

	return element != NULL && element->type == type ? element->value.asn1_string : NULL;
}

bool key_sequence_has_number(const ASN1_SEQUENCE_ANY *sequence, int at, int64_t number)
{
	const ASN1_STRING *integer = key_sequence_get(sequence, at, V_ASN1_INTEGER);
	int64_t found;

	return integer != NULL && ASN1_INTEGER_get_int64(&found, integer) == 1 && found == number;
}

bool key_sequence_is_rsa(const ASN1_SEQUENCE_ANY *sequence)
{
	if (sk_ASN1_TYPE_num(sequence) != KEY_RSA_INTEGERS || !key_sequence_has_number(sequence, 0, 0))
		return false;
	for (int i = 1; i < KEY_RSA_INTEGERS; i++) {
		if (key_sequence_get(sequence, i, V_ASN1_INTEGER) == NULL)
			return false;
	}
	return true;
}

size_t key_raw_len(enum cert_key_type type)
{
	static const size_t lengths[] = {
	    [CERT_KEY_EC_P256] = 32,
	    [CERT_KEY_EC_P384] = 48,
	    [CERT_KEY_EC_P521] = 66,
	    [CERT_KEY_ED25519] = 32,
	};

	return (size_t)type < ARRAY_LEN(lengths) ? lengths[type] : 0;
}
