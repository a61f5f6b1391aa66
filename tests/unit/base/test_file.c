/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "allocations.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128], beside[128];

static void set_up(void)
{
	strcpy(dir, "/tmp/tlsplane-file-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/it", dir);
	snprintf(beside, sizeof(beside), "%s/it.new", dir);
}

static void tear_down(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static void expect_content(const char *expected)
{
	CLEANUP(buf_deinit) struct buf content = BUF_NULL;
	struct error err = ERROR_NULL;

	ck_assert_int_eq(file_load(path, 100, &content, &err), 0);
	ck_assert_str_eq(buf_cstr(&content), expected);
	ck_assert_int_ne(access(beside, F_OK), 0);
}

static unsigned mode_of(const char *name)
{
	struct stat found;

	ck_assert_int_eq(stat(name, &found), 0);
	return found.st_mode & 07777;
}

START_TEST(replaces)
{
	struct error err = ERROR_NULL;

	set_up();
	umask(077); /* the mode is that asked for all the same */
	ck_assert_int_eq(file_replace(path, 0644, BYTES("one", 3), &err), 0);
	expect_content("one");
	ck_assert_uint_eq(mode_of(path), 0644);
	ck_assert_int_eq(file_replace(path, 0600, BYTES("two", 3), &err), 0);
	expect_content("two");
	ck_assert_uint_eq(mode_of(path), 0600);
	ck_assert_int_eq(file_replace(path, 0600, BYTES_NULL, &err), 0);
	expect_content("");
	tear_down();
}
END_TEST

START_TEST(what_a_crash_left_beside_is_no_obstacle)
{
	struct error err = ERROR_NULL;

	set_up();
	ck_assert_int_eq(symlink("/nowhere/at/all", beside), 0); /* neither followed nor kept */
	ck_assert_int_eq(file_replace(path, 0600, BYTES("one", 3), &err), 0);
	expect_content("one");
	ck_assert_int_ge(close(open(beside, O_CREAT | O_WRONLY, 0644)), 0);
	ck_assert_int_eq(file_replace(path, 0600, BYTES("two", 3), &err), 0);
	expect_content("two");
	tear_down();
}
END_TEST

START_TEST(failing_leaves_the_old_one)
{
	const struct rlimit small = {4, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct error err = ERROR_NULL;
	int r;

	set_up();
	ck_assert_int_eq(file_replace(path, 0600, BYTES("old", 3), &err), 0);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small); /* the disk takes four bytes */
	r = file_replace(path, 0600, BYTES("newer", 5), &err);
	setrlimit(RLIMIT_FSIZE, &none);
	ck_assert_int_eq(r, E_IO);
	expect_content("old");
	ck_assert_int_eq(mkdir(beside, 0700), 0);
	ck_assert_int_eq(file_replace(path, 0600, BYTES("new", 3), &err), E_IO);
	ck_assert_int_eq(rmdir(beside), 0);
	expect_content("old");
	ck_assert_int_eq(file_replace("/nowhere/it", 0600, BYTES("new", 3), &err), E_NOT_FOUND);
	tear_down();
}
END_TEST

START_TEST(creates_once)
{
	struct error err = ERROR_NULL;

	set_up();
	ck_assert_int_eq(file_create(path, 0600, BYTES("one", 3), &err), 0);
	expect_content("one");
	ck_assert_int_eq(file_create(path, 0600, BYTES("two", 3), &err), E_EXISTS);
	expect_content("one");
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("elsewhere", path), 0);
	ck_assert_int_eq(file_create(path, 0600, BYTES("two", 3), &err), E_EXISTS);
	tear_down();
}
END_TEST

START_TEST(reads_up_to_a_limit)
{
	static uint8_t large[10000];
	CLEANUP(buf_deinit) struct buf content = BUF_NULL;
	struct error err = ERROR_NULL;

	set_up();
	ck_assert_int_eq(file_load(path, 100, &content, &err), E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(err.text, path));
	ck_assert_int_eq(file_replace(path, 0600, BYTES(large, sizeof(large)), &err), 0);
	ck_assert_int_eq(file_load(path, sizeof(large) - 1, &content, &err), E_TOO_LARGE);
	buf_reset(&content);
	ck_assert_int_eq(file_load(path, sizeof(large), &content, &err), 0);
	ck_assert_uint_eq(content.len, sizeof(large));
	ck_assert_int_eq(file_load(dir, 100, &content, &err), E_IO);
	tear_down();
}
END_TEST

START_TEST(renames)
{
	char from[128];
	struct error err = ERROR_NULL;

	set_up();
	snprintf(from, sizeof(from), "%s/from", dir);
	ck_assert_int_eq(file_rename(from, path, &err), E_NOT_FOUND);
	ck_assert_int_eq(file_replace(from, 0600, BYTES("one", 3), &err), 0);
	ck_assert_int_eq(file_rename(from, path, &err), 0);
	expect_content("one");
	tear_down();
}
END_TEST

START_TEST(publishes_once)
{
	struct error err = ERROR_NULL;

	set_up();
	ck_assert_int_eq(file_create(beside, 0600, BYTES("one", 3), &err), 0);
	ck_assert_int_eq(file_publish(beside, path, &err), 0);
	expect_content("one");
	ck_assert_int_eq(file_create(beside, 0600, BYTES("two", 3), &err), 0);
	ck_assert_int_eq(file_publish(beside, path, &err), E_EXISTS);
	ck_assert_int_eq(unlink(beside), 0);
	expect_content("one");
	ck_assert_int_eq(file_publish(beside, path, &err), E_NOT_FOUND);
	tear_down();
}
END_TEST

START_TEST(relative_paths)
{
	struct error err = ERROR_NULL;

	set_up();
	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(file_replace("it", 0600, BYTES("one", 3), &err), 0);
	expect_content("one");
	ck_assert_int_eq(chdir("/"), 0);
	tear_down();
}
END_TEST

START_TEST(one_has_the_folder)
{
	char inner[128];
	int fd = -1, other = -1;
	struct error err = ERROR_NULL;

	set_up();
	snprintf(inner, sizeof(inner), "%s/data", dir);
	ck_assert_int_eq(file_lock_dir(inner, &fd, &err), 0);
	ck_assert_uint_eq(mode_of(inner), 0700);
	ck_assert_int_eq(file_lock_dir(inner, &other, &err), E_BUSY);
	ck_assert_int_eq(other, -1);
	close(fd);
	ck_assert_int_eq(file_lock_dir(inner, &other, &err), 0);
	close(other);
	ck_assert_int_eq(file_lock_dir("/nowhere/data", &fd, &err), E_NOT_FOUND);
	tear_down();
}
END_TEST

START_TEST(no_memory)
{
	CLEANUP(buf_deinit) struct buf content = BUF_NULL;
	struct error err = ERROR_NULL;
	int r;

	set_up();
	ck_assert_int_eq(file_replace(path, 0600, BYTES("one", 3), &err), 0);
	allocations_fail_at(1);
	r = file_load(path, 100, &content, &err);
	ck_assert(allocations_stop());
	ck_assert_int_eq(r, E_NOMEM);
	tear_down();
}
END_TEST

UNIT_MAIN("base/file", replaces, what_a_crash_left_beside_is_no_obstacle, failing_leaves_the_old_one, creates_once,
          reads_up_to_a_limit, renames, publishes_once, relative_paths, one_has_the_folder, no_memory)
