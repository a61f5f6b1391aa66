/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that must not leak: the one type for private keys, tokens and sealing keys. Wiped before the memory is freed,
 * never formatted by anything in this project, compared in constant time. */
#pragma once

#include "base/buf.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret {
	size_t len;
	uint8_t data[];
};

/* len bytes, zeroed. NULL without memory. */
struct secret *secret_new(size_t len);
struct secret *secret_new_copy(const void *data, size_t len);
struct secret *secret_free(struct secret *secret); /* NULL allowed; wipes; returns NULL */
DEFINE_CLEANUP(struct secret, secret_free);

bool secret_is_equal(struct bytes a, struct bytes b); /* constant time in the contents, not in the lengths */

/* Overwrites memory in a way the compiler keeps. */
void secret_wipe(void *data, size_t len);
