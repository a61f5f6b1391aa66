/* SPDX-License-Identifier: Apache-2.0 */
#include "status/names.h"

#include "model/suites.h"

#include <stdio.h>
#include <string.h>

static const char *put_name(const char *name, uint16_t code, char *text)
{
	if (name != NULL)
		snprintf(text, NAMES_TEXT_MAX, "%s", name);
	else if (code != 0)
		snprintf(text, NAMES_TEXT_MAX, "0x%04x", code);
	else
		text[0] = 0;
	return text;
}

const char *names_version(uint16_t version, char text[NAMES_TEXT_MAX])
{
	const char *name = version_name(version);

	return put_name(name != NULL ? name + strlen("TLSv") : NULL, version, text);
}

const char *names_suite(uint16_t suite, char text[NAMES_TEXT_MAX])
{
	const struct suite *found = suite_find_code(suite);

	return put_name(found != NULL ? found->iana : NULL, suite, text);
}

const char *names_group(uint16_t group, char text[NAMES_TEXT_MAX])
{
	const struct group *found = group_find_id(group);

	return put_name(found != NULL ? found->iana : NULL, group, text);
}
