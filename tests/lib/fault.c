/* SPDX-License-Identifier: Apache-2.0 */
/* A library to preload: SQLite or OpenSSL fails. FAULT_FILE names a file of three 32-bit numbers, read anew each time: the code with which
 * steps of statements that answer rows fail, that with which steps that write do, and whether OpenSSL reads no CRL; 0: all is well.
 * Begins and ends of transactions never fail. FAULT_CORES, when it is there: the limit of core dumps is not set, though it seems so. */
#include <dlfcn.h>
#include <fcntl.h>
#include <openssl/x509.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static const volatile int32_t *codes; /* NULL: nothing fails */
static _Thread_local int failed;      /* code of the last step, if it was made to fail */

__attribute__((constructor)) static void map_codes(void)
{
	const char *path = getenv("FAULT_FILE");
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *mapped = fd >= 0 ? mmap(NULL, 3 * sizeof(int32_t), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

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

EXPORTED X509_CRL *d2i_X509_CRL(X509_CRL **ret, const unsigned char **in, long len)
{
	static X509_CRL *(*next)(X509_CRL **ret, const unsigned char **in, long len);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "d2i_X509_CRL");
	return codes != NULL && codes[2] != 0 ? NULL : next(ret, in, len);
}

EXPORTED int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	static int (*next)(__rlimit_resource_t resource, const struct rlimit *limit);

	if (next == NULL)
		*(void **)&next = dlsym(RTLD_NEXT, "setrlimit64");
	return resource == RLIMIT_CORE && getenv("FAULT_CORES") != NULL ? 0 : next(resource, limit);
}
