/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's start, hashing, randomness, and its error queue as our error. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/macros.h"

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts OpenSSL without the machine's openssl.cnf, so that a snapshot means the same everywhere, and with base/memory.h for its
 * allocations. Call first, once, in main. */
int crypto_init(struct error *err) MUST_USE;

#define SHA256_LEN 32
int crypto_sha256(struct bytes data, uint8_t digest[SHA256_LEN], struct error *err) MUST_USE;
int crypto_random(void *data, size_t len, struct error *err) MUST_USE;
int crypto_hash_key(struct hash_key *key, struct error *err) MUST_USE; /* random, for tries */

/* Puts the newest entry of OpenSSL's error queue behind `format`'s text, clears the queue. Returns E_CRYPTO, or E_NOMEM
 * when that is what OpenSSL ran into. */
int crypto_error(struct error *err, const char *format, ...) PRINTF_LIKE(2, 3);

void crypto_hex(const void *data, size_t len, char *text); /* lower case, 2 * len + 1 bytes */
bool crypto_unhex(const char *text, size_t len, void *ret); /* what crypto_hex has made of len / 2 bytes; false: not that */
