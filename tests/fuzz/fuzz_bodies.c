/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies as the channel brings them: the first byte chooses the kind. What decodes encodes to the same bytes; what
 * passes the rules can be rendered unless its certificates are none. */
#include "channel.pb-c.h"
#include "model/body.h"
#include "model/kind.h"
#include "model/resource.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_kind(const struct kind_info *kind, struct bytes encoded)
{
	const struct resource_limits limits = {.rsa_bits_max = 4096, .now = 1800000000};
	struct resource_state state = {.object = {.kind = kind->kind, .id = "id", .selector = "", .body = encoded}};
	CLEANUP(body_free) ProtobufCMessage *body = NULL;
	CLEANUP(buf_deinit) struct buf again = BUF_NULL;
	struct error err = ERROR_NULL;
	char pointer[256];

	if (body_decode(kind->body, encoded, &body, &err) != 0)
		return;
	if (body_encode(body, &again, &err) != 0 || again.len != encoded.len)
		abort();
	if (body_check(kind->kind, body, pointer, &err) == 0)
		json_decref(resource_render(&state, &limits, &err));
}

static void check_secret(struct bytes encoded)
{
	CLEANUP(body_free_secret) ProtobufCMessage *secret = NULL;
	struct error err = ERROR_NULL;

	if (body_decode(&tlsplane__secret__descriptor, encoded, &secret, &err) != 0 && err.text[0] == '\0')
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] % (kind_table_len + 1) == kind_table_len)
		check_secret(BYTES(data + 1, size - 1));
	else
		check_kind(&kind_table[data[0] % (kind_table_len + 1)], BYTES(data + 1, size - 1));
	return 0;
}
