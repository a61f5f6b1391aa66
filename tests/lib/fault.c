/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: SQLite fails. FAULT_FILE names a file of two 32-bit numbers, read anew at each step of a statement: the code with
 * which steps that answer rows fail, and that with which steps that write do; 0: they don't. Begins and ends of transactions never do. */
#include <dlfcn.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static const volatile int32_t *codes; /* NULL: nothing fails */
static _Thread_local int failed;      /* code of the last step, if it was made to fail */

__attribute__((constructor)) static void map_codes(void)
{
	const char *path = getenv("FAULT_FILE");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapped = fd >= 0 ? mmap(NULL, 2 * sizeof(int32_t), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (mapped != MAP_FAILED)
		codes = mapped;
	if (fd >= 0)
		close(fd);
}

EXPORTED int sqlite3_step(sqlite3_stmt *statement)
{
	static int (*next)(sqlite3_stmt *statement);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "sqlite3_step");
	failed = 0;
	if (codes != NULL && !sqlite3_stmt_readonly(statement))
		failed = codes[1];
	else if (codes != NULL && sqlite3_column_count(statement) > 0)
		failed = codes[0];
	return failed != 0 ? failed : next(statement);
}

EXPORTED int sqlite3_errcode(sqlite3 *handle)
{
	static int (*next)(sqlite3 *handle);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "sqlite3_errcode");
	return failed != 0 ? failed : next(handle);
}
