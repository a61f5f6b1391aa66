/* SPDX-License-Identifier: Apache-2.0 */
/* A PROXY header: each beginning asks for more until one answer stands, and what was read is written and read again the same. */
#include "proxy/proxy_header.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct proxy_header *header)
{
	struct buf out = BUF_NULL;
	struct proxy_header again;
	size_t len = 0;

	if (!endpoint_is_known(&header->source))
		return;
	proxy_header_put_v2(&out, &header->source, &header->destination, NULL);
	if (!out.failed) {
		assert(proxy_header_parse(BYTES(out.data, out.len), &again, &len, NULL) == 1 && len == out.len);
		assert(again.source.v4.sin_port == header->source.v4.sin_port);
	}
	buf_reset(&out);
	proxy_header_put_v1(&out, &header->source, &header->destination);
	if (!out.failed)
		assert(proxy_header_parse(BYTES(out.data, out.len), &again, &len, NULL) == 1 && len == out.len);
	buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header, parts;
	size_t len = 0, parts_len = 0;
	int r = proxy_header_parse(BYTES(data, size), &header, &len, NULL), some = 0;

	assert(r != 1 || (len <= size && len <= PROXY_HEADER_MAX));
	assert(r != 0 || size < PROXY_HEADER_MAX);
	for (size_t i = 0; i <= size && i <= PROXY_HEADER_MAX && some == 0; i++)
		some = proxy_header_parse(BYTES(data, i), &parts, &parts_len, NULL);
	assert(some == r && (r != 1 || parts_len == len));
	if (r == 1)
		write_again(&header);
	return 0;
}
