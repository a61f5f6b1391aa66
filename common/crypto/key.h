/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys in three forms: PEM (as uploaded), raw (as stored: see PrivateKey in channel.proto), EVP_PKEY (in use).
 *
 * OpenSSL 3.0's generic decoder costs 0.5 to 0.8 ms a key. PEM is therefore taken apart by type with the typed decoders, and the raw
 * form goes through EVP_PKEY_fromdata (EC, with the public point, which fromdata does not compute) or d2i (RSA): 20 times less. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "crypto/cert.h"

#include <openssl/types.h>

/* One unencrypted private key in PEM (PKCS#8, SEC1 or PKCS#1; EC PARAMETERS before it is skipped). E_SYNTAX: none, several, encrypted
 * (the text says which); E_INVALID: a type outside cert_key_type. */
int key_parse_pem(const char *pem, size_t len, enum cert_key_type *ret_type, struct secret **ret_raw, struct error *err) MUST_USE;

/* From raw, with the public key of the certificate that it belongs to. E_INVALID: they don't match. *ret: a reference. */
int key_load(enum cert_key_type type, struct bytes raw, X509 *cert, EVP_PKEY **ret, struct error *err) MUST_USE;

/* A new P-256 key. */
int key_generate(EVP_PKEY **ret, struct error *err) MUST_USE;
/* PKCS#8 DER, for files of our own. */
int key_encode(EVP_PKEY *key, struct secret **ret, struct error *err) MUST_USE;
int key_decode(struct bytes der, EVP_PKEY **ret, struct error *err) MUST_USE;
int key_spki_sha256(EVP_PKEY *key, uint8_t digest[32], struct error *err) MUST_USE;
