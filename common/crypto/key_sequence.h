/* SPDX-License-Identifier: Apache-2.0 */
/* Inside common/crypto: the DER of a private key as a sequence of elements, wiped when it goes. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"
#include "crypto/cert.h"

#include <openssl/asn1.h>
#include <stdbool.h>

/* NULL: not one SEQUENCE, or bytes behind it. */
ASN1_SEQUENCE_ANY *key_sequence_parse(struct bytes der);
void key_sequence_free(ASN1_SEQUENCE_ANY *sequence);
DEFINE_CLEANUP(ASN1_SEQUENCE_ANY, key_sequence_free);

/* The element's content if it is there and of this V_ASN1 type (V_ASN1_INTEGER, V_ASN1_OCTET_STRING, V_ASN1_OTHER),
 * else NULL. */
const ASN1_STRING *key_sequence_get(const ASN1_SEQUENCE_ANY *sequence, int at, int type);
bool key_sequence_has_number(const ASN1_SEQUENCE_ANY *sequence, int at, int64_t number);

/* RSAPrivateKey of RFC 8017 A.1.2 for two primes: version 0 and eight integers. */
#define KEY_RSA_INTEGERS 9
bool key_sequence_is_rsa(const ASN1_SEQUENCE_ANY *sequence);

/* Bytes of a private key's raw form; 0: varies (RSA). */
size_t key_raw_len(enum cert_key_type type);
