/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the store gathered into one UPDATE_OBJECTS message. Copies what it takes; plain secrets in it are wiped on
 * free. */
#pragma once

#include "channel.pb-c.h"
#include "store/store.h"

#include <stddef.h>

struct envelopes {
	Tlsplane__Envelope **puts; /* owned, one allocation each */
	Tlsplane__Removal **removals;
	size_t puts_len, puts_cap, removals_len, removals_cap;
	size_t bytes; /* about what the encoded message will have */
};

void envelopes_deinit(struct envelopes *envelopes);
DEFINE_CLEANUP_VALUE(struct envelopes, envelopes_deinit);
int envelopes_put(struct envelopes *envelopes, const struct store *store, const struct store_row *row,
                  struct error *err) MUST_USE;
int envelopes_remove(struct envelopes *envelopes, const struct store_row *row, struct error *err) MUST_USE;
