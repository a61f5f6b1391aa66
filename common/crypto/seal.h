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

#define KEYRING_FINGERPRINT_LEN 8
#define KEYRING_KEYS_MAX 256

/* Reads path, or makes it (0600, durable) with one random key when it is absent and `create`. E_CORRUPT: not a keyring, or open to
 * others; E_NOT_FOUND: absent and not create. File: text, a line "tlsplane-keyring-v1", then "ID HEX64" per key, newest last. */
int keyring_load(const char *path, bool create, struct keyring **ret, struct error *err) MUST_USE;
int keyring_make(struct keyring **ret, struct error *err) MUST_USE; /* one random key, in memory alone */
struct keyring *keyring_free(struct keyring *keyring); /* NULL allowed; wipes */
DEFINE_CLEANUP(struct keyring, keyring_free);

/* 8 bytes that tell keyrings apart without giving them away, for "wrong keyring" at start. Made from the oldest key. */
void keyring_fingerprint(const struct keyring *keyring, uint8_t fingerprint[KEYRING_FINGERPRINT_LEN]);

/* What may be told of a key. */
struct keyring_entry {
	uint32_t id;
	uint8_t fingerprint[KEYRING_FINGERPRINT_LEN];
};

size_t keyring_size(const struct keyring *keyring); /* at least 1 */
/* Oldest first; index below the size. */
struct keyring_entry keyring_entry(const struct keyring *keyring, size_t index);

/* Rotation: sets made of sets. One more key, random and the newest, under an id that was not used in this set. */
int keyring_add(const struct keyring *keyring, struct keyring **ret, struct error *err) MUST_USE;
/* Only the keys that are wanted, in their order; at least one must be. */
int keyring_select(const struct keyring *keyring, bool (*is_wanted)(const struct keyring_entry *entry, void *context), void *context,
                   struct keyring **ret, struct error *err) MUST_USE;
/* Replaces path (0600), durably: after a crash it is the old set or the new one. E_EXISTS: it is there and `replace` is not set. */
int keyring_save(const struct keyring *keyring, const char *path, bool replace, struct error *err) MUST_USE;

/* Appends the sealed form of plain to out. */
int keyring_seal(const struct keyring *keyring, struct bytes aad, struct bytes plain, struct buf *out, struct error *err) MUST_USE;
/* E_CORRUPT: unknown key id, wrong aad, or changed bytes. */
int keyring_open(const struct keyring *keyring, struct bytes aad, struct bytes sealed, struct secret **ret,
                 struct error *err) MUST_USE;

/* Which key sealed it, as the four bytes that stand in it. False: not a sealed form. */
bool seal_key_id(struct bytes sealed, uint32_t *ret);
