/* SPDX-License-Identifier: Apache-2.0 */
/* Generations: what a start finds after a death at each step, the fall-back, what is really gone from the bytes,
 * damage, a full disk. */
#include "../snapshot/sample.h"
#include "cache/cache.h"
#include "cache/highwater.h"
#include "cache/state.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const uint8_t fingerprint[8] = {1, 2, 3, 4, 5, 6, 7, 8};

/* One agent's data directory and what is in memory of it. */
struct fixture {
	struct sample_world world;
	char dir[64];
	struct cache *cache;
	struct cache_start start;
	struct snapshot *snapshot;
};

static int put_loaded(const struct snapshot_put *put, void *context, struct error *err)
{
	return snapshot_builder_put(context, put, err);
}

static void open_cache(struct fixture *fixture)
{
	struct error err = ERROR_NULL;
	int r = cache_open(fixture->dir, fingerprint, true, &fixture->cache, &fixture->start, &err);

	ck_assert_msg(r == 0, "%s", err.text);
}

static void load(struct fixture *fixture)
{
	struct snapshot_builder *builder = sample_builder(&fixture->world, NULL, fixture->start.current.number);

	ck_assert_int_eq(cache_load(fixture->cache, put_loaded, builder, NULL), 0);
	ck_assert_int_eq(cache_settle(fixture->cache, true, &fixture->start, NULL), 0);
	fixture->snapshot = sample_finish(builder);
}

static void set_up(struct fixture *fixture)
{
	memset(fixture, 0, sizeof(*fixture));
	sample_world_init(&fixture->world);
	strcpy(fixture->dir, "/tmp/tlsplane-cache-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->dir));
	open_cache(fixture);
}

static void forget(struct fixture *fixture)
{
	fixture->cache = cache_close(fixture->cache);
	fixture->snapshot = snapshot_free(fixture->snapshot);
}

/* As a restart after an orderly end. */
static void restart(struct fixture *fixture)
{
	forget(fixture);
	open_cache(fixture);
	load(fixture);
}

static void tear_down(struct fixture *fixture)
{
	char command[128];

	forget(fixture);
	sample_world_deinit(&fixture->world);
	snprintf(command, sizeof(command), "rm -r %s", fixture->dir);
	ck_assert_int_eq(system(command), 0);
}

/* born: the revision of its creation, which makes its uid. */
static void add_ssl(struct snapshot_builder *builder, const char *id, const char *selector, uint64_t born,
                    uint64_t version, const char *salt)
{
	const char *const names[] = {"a.test", NULL};
	struct snapshot_put put = {
	    .object = {.kind = KIND_SSL, .id = id, .uid = uid_make(1, born, 0), .version = version, .selector = selector},
	    .secret = BYTES("secret-key-bytes", 16)};
	struct buf body = BUF_NULL;

	sample_put_ssl(&(struct sample_ssl){.names = names, .salt = salt}, &body);
	put.object.body = BYTES(body.data, body.len);
	ck_assert_int_eq(snapshot_builder_put(builder, &put, NULL), 0);
	buf_deinit(&body);
}

static struct snapshot_builder *prepared(struct snapshot_builder *builder)
{
	struct snapshot_refusal refusal;

	ck_assert_int_eq(snapshot_builder_prepare(builder, NULL, 0, &refusal, NULL), 0);
	return builder;
}

enum step { STEP_PREPARED, STEP_PERSISTED, STEP_MARKED };

/* Revision `number`, in which "s" has the salt, as far as a step. */
static void apply(struct fixture *fixture, uint64_t number, const char *salt, enum step last)
{
	struct snapshot_builder *builder = sample_builder(&fixture->world, fixture->snapshot, number);
	struct revision revision = {1, number};
	struct snapshot *next;
	struct error err = ERROR_NULL;

	add_ssl(builder, "s", "", 1, number, salt);
	prepared(builder);
	if (last == STEP_PREPARED) {
		snapshot_builder_free(builder);
		return;
	}
	ck_assert_msg(cache_write_candidate(fixture->cache, builder, revision, &DIGEST_NULL, &err) == 0, "%s", err.text);
	next = snapshot_builder_finish(builder);
	snapshot_free(fixture->snapshot);
	fixture->snapshot = next;
	if (last == STEP_MARKED)
		ck_assert_msg(cache_mark(fixture->cache, &err) == 0, "%s", err.text);
}

/* A process that opens, loads, applies up to a step and dies. */
static void die_at(struct fixture *fixture, uint64_t number, const char *salt, enum step last)
{
	int status;
	pid_t pid;

	forget(fixture);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		open_cache(fixture);
		load(fixture);
		apply(fixture, number, salt, last);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	open_cache(fixture);
	load(fixture);
}

static void die_at_start(struct fixture *fixture)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		open_cache(fixture);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static void expect(const struct fixture *fixture, uint64_t number, const char *salt)
{
	const struct entry *entry = snapshot_find(fixture->snapshot, KIND_SSL, "s");

	ck_assert_uint_eq(fixture->start.current.number, number);
	ck_assert_ptr_nonnull(entry);
	ck_assert_uint_eq(entry->version, number);
	ck_assert_ptr_nonnull(memmem(entry->body.data, entry->body.len, salt, strlen(salt)));
}

/* Are the bytes in any file of the directory? */
static bool is_on_disk(const struct fixture *fixture, const char *bytes)
{
	DIR *dir = opendir(fixture->dir);
	struct dirent *item;
	bool found = false;

	while ((item = readdir(dir)) != NULL) {
		struct stat info;
		char path[400], *content;
		int fd;

		snprintf(path, sizeof(path), "%s/%s", fixture->dir, item->d_name);
		fd = open(path, O_RDONLY);
		ck_assert_int_ge(fd, 0);
		fstat(fd, &info);
		if (S_ISREG(info.st_mode) && info.st_size > 0) {
			content = malloc((size_t)info.st_size);
			ck_assert_int_eq(read(fd, content, (size_t)info.st_size), info.st_size);
			found = found || memmem(content, (size_t)info.st_size, bytes, strlen(bytes)) != NULL;
			free(content);
		}
		close(fd);
	}
	closedir(dir);
	return found;
}

START_TEST(what_was_written_is_loaded)
{
	struct fixture fixture;
	struct site_source source;
	uint8_t aad[SNAPSHOT_AAD_MAX];
	struct secret *secret = NULL;

	set_up(&fixture);
	ck_assert_uint_eq(fixture.start.current.number, 0);
	load(&fixture);
	apply(&fixture, 5, "first-certificate", STEP_MARKED);
	restart(&fixture);
	expect(&fixture, 5, "first-certificate");
	ck_assert_uint_eq(fixture.start.high_water.number, 5);
	ck_assert(!fixture.start.swapped && !fixture.start.fell_back && !fixture.start.set_aside &&
	          !fixture.start.read_only);
	snapshot_site_source(snapshot_find(fixture.snapshot, KIND_SSL, "s"), aad, &source);
	ck_assert_int_eq(keyring_open(fixture.world.keyring, source.aad, source.sealed, &secret, NULL), 0);
	ck_assert_mem_eq(secret->data, "secret-key-bytes", 16);
	secret_free(secret);
	ck_assert(is_on_disk(&fixture, "first-certificate"));
	ck_assert(!is_on_disk(&fixture, "secret-key-bytes"));
	tear_down(&fixture);
}
END_TEST

START_TEST(death_at_each_step_leaves_old_or_new)
{
	struct fixture fixture;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	die_at(&fixture, 2, "new", STEP_PREPARED);
	expect(&fixture, 1, "old");
	ck_assert_int_eq(cache_check_attempt(fixture.cache, (struct revision){1, 2}, NULL), 0);
	die_at(&fixture, 2, "new", STEP_PERSISTED);
	expect(&fixture, 1, "old");
	ck_assert_uint_eq(fixture.start.high_water.number, 1);
	ck_assert_uint_eq(fixture.start.crashed.number, 0);
	ck_assert_int_eq(cache_check_attempt(fixture.cache, (struct revision){1, 2}, NULL), 0);
	die_at(&fixture, 2, "new", STEP_MARKED);
	expect(&fixture, 2, "new");
	ck_assert_uint_eq(fixture.start.high_water.number, 2);
	tear_down(&fixture);
}
END_TEST

START_TEST(second_death_with_a_candidate_bars_the_revision)
{
	struct fixture fixture;
	struct error err = ERROR_NULL;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	die_at(&fixture, 2, "new", STEP_PERSISTED);
	die_at(&fixture, 2, "new", STEP_PERSISTED);
	expect(&fixture, 1, "old");
	ck_assert_uint_eq(fixture.start.crashed.number, 2);
	ck_assert_int_eq(cache_check_attempt(fixture.cache, (struct revision){1, 2}, &err), E_REFUSED);
	ck_assert_int_eq(cache_check_attempt(fixture.cache, (struct revision){1, 3}, &err), 0);
	/* The next one that stands makes it history. */
	apply(&fixture, 3, "newer", STEP_MARKED);
	restart(&fixture);
	expect(&fixture, 3, "newer");
	ck_assert_uint_eq(fixture.start.crashed.number, 0);
	tear_down(&fixture);
}
END_TEST

START_TEST(third_death_of_current_falls_back)
{
	struct fixture fixture;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	apply(&fixture, 2, "new", STEP_MARKED);
	forget(&fixture);
	for (int i = 0; i < 3; i++)
		die_at_start(&fixture);
	open_cache(&fixture);
	load(&fixture);
	expect(&fixture, 1, "old");
	ck_assert(fixture.start.fell_back);
	ck_assert_uint_eq(fixture.start.crashed.number, 2);
	ck_assert_uint_eq(fixture.start.high_water.number, 2);
	ck_assert(!fixture.start.swapped);
	ck_assert_int_eq(cache_check_attempt(fixture.cache, (struct revision){1, 2}, NULL), E_REFUSED);
	/* It goes on from there. */
	apply(&fixture, 3, "newer", STEP_MARKED);
	restart(&fixture);
	expect(&fixture, 3, "newer");
	tear_down(&fixture);
}
END_TEST

START_TEST(fall_back_to_what_is_not_whole_is_undone)
{
	struct fixture fixture;
	struct error err = ERROR_NULL;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	apply(&fixture, 2, "new", STEP_MARKED);
	forget(&fixture);
	for (int i = 0; i < 3; i++)
		die_at_start(&fixture);
	for (int i = 0; i < 2; i++) { /* at each start that would fall back */
		open_cache(&fixture);
		ck_assert(fixture.start.fell_back);
		ck_assert_uint_eq(fixture.start.current.number, 1);
		ck_assert_int_eq(cache_settle(fixture.cache, false, &fixture.start, &err), 0);
		ck_assert(!fixture.start.fell_back);
		ck_assert_uint_eq(fixture.start.crashed.number, 0);
		load(&fixture);
		expect(&fixture, 2, "new");
		ck_assert_int_eq(cache_check_attempt(fixture.cache, (struct revision){1, 2}, NULL), 0);
		forget(&fixture);
	}
	/* It goes on from there, and a death before it is settled changes nothing. */
	open_cache(&fixture);
	fixture.cache = cache_close(fixture.cache);
	open_cache(&fixture);
	ck_assert_int_eq(cache_settle(fixture.cache, false, &fixture.start, &err), 0);
	load(&fixture);
	apply(&fixture, 3, "newer", STEP_MARKED);
	restart(&fixture);
	expect(&fixture, 3, "newer");
	tear_down(&fixture);
}
END_TEST

START_TEST(orderly_ends_and_long_lives_are_no_deaths)
{
	struct fixture fixture;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	apply(&fixture, 2, "new", STEP_MARKED);
	forget(&fixture);
	die_at_start(&fixture);
	die_at_start(&fixture);
	for (int i = 0; i < 5; i++) {
		open_cache(&fixture);
		fixture.cache = cache_close(fixture.cache);
	}
	open_cache(&fixture);
	cache_note_alive(fixture.cache);
	forget(&fixture);
	die_at_start(&fixture);
	die_at_start(&fixture);
	open_cache(&fixture);
	load(&fixture);
	expect(&fixture, 2, "new");
	ck_assert(!fixture.start.fell_back);
	tear_down(&fixture);
}
END_TEST

/* The one before has nothing to fall back to: current is served, however often it dies. */
START_TEST(nothing_before_means_no_fall_back)
{
	struct fixture fixture;
	struct error err = ERROR_NULL;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	apply(&fixture, 2, "new", STEP_MARKED);
	ck_assert_int_eq(cache_expire_before(fixture.cache, &err), 0);
	ck_assert_int_eq(cache_expire_before(fixture.cache, &err), 0);
	forget(&fixture);
	for (int i = 0; i < 5; i++)
		die_at_start(&fixture);
	open_cache(&fixture);
	load(&fixture);
	expect(&fixture, 2, "new");
	tear_down(&fixture);
}
END_TEST

START_TEST(lost_objects_are_gone_from_the_bytes)
{
	struct snapshot_builder *builder;
	struct fixture fixture;
	struct snapshot *next;
	struct error err;

	set_up(&fixture);
	load(&fixture);
	builder = sample_builder(&fixture.world, NULL, 1);
	add_ssl(builder, "kept", "", 1, 1, "KEPT-CERTIFICATE");
	add_ssl(builder, "replaced", "", 1, 1, "REPLACED-CERTIFICATE");
	add_ssl(builder, "removed", "", 1, 1, "REMOVED-CERTIFICATE");
	add_ssl(builder, "recreated", "", 1, 1, "RECREATED-CERTIFICATE");
	add_ssl(builder, "other", "env=prod", 1, 1, "DROPPED-CERTIFICATE");
	prepared(builder);
	ck_assert_int_eq(cache_write_candidate(fixture.cache, builder, (struct revision){1, 1}, &DIGEST_NULL, &err), 0);
	ck_assert_int_eq(cache_mark(fixture.cache, &err), 0);
	snapshot_free(fixture.snapshot);
	fixture.snapshot = snapshot_builder_finish(builder);

	builder = sample_builder(&fixture.world, fixture.snapshot, 2);
	ck_assert_int_eq(snapshot_builder_drop(builder, "env=prod", &err), 0);
	ck_assert_int_eq(snapshot_builder_remove(builder, KIND_SSL, "removed", "", &err), 0);
	add_ssl(builder, "recreated", "", 2, 2, "NEXT-CERTIFICATE");
	add_ssl(builder, "replaced", "", 1, 2, "AFTER-CERTIFICATE");
	prepared(builder);
	ck_assert_int_eq(cache_write_candidate(fixture.cache, builder, (struct revision){1, 2}, &DIGEST_NULL, &err), 0);
	ck_assert_int_eq(cache_mark(fixture.cache, &err), 0);
	next = snapshot_builder_finish(builder);
	snapshot_free(fixture.snapshot);
	fixture.snapshot = next;
	ck_assert(is_on_disk(&fixture, "KEPT-CERTIFICATE"));
	ck_assert(is_on_disk(&fixture, "REPLACED-CERTIFICATE")); /* in the one before */
	ck_assert(!is_on_disk(&fixture, "REMOVED-CERTIFICATE"));
	ck_assert(!is_on_disk(&fixture, "RECREATED-CERTIFICATE"));
	ck_assert(!is_on_disk(&fixture, "DROPPED-CERTIFICATE"));
	ck_assert_int_eq(cache_expire_before(fixture.cache, &err), 0);
	ck_assert(!is_on_disk(&fixture, "REPLACED-CERTIFICATE"));
	restart(&fixture);
	ck_assert_uint_eq(snapshot_object_count(fixture.snapshot, 0), 3);
	tear_down(&fixture);
}
END_TEST

/* A full disk: the candidate is refused and nothing has changed; when there is room again it goes on. */
START_TEST(full_disk_refuses_and_mends)
{
	struct snapshot_builder *builder;
	struct fixture fixture;
	struct error err = ERROR_NULL;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	builder = sample_builder(&fixture.world, fixture.snapshot, 2);
	for (uint64_t i = 0; i < 200; i++) {
		char id[16];

		snprintf(id, sizeof(id), "more-%u", (unsigned)i);
		add_ssl(builder, id, "", 2, 2, "some more bytes of certificate");
	}
	prepared(builder);
	sqlite3_exec(fixture.cache->db, "PRAGMA max_page_count = 8", NULL, NULL, NULL);
	ck_assert_int_eq(cache_write_candidate(fixture.cache, builder, (struct revision){1, 2}, &DIGEST_NULL, &err),
	                 E_NOSPACE);
	ck_assert_int_eq(cache_mark(fixture.cache, &err), 0); /* nothing to mark */
	sqlite3_exec(fixture.cache->db, "PRAGMA max_page_count = 100000", NULL, NULL, NULL);
	ck_assert_int_eq(cache_write_candidate(fixture.cache, builder, (struct revision){1, 2}, &DIGEST_NULL, &err), 0);
	ck_assert_int_eq(cache_mark(fixture.cache, &err), 0);
	snapshot_free(fixture.snapshot);
	fixture.snapshot = snapshot_builder_finish(builder);
	restart(&fixture);
	ck_assert_uint_eq(snapshot_object_count(fixture.snapshot, 0), 201);
	tear_down(&fixture);
}
END_TEST

/* A mark whose high-water file can't be written is late, not lost. */
START_TEST(mark_may_be_called_again)
{
	struct fixture fixture;
	struct error err = ERROR_NULL;
	char path[128];

	set_up(&fixture);
	load(&fixture);
	snprintf(path, sizeof(path), "%s/high-water.new", fixture.dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	apply(&fixture, 1, "old", STEP_PERSISTED);
	ck_assert_int_lt(cache_mark(fixture.cache, &err), 0);
	ck_assert_int_lt(cache_mark(fixture.cache, &err), 0);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(cache_mark(fixture.cache, &err), 0);
	restart(&fixture);
	expect(&fixture, 1, "old");
	tear_down(&fixture);
}
END_TEST

static void overwrite(const struct fixture *fixture, const char *name, const char *bytes, size_t len, off_t at)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fixture->dir, name);
	fd = open(path, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, len, at), (ssize_t)len);
	close(fd);
}

START_TEST(damage_is_set_aside)
{
	struct fixture fixture;
	struct cache *cache = NULL;
	struct cache_start start;
	struct error err = ERROR_NULL;
	char path[128];

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 7, "old", STEP_MARKED);
	forget(&fixture);
	overwrite(&fixture, "cache.db", "garbage garbage garbage", 23, 0);
	ck_assert_int_eq(cache_open(fixture.dir, fingerprint, false, &cache, &start, &err), E_CORRUPT);
	open_cache(&fixture);
	ck_assert(fixture.start.set_aside);
	ck_assert_str_ne(fixture.start.damage, "");
	ck_assert_uint_eq(fixture.start.current.number, 0);
	ck_assert_uint_eq(fixture.start.high_water.number, 7);
	snprintf(path, sizeof(path), "%s/cache.db.damaged-1", fixture.dir);
	ck_assert_int_eq(access(path, F_OK), 0);
	load(&fixture);
	apply(&fixture, 8, "new", STEP_MARKED);
	restart(&fixture);
	expect(&fixture, 8, "new");
	ck_assert_int_eq(cache_replace_damaged(TAKE_PTR(fixture.cache), fingerprint, &fixture.cache, &fixture.start, &err),
	                 0);
	ck_assert(fixture.start.set_aside);
	ck_assert_uint_eq(fixture.start.current.number, 0);
	ck_assert_uint_eq(fixture.start.high_water.number, 8);
	snprintf(path, sizeof(path), "%s/cache.db.damaged-2", fixture.dir);
	ck_assert_int_eq(access(path, F_OK), 0);
	tear_down(&fixture);
}
END_TEST

START_TEST(another_keyring_or_release_is_set_aside)
{
	static const uint8_t other[8] = {9};
	struct fixture fixture;
	struct error err = ERROR_NULL;
	struct cache *cache = NULL;
	struct cache_start start;

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 1, "old", STEP_MARKED);
	forget(&fixture);
	ck_assert_int_eq(cache_open(fixture.dir, other, false, &cache, &start, &err), E_CORRUPT);
	ck_assert_int_eq(cache_open(fixture.dir, fingerprint, false, &cache, &start, &err), 0);
	sqlite3_exec(cache->db, "PRAGMA user_version = 99", NULL, NULL, NULL);
	cache_close(cache);
	ck_assert_int_eq(cache_open(fixture.dir, fingerprint, false, &cache, &start, &err), E_VERSION);
	open_cache(&fixture);
	ck_assert(fixture.start.set_aside);
	tear_down(&fixture);
}
END_TEST

START_TEST(older_file_under_the_high_water_mark_is_noticed)
{
	struct fixture fixture;
	struct error err;
	struct revision mark;
	char path[128];

	set_up(&fixture);
	load(&fixture);
	apply(&fixture, 3, "old", STEP_MARKED);
	snprintf(path, sizeof(path), "%s/high-water", fixture.dir);
	ck_assert_int_eq(highwater_write(path, (struct revision){1, 9}, &err), 0);
	restart(&fixture);
	ck_assert(fixture.start.swapped);
	ck_assert_uint_eq(fixture.start.high_water.number, 9);
	/* A mark that was torn leaves the one before; damage keeps nobody from serving. */
	overwrite(&fixture, "high-water", "8", 1, 4096 + 22 + 21 + 20);
	ck_assert_int_eq(highwater_read(path, &mark, &err), 0);
	ck_assert_uint_eq(mark.number, 3);
	overwrite(&fixture, "high-water", "?", 1, 0);
	ck_assert_int_eq(highwater_read(path, &mark, &err), E_CORRUPT);
	restart(&fixture);
	expect(&fixture, 3, "old");
	ck_assert_uint_eq(fixture.start.high_water.number, 3);
	tear_down(&fixture);
}
END_TEST

UNIT_MAIN("cache/cache", what_was_written_is_loaded, death_at_each_step_leaves_old_or_new,
          second_death_with_a_candidate_bars_the_revision, third_death_of_current_falls_back,
          fall_back_to_what_is_not_whole_is_undone, orderly_ends_and_long_lives_are_no_deaths,
          nothing_before_means_no_fall_back, lost_objects_are_gone_from_the_bytes, full_disk_refuses_and_mends,
          mark_may_be_called_again, damage_is_set_aside, another_keyring_or_release_is_set_aside,
          older_file_under_the_high_water_mark_is_noticed)
