/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/highwater.h"

#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FORMAT "tlsplane-high-water-v1 %" PRIu64 " %" PRIu64 "\n"
#define SCAN "tlsplane-high-water-v1 %" SCNu64 " %" SCNu64 "%c"

int highwater_read(const char *path, struct revision *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf content = BUF_NULL;
	struct revision revision = {0, 0};
	const char *text;
	char end = 0;
	int r = file_load(path, 128, &content, err);

	if (r < 0 && r != E_NOT_FOUND)
		return r;
	text = buf_cstr(&content);
	if (text == NULL)
		return error_nomem(err);
	if (r == 0 && (sscanf(text, SCAN, &revision.epoch, &revision.number, &end) != 3 || end != '\n'))
		return error_set(err, E_CORRUPT, "%s is not a high-water mark", path);
	*ret = revision;
	return 0;
}

int highwater_write(const char *path, struct revision revision, struct error *err)
{
	char text[128];
	int len = snprintf(text, sizeof(text), FORMAT, revision.epoch, revision.number);

	return file_replace(path, 0600, BYTES(text, (size_t)len), err);
}
