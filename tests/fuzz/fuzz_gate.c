/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends to the admin API before any of it is a request. However it comes in pieces, the same passes; and
 * what has passed passes again as it is, so that whoever reads it behind the gate frames it as the gate did. */
#include "http/gate.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* piece 0: all at once. */
static void pass(struct bytes in, size_t piece, struct gate *gate, struct buf *out)
{
	while (in.len > 0) {
		size_t len = piece > 0 && piece < in.len ? piece : in.len;

		gate_feed(gate, BYTES(in.data, len), out);
		in = BYTES(in.data + len, in.len - len);
	}
}

/* Data of a chunk passes in the pieces it came in: then what comes out differs. */
static bool has_chunks(const struct buf *out)
{
	for (size_t i = 0; i + 7 <= out->len; i++) {
		if (strncasecmp((const char *)out->data + i, "chunked", 7) == 0)
			return true;
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buf_deinit) struct buf whole = BUF_NULL, pieces = BUF_NULL, again = BUF_NULL;
	struct gate a = {0}, b = {0}, c = {0};

	pass(BYTES(data, size), 0, &a, &whole);
	pass(BYTES(data, size), 3, &b, &pieces);
	assert(a.heads == b.heads && a.state == b.state && a.left == b.left);
	if (whole.len > 0 && !has_chunks(&whole))
		assert(whole.len == pieces.len && memcmp(whole.data, pieces.data, whole.len) == 0);
	if (a.state != GATE_REFUSED) {
		pass(BYTES(pieces.data, pieces.len), 0, &c, &again);
		assert(c.state != GATE_REFUSED && c.heads == a.heads);
		assert(again.len == pieces.len && (again.len == 0 || memcmp(again.data, pieces.data, again.len) == 0));
	}
	gate_deinit(&a);
	gate_deinit(&b);
	gate_deinit(&c);
	return 0;
}
