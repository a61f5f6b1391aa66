/* SPDX-License-Identifier: Apache-2.0 */
/* The request target of the admin API. No segment that comes out may change what a path means. */
#include "http/target.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_target(const struct target *target)
{
	for (size_t i = 0; i < target->segments_len; i++) {
		const char *segment = target->segments[i];

		assert(segment[0] != 0 && strcmp(segment, ".") != 0 && strcmp(segment, "..") != 0);
		for (; *segment != 0; segment++)
			assert((unsigned char)*segment >= 0x20 && *segment != '/' && *segment != '\\' && *segment != 0x7f);
	}
	for (size_t i = 0; i < target->parameters_len; i++)
		assert(target->parameters[i].name != NULL && target->parameters[i].value != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_NULL;
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = 0;
	{
		CLEANUP(target_deinit) struct target target = {0};

		if (target_parse(text, &target, &err) == 0)
			check_target(&target);
	}
	free(text);
	return 0;
}
