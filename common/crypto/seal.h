/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets at rest: AES-256-GCM, random 96-bit nonce, the place of use as associated data.
 * Sealed form: u8 1 | u32 key id | 12 bytes nonce | ciphertext | 16 bytes tag. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"

#include <stdint.h>

#define SEAL_OVERHEAD (1 + 4 + 12 + 16)

/* A set of 256-bit keys with ids; the newest seals, all open. Immutable after load; any thread may seal and open. */
struct keyring;

/* Reads path, or makes it (0600, durable) with one random key when it is absent and `create`. E_CORRUPT: not a keyring, or open to
 * others; E_NOT_FOUND: absent and not create. File: text, a line "tlsplane-keyring-v1", then "ID HEX64" per key, newest last. */
int keyring_load(const char *path, bool create, struct keyring **ret, struct error *err) MUST_USE;
struct keyring *keyring_free(struct keyring *keyring); /* NULL allowed; wipes */
DEFINE_CLEANUP(struct keyring, keyring_free);

/* 8 bytes that tell keyrings apart without giving them away, for "wrong keyring" at start. Made from the oldest key, so
 * that a rotation (a newer key appended) is still the same keyring. */
void keyring_fingerprint(const struct keyring *keyring, uint8_t fingerprint[8]);

/* Appends the sealed form of plain to out. */
int keyring_seal(const struct keyring *keyring, struct bytes aad, struct bytes plain, struct buf *out, struct error *err) MUST_USE;
/* E_CORRUPT: unknown key id, wrong aad, or changed bytes. */
int keyring_open(const struct keyring *keyring, struct bytes aad, struct bytes sealed, struct secret **ret,
                 struct error *err) MUST_USE;
