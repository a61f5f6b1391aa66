/* SPDX-License-Identifier: Apache-2.0 */
/* Names as administrators and as clients write them: what comes out is in the one form, whatever went in. */
#include "model/name.h"
#include "model/selector.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_form(const char *name)
{
	if (strlen(name) > NAME_MAX_LEN || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.*")] != '\0')
		abort();
}

static void *find_nothing(struct bytes key, void *context)
{
	if (key.len > NAME_MAX_LEN)
		abort();
	return NULL;
}

static void as_sni(const uint8_t *data, size_t size)
{
	char name[NAME_MAX_LEN + 1];
	size_t len;

	if (name_normalise_sni(BYTES(data, size), name, &len) != 0)
		return;
	check_form(name);
	if (strlen(name) != len || strchr(name, '*') != NULL || name_choose(BYTES(name, len), find_nothing, NULL) != NULL ||
	    name_choose_route(BYTES(name, len), find_nothing, NULL) != NULL)
		abort();
}

static void as_pattern(const char *text)
{
	char name[NAME_MAX_LEN + 1], again[NAME_MAX_LEN + 1];

	if (name_normalise_pattern(text, name, NULL) != 0)
		return;
	check_form(name);
	if (name_normalise_pattern(name, again, NULL) != 0 || strcmp(name, again) != 0)
		abort();
}

static void as_text(const char *text)
{
	char name[NAME_MAX_LEN + 1], again[NAME_MAX_LEN + 1];

	(void)(selector_check(text, NULL) == 0 && selector_is_exclusive(text, text));
	if (name_normalise(text, true, name, NULL) != 0)
		return;
	check_form(name);
	if (name_normalise(name, true, again, NULL) != 0 || strcmp(name, again) != 0 || !name_is_covered(name, name))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	as_sni(data, size);
	as_text(text);
	as_pattern(text);
	free(text);
	return 0;
}
