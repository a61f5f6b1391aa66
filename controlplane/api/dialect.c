/* SPDX-License-Identifier: Apache-2.0 */
#include "api/dialect.h"

#include <string.h>

bool dialect_has(const struct api_dialect *dialect, const char *path)
{
	size_t len = dialect != NULL ? strlen(dialect->prefix) : 0;

	return dialect != NULL && strncmp(path, dialect->prefix, len) == 0 && (path[len] == '/' || path[len] == 0);
}
