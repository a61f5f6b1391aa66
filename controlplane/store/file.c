/* SPDX-License-Identifier: Apache-2.0 */
#include "store/file.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

static void path_free(char **path)
{
	free(*path);
}
DEFINE_CLEANUP_VALUE(char *, path_free);

char *file_path(const char *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

int file_write(const char *dir, const char *name, mode_t mode, struct bytes data, struct error *err)
{
	CLEANUP(path_free) char *path = file_path(dir, name);

	return path == NULL ? error_nomem(err) : file_replace(path, mode, data, err);
}

int file_touch(const char *dir, const char *name, mode_t mode, struct error *err)
{
	CLEANUP(path_free) char *path = file_path(dir, name);
	int code;

	if (path == NULL)
		return error_nomem(err);
	code = file_create(path, mode, BYTES_NULL, err);
	return code == E_EXISTS ? 0 : code;
}
