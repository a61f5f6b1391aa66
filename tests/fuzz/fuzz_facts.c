/* SPDX-License-Identifier: Apache-2.0 */
/* What a ticket carries: whatever is taken is written back as the same bytes. */
#include "tls/facts.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t encoded[FACTS_ENCODED_MAX];
	struct facts facts;
	size_t len;

	if (facts_decode(BYTES(data, size), &facts) < 0)
		return 0;
	assert(facts.chain_len <= FACTS_CHAIN_MAX);
	len = facts_encode(&facts, encoded);
	assert(len == size && memcmp(encoded, data, size) == 0);
	return 0;
}
