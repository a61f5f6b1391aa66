/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed 64-bit hash for tables whose keys a peer may choose. */
#pragma once

#include "base/buf.h"

#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

uint64_t hash_bytes(const struct hash_key *key, struct bytes input);
