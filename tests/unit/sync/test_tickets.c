/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys in the agent: what is handed to the workers, what is acknowledged, what the file holds, what an update takes away. */
#include "sync/tickets.h"

#include "../snapshot/sample.h"
#include "allocations.h"
#include "cache/state.h"

#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#define CANARY "canary-of-sixteen-bytes"

static const uint8_t fingerprint[8] = {1};

struct fixture {
	struct sample_world world;
	char dir[64];
	struct cache *cache;
	struct ticket_keeper *keeper;
	struct ticket_sets *sets; /* the newest that the workers have */
	unsigned handed, reconnects, held;
	uint64_t serial; /* the newest that was acknowledged */
	bool offline;
};

static int on_send(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err)
{
	struct fixture *fixture = owner;

	if (type != TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS_HELD || fixture->handed == 0) /* the workers come first */
		abort(); /* Check's assertions allocate, and here that may fail */
	if (fixture->offline)
		return error_set(err, E_CLOSED, "offline");
	fixture->serial = ((const Tlsplane__TicketKeysHeld *)message)->serial;
	fixture->held++;
	return 0;
}

static void on_reconnect(const struct error *why, void *owner)
{
	((struct fixture *)owner)->reconnects++;
}

static void on_set(struct ticket_sets *sets, void *owner)
{
	struct fixture *fixture = owner;

	ticket_sets_unref(fixture->sets);
	fixture->sets = ticket_sets_ref(sets);
	fixture->handed++;
}

static void start_keeper(struct fixture *fixture)
{
	struct ticket_config config = {.cache = fixture->cache,
	                               .keyring = fixture->world.keyring,
	                               .ports = {on_send, on_reconnect, on_set, fixture}};
	struct error err = ERROR_NULL;

	ck_assert_msg(ticket_keeper_new(&config, &fixture->keeper, &err) == 0, "%s", err.text);
}

static void open_cache(struct fixture *fixture)
{
	struct cache_start start;
	struct error err = ERROR_NULL;

	ck_assert_msg(cache_open(fixture->dir, fingerprint, true, &fixture->cache, &start, &err) == 0, "%s", err.text);
	ck_assert(!start.set_aside);
}

static void set_up(struct fixture *fixture)
{
	memset(fixture, 0, sizeof(*fixture));
	sample_world_init(&fixture->world);
	strcpy(fixture->dir, "/tmp/tlsplane-tickets-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->dir));
	open_cache(fixture);
	start_keeper(fixture);
}

static void stop(struct fixture *fixture)
{
	fixture->keeper = ticket_keeper_free(fixture->keeper);
	fixture->cache = cache_close(fixture->cache);
	fixture->sets = ticket_sets_unref(fixture->sets);
	fixture->handed = 0;
}

static void restart(struct fixture *fixture)
{
	stop(fixture);
	open_cache(fixture);
	start_keeper(fixture);
}

static void tear_down(struct fixture *fixture)
{
	char command[128];

	stop(fixture);
	sample_world_deinit(&fixture->world);
	snprintf(command, sizeof(command), "rm -r %s", fixture->dir);
	ck_assert_int_eq(system(command), 0);
}

/* One key for each of these selectors, in this order; NULL ends. */
static void send_keys(struct fixture *fixture, uint64_t serial, uint64_t decrypt_until, size_t secret_len, const char *const *selectors)
{
	uint8_t name[TICKET_NAME_LEN] = {7}, secret[TICKET_SECRET_LEN];
	Tlsplane__TicketKey key = TLSPLANE__TICKET_KEY__INIT, *keys[] = {&key};
	Tlsplane__TicketSet values[8], *sets[8];
	Tlsplane__TicketKeys message = TLSPLANE__TICKET_KEYS__INIT;

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)CANARY[i % strlen(CANARY)];
	key.name = (ProtobufCBinaryData){sizeof(name), name};
	key.secret = (ProtobufCBinaryData){secret_len, secret};
	key.has_encrypt_from = true;
	key.encrypt_from = 1;
	key.encrypt_until = key.decrypt_until = decrypt_until;
	for (; selectors[message.n_sets] != NULL; message.n_sets++) {
		Tlsplane__TicketSet *set = sets[message.n_sets] = &values[message.n_sets];

		tlsplane__ticket_set__init(set);
		set->selector = (char *)(uintptr_t)selectors[message.n_sets];
		set->n_keys = 1;
		set->keys = keys;
	}
	message.serial = serial;
	message.sets = sets;
	ticket_keeper_on_message(fixture->keeper, &message);
}

#define SEND(fixture, serial, ...)                                                                                     \
	send_keys((fixture), (serial), (uint64_t)time(NULL) + 100, TICKET_SECRET_LEN, (const char *const[]){__VA_ARGS__, NULL})

static bool workers_have(const struct fixture *fixture, const char *selector)
{
	return fixture->sets != NULL && ticket_sets_find(fixture->sets, selector) != NULL;
}

static bool is_in_files(const struct fixture *fixture, const char *text)
{
	char command[256];

	snprintf(command, sizeof(command), "grep -qaF '%s' %s/*", text, fixture->dir);
	return system(command) == 0;
}

START_TEST(test_taken)
{
	struct fixture fixture;

	set_up(&fixture);
	ck_assert_uint_eq(fixture.handed, 0); /* nothing is cached: nobody makes tickets */
	SEND(&fixture, 5, "", "site=a");
	ck_assert_uint_eq(fixture.held, 1);
	ck_assert_uint_eq(fixture.serial, 5);
	ck_assert(workers_have(&fixture, "") && workers_have(&fixture, "site=a"));
	SEND(&fixture, 6, "site=b", ""); /* replaces all, in any order */
	ck_assert_uint_eq(fixture.serial, 6);
	ck_assert(workers_have(&fixture, "") && workers_have(&fixture, "site=b"));
	ck_assert(!workers_have(&fixture, "site=a"));
	tear_down(&fixture);
}
END_TEST

START_TEST(test_restart)
{
	struct fixture fixture;

	set_up(&fixture);
	SEND(&fixture, 5, "", "site=a");
	restart(&fixture);
	ck_assert_uint_eq(fixture.handed, 1); /* without any control plane */
	ck_assert(workers_have(&fixture, "") && workers_have(&fixture, "site=a"));
	SEND(&fixture, 1, ""); /* another control plane counts from the start */
	ck_assert_uint_eq(fixture.serial, 1);
	restart(&fixture);
	ck_assert(workers_have(&fixture, "") && !workers_have(&fixture, "site=a"));
	tear_down(&fixture);
}
END_TEST

static int count_sealed(struct fixture *fixture)
{
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	struct error err = ERROR_NULL;
	int r = cache_load_tickets(fixture->cache, &sealed, &err);

	ck_assert(r == 0 || r == E_NOT_FOUND);
	return (int)sealed.len;
}

START_TEST(test_expired_dropped)
{
	struct fixture fixture;
	int before;

	set_up(&fixture);
	send_keys(&fixture, 1, (uint64_t)time(NULL) - 1, TICKET_SECRET_LEN, (const char *const[]){"", NULL});
	before = count_sealed(&fixture);
	restart(&fixture);
	ck_assert_int_lt(count_sealed(&fixture), before - TICKET_SECRET_LEN); /* from the file too */
	tear_down(&fixture);
}
END_TEST

START_TEST(test_refused)
{
	struct fixture fixture;

	set_up(&fixture);
	SEND(&fixture, 1, "site=a");
	send_keys(&fixture, 2, UINT32_MAX, 63, (const char *const[]){"site=b", NULL});
	ck_assert_uint_eq(fixture.reconnects, 1);
	SEND(&fixture, 3, "site=b", "site=b");
	ck_assert_uint_eq(fixture.reconnects, 2);
	ck_assert_uint_eq(fixture.held, 1);
	ck_assert_uint_eq(fixture.handed, 1);
	ck_assert(workers_have(&fixture, "site=a")); /* what was there serves on */
	restart(&fixture);
	ck_assert(workers_have(&fixture, "site=a"));
	tear_down(&fixture);
}
END_TEST

START_TEST(test_offline)
{
	struct fixture fixture;

	set_up(&fixture);
	fixture.offline = true;
	SEND(&fixture, 1, "");
	ck_assert_uint_eq(fixture.reconnects, 0);
	ck_assert(workers_have(&fixture, ""));
	tear_down(&fixture);
}
END_TEST

/* In clear nowhere; and what is replaced is overwritten. */
START_TEST(test_canary)
{
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	struct fixture fixture;
	struct error err = ERROR_NULL;

	set_up(&fixture);
	SEND(&fixture, 1, "");
	ck_assert(!is_in_files(&fixture, CANARY));
	ck_assert_int_eq(cache_store_tickets(fixture.cache, BYTES(CANARY, strlen(CANARY)), &err), 0);
	ck_assert(is_in_files(&fixture, CANARY)); /* the search finds what is there */
	ck_assert_int_eq(cache_load_tickets(fixture.cache, &sealed, &err), 0);
	ck_assert_uint_eq(sealed.len, strlen(CANARY));
	ck_assert_int_eq(cache_store_tickets(fixture.cache, BYTES_NULL, &err), 0);
	ck_assert(!is_in_files(&fixture, CANARY));
	ck_assert_int_eq(cache_load_tickets(fixture.cache, &sealed, &err), E_NOT_FOUND);
	tear_down(&fixture);
}
END_TEST

/* Damaged, or of another keyring: gone, and no reason not to start. */
START_TEST(test_unreadable)
{
	struct fixture fixture;
	struct error err = ERROR_NULL;

	set_up(&fixture);
	ck_assert_int_eq(cache_store_tickets(fixture.cache, BYTES(CANARY, strlen(CANARY)), &err), 0);
	restart(&fixture);
	ck_assert_uint_eq(fixture.handed, 0);
	SEND(&fixture, 1, "");
	restart(&fixture);
	ck_assert(workers_have(&fixture, ""));
	tear_down(&fixture);
}
END_TEST

/* A full disk: used and acknowledged all the same, written at a later beat. */
START_TEST(test_full_disk)
{
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY}, full = {1, RLIM_INFINITY};
	struct fixture fixture;

	set_up(&fixture);
	SEND(&fixture, 1, "site=a");
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
	SEND(&fixture, 2, "site=b");
	ck_assert_uint_eq(fixture.serial, 2);
	ck_assert(workers_have(&fixture, "site=b") && !workers_have(&fixture, "site=a"));
	ticket_keeper_on_beat(fixture.keeper);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ticket_keeper_on_beat(fixture.keeper);
	restart(&fixture);
	ck_assert(workers_have(&fixture, "site=b") && !workers_have(&fixture, "site=a"));
	tear_down(&fixture);
}
END_TEST

/* Whatever can't be had: the keys are taken whole, or the connection starts anew; what is acknowledged is with the workers. */
START_TEST(test_no_memory)
{
	struct fixture fixture;
	bool failed = true;

	set_up(&fixture);
	for (size_t n = 1; failed; n++) {
		unsigned held = fixture.held, reconnects = fixture.reconnects;

		SEND(&fixture, 2 * n, "site=a");
		held++;
		allocations_fail_at(n);
		SEND(&fixture, 2 * n + 1, "", "site=b");
		failed = allocations_stop();
		ck_assert_uint_eq(fixture.held + fixture.reconnects, held + reconnects + 1);
		ck_assert(workers_have(&fixture, fixture.serial == 2 * n + 1 ? "site=b" : "site=a"));
		ck_assert(!workers_have(&fixture, fixture.serial == 2 * n + 1 ? "site=a" : "site=b"));
		ticket_keeper_on_beat(fixture.keeper);
	}
	ck_assert_uint_gt(fixture.reconnects, 3);
	restart(&fixture);
	ck_assert(workers_have(&fixture, "") && workers_have(&fixture, "site=b"));
	tear_down(&fixture);
}
END_TEST

/* An object under each of these selectors, NULL ends. */
static struct snapshot *make_snapshot(struct fixture *fixture, const char *const *selectors)
{
	struct snapshot_builder *builder = sample_builder(&fixture->world, NULL, 1);
	struct buf body = BUF_NULL;
	struct error err = ERROR_NULL;
	char id[16];

	for (size_t i = 0; selectors[i] != NULL; i++) {
		snprintf(id, sizeof(id), "u%zu", i);
		sample_put_bundle(&body);
		ck_assert_int_eq(sample_put(builder, KIND_CA_BUNDLE, id, selectors[i], i + 1, &body, &err), 0);
	}
	buf_deinit(&body);
	return sample_finish(builder);
}

#define SNAPSHOT(fixture, ...) make_snapshot((fixture), (const char *const[]){__VA_ARGS__, NULL})

START_TEST(test_update)
{
	struct fixture fixture;
	struct snapshot *both, *one;

	set_up(&fixture);
	both = SNAPSHOT(&fixture, "", "site=a", "site=b");
	one = SNAPSHOT(&fixture, "site=a");
	ticket_keeper_on_update(fixture.keeper, NULL, both); /* no keys yet */
	SEND(&fixture, 1, "", "site=a", "site=b", "site=c");
	ticket_keeper_on_update(fixture.keeper, NULL, one);
	ticket_keeper_on_update(fixture.keeper, one, both);
	ck_assert_uint_eq(fixture.handed, 1); /* nothing was taken away: the keys of c came before its objects */
	ticket_keeper_on_update(fixture.keeper, both, one);
	ck_assert_uint_eq(fixture.handed, 2);
	ck_assert(workers_have(&fixture, "site=a") && workers_have(&fixture, "site=c") && !workers_have(&fixture, "site=b"));
	ck_assert(workers_have(&fixture, "")); /* everybody's */
	restart(&fixture);
	ck_assert(workers_have(&fixture, "site=a") && !workers_have(&fixture, "site=b"));
	snapshot_free(both);
	snapshot_free(one);
	tear_down(&fixture);
}
END_TEST

UNIT_MAIN("sync/tickets", test_taken, test_restart, test_expired_dropped, test_refused, test_offline, test_canary, test_unreadable,
          test_full_disk, test_no_memory, test_update)
