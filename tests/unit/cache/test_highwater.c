/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/highwater.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each takes the place of the older one; anything but two whole places is made anew. */
START_TEST(marks_take_turns)
{
	char dir[] = "/tmp/tlsplane-high-water-XXXXXX", path[64], other[64];
	struct error err = ERROR_NULL;
	struct revision mark;
	struct stat found;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/mark", dir);
	ck_assert_int_eq(highwater_read(path, &mark, &err), 0);
	ck_assert_uint_eq(mark.epoch + mark.number, 0);
	for (uint64_t i = 1; i < 20; i++) {
		struct revision next = i < 15 ? (struct revision){1, i * i} : (struct revision){UINT64_MAX, UINT64_MAX - 20 + i};

		ck_assert_int_eq(highwater_write(path, next, &err), 0);
		ck_assert_int_eq(highwater_read(path, &mark, &err), 0);
		ck_assert_int_eq(revision_compare(mark, next), 0);
	}
	ck_assert_int_eq(stat(path, &found), 0);
	ck_assert_uint_eq(found.st_mode & 0777, 0600);
	ck_assert_int_lt(found.st_size, 8192);
	ck_assert_int_eq(truncate(path, 4096 + 50), 0);
	ck_assert_int_eq(highwater_read(path, &mark, &err), 0);
	ck_assert_uint_ge(mark.number, UINT64_MAX - 2);
	ck_assert_int_eq(truncate(path, 50), 0);
	ck_assert_int_eq(highwater_read(path, &mark, &err), E_CORRUPT);
	ck_assert_int_eq(highwater_write(path, (struct revision){3, 4}, &err), 0);
	ck_assert_int_eq(highwater_read(path, &mark, &err), 0);
	ck_assert_uint_eq(mark.number, 4);
	ck_assert_int_eq(truncate(path, 100000), 0);
	ck_assert_int_lt(highwater_read(path, &mark, &err), 0);
	ck_assert_int_eq(highwater_write(path, (struct revision){3, 5}, &err), 0);
	/* What can't be written into is replaced, as a name that leads elsewhere is. */
	snprintf(other, sizeof(other), "%s/other", dir);
	ck_assert_int_eq(rename(path, other), 0);
	ck_assert_int_eq(symlink(other, path), 0);
	ck_assert_int_eq(highwater_write(path, (struct revision){3, 6}, &err), 0);
	ck_assert_int_eq(highwater_read(path, &mark, &err), 0);
	ck_assert_uint_eq(mark.number, 6);
	ck_assert_int_eq(highwater_read(other, &mark, &err), 0);
	ck_assert_uint_eq(mark.number, 5);
	ck_assert_int_eq(unlink(other), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

UNIT_MAIN("cache/highwater", marks_take_turns)
