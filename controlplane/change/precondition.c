/* SPDX-License-Identifier: Apache-2.0 */
/* If-Match (RFC 9110 section 13.1.1): "*" or a list of entity tags, compared strongly: a weak tag never matches. */
#include "change/request.h"

#include <string.h>

static const char *skip_separators(const char *at)
{
	return at + strspn(at, " \t,");
}

bool etag_list_has(const char *list, const char *etag)
{
	size_t len = strlen(etag);
	const char *at = skip_separators(list);

	if (at[0] == '*')
		return at[1 + strspn(at + 1, " \t")] == '\0';
	while (*at != '\0') {
		bool weak = strncmp(at, "W/", 2) == 0;
		const char *open = weak ? at + 2 : at, *close;

		if (*open != '"')
			return false; /* not a list of tags: nothing matches */
		close = strchr(open + 1, '"');
		if (close == NULL)
			return false;
		if (!weak && (size_t)(close + 1 - open) == len && memcmp(open, etag, len) == 0)
			return true;
		at = skip_separators(close + 1);
	}
	return false;
}
