/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of apply against a peer that is this test: what is sent for each message, what is served, what a
 * restart would find. */
#include "sync/apply.h"

#include "../snapshot/sample.h"
#include "cache/state.h"

#include <sys/stat.h>

static const uint8_t fingerprint[8] = {1};

#define SENT_MAX 16

struct sent {
	Tlsplane__MessageType type;
	uint64_t revision;
	unsigned code;       /* Nack */
	char id[ID_MAX + 1]; /* Nack: its object */
	char text[512];      /* Nack */
	size_t selectors;    /* Resync, Hello, Heartbeat */
	bool not_durable;
};

struct fixture {
	struct sample_world world;
	char dir[64];
	struct cache *cache;
	struct cache_start start;
	struct apply *apply;
	struct snapshot *current;
	struct sent sent[SENT_MAX];
	unsigned sent_len, reconnects, published;
};

static int on_send(Tlsplane__MessageType type, const ProtobufCMessage *message, void *owner, struct error *err)
{
	struct fixture *fixture = owner;
	struct sent *sent = &fixture->sent[fixture->sent_len++];

	ck_assert_uint_le(fixture->sent_len, SENT_MAX);
	memset(sent, 0, sizeof(*sent));
	sent->type = type;
	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK) {
		sent->revision = ((const Tlsplane__Ack *)message)->revision;
	} else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK) {
		const Tlsplane__Nack *nack = (const Tlsplane__Nack *)message;

		sent->revision = nack->revision;
		sent->code = nack->code;
		snprintf(sent->text, sizeof(sent->text), "%s", nack->text);
		if (nack->n_objects > 0)
			snprintf(sent->id, sizeof(sent->id), "%s", nack->objects[0]->id);
	} else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_RESYNC) {
		sent->selectors = ((const Tlsplane__Resync *)message)->n_selectors;
	} else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO) {
		sent->revision = ((const Tlsplane__Hello *)message)->revision;
		sent->selectors = ((const Tlsplane__Hello *)message)->n_digests;
	} else if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT) {
		sent->revision = ((const Tlsplane__Heartbeat *)message)->revision;
		sent->selectors = ((const Tlsplane__Heartbeat *)message)->n_digests;
		sent->not_durable = ((const Tlsplane__Heartbeat *)message)->not_durable;
	}
	return 0;
}

static void on_reconnect(const struct error *why, void *owner)
{
	((struct fixture *)owner)->reconnects++;
}

static const struct snapshot *on_current(void *owner)
{
	return ((struct fixture *)owner)->current;
}

static void on_publish(struct snapshot *snapshot, void *owner)
{
	struct fixture *fixture = owner;

	snapshot_free(fixture->current);
	fixture->current = snapshot;
	fixture->published++;
}

static void set_up(struct fixture *fixture)
{
	struct apply_config config;
	struct error err = ERROR_NULL;

	memset(fixture, 0, sizeof(*fixture));
	sample_world_init(&fixture->world);
	strcpy(fixture->dir, "/tmp/tlsplane-apply-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->dir));
	ck_assert_int_eq(cache_open(fixture->dir, fingerprint, true, &fixture->cache, &fixture->start, &err), 0);
	config = (struct apply_config){.snapshot = fixture->world.context,
	                               .cache = fixture->cache,
	                               .ports = {on_send, on_reconnect, on_current, on_publish, fixture}};
	ck_assert_int_eq(apply_start(&config, &fixture->apply, &err), 0);
	apply_on_greet(fixture->apply);
	ck_assert_uint_eq(fixture->sent_len, 1);
	fixture->sent_len = 0;
}

static void on_closed(void *owner)
{
	*(bool *)owner = true;
}

static void tear_down(struct fixture *fixture)
{
	bool closed = false;
	char command[128];

	apply_close(fixture->apply, on_closed, &closed);
	snapshot_free(fixture->current);
	sample_world_deinit(&fixture->world);
	ck_assert(closed);
	cache_close(fixture->cache);
	snprintf(command, sizeof(command), "rm -r %s", fixture->dir);
	ck_assert_int_eq(system(command), 0);
}

static struct sent take(struct fixture *fixture)
{
	struct sent sent = fixture->sent[0];

	ck_assert_uint_eq(fixture->sent_len, 1);
	fixture->sent_len = 0;
	return sent;
}

/* --- the peer --- */

static void send_begin(struct fixture *fixture, uint64_t revision, uint64_t objects, const char *reset)
{
	static uint8_t chain[DIGEST_LEN];
	Tlsplane__UpdateBegin begin = TLSPLANE__UPDATE_BEGIN__INIT;
	char *resets[] = {(char *)(uintptr_t)reset};

	begin.epoch = 1;
	begin.revision = revision;
	begin.chain = (ProtobufCBinaryData){DIGEST_LEN, chain};
	begin.objects = objects;
	begin.n_reset = reset != NULL;
	begin.reset = resets;
	apply_on_message(fixture->apply, TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN, &begin.base);
}

/* An SSL object; what it adds to the digest of its selector. */
static struct digest send_ssl(struct fixture *fixture, const char *id, uint64_t version, unsigned kind,
                              const char *options)
{
	const char *const names[] = {"a.test", NULL};
	Tlsplane__UpdateObjects objects = TLSPLANE__UPDATE_OBJECTS__INIT;
	Tlsplane__Envelope envelope = TLSPLANE__ENVELOPE__INIT, *envelopes[] = {&envelope};
	struct uid uid = uid_make(1, 1, 0);
	struct object_view view;
	struct digest digest;
	struct buf body = BUF_NULL;

	sample_put_ssl(&(struct sample_ssl){.names = names, .tls_options = options}, &body);
	envelope.kind = kind;
	envelope.id = (char *)(uintptr_t)id;
	envelope.uid = (ProtobufCBinaryData){UID_LEN, uid.bytes};
	envelope.version = version;
	envelope.selector = (char *)(uintptr_t) "";
	envelope.body = (ProtobufCBinaryData){body.len, body.data};
	envelope.has_secret = true;
	envelope.secret = (ProtobufCBinaryData){6, (uint8_t *)(uintptr_t) "secret"};
	objects.n_put = 1;
	objects.put = envelopes;
	view = (struct object_view){
	    .kind = KIND_SSL, .id = id, .uid = uid, .version = version, .selector = "", .body = BYTES(body.data, body.len)};
	ck_assert_int_eq(object_digest(&view, &digest, NULL), 0);
	apply_on_message(fixture->apply, TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_OBJECTS, &objects.base);
	buf_deinit(&body);
	return digest;
}

/* digest NULL: no selector is listed. */
static void send_end(struct fixture *fixture, struct digest *digest)
{
	Tlsplane__UpdateEnd end = TLSPLANE__UPDATE_END__INIT;
	Tlsplane__SelectorDigest one = TLSPLANE__SELECTOR_DIGEST__INIT, *list[] = {&one};

	if (digest != NULL) {
		one.selector = (char *)(uintptr_t) "";
		one.digest = (ProtobufCBinaryData){DIGEST_LEN, digest->bytes};
		end.n_digests = 1;
		end.digests = list;
	}
	apply_on_message(fixture->apply, TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END, &end.base);
}

static void send_good(struct fixture *fixture, uint64_t revision)
{
	struct digest digest;

	send_begin(fixture, revision, 1, NULL);
	digest = send_ssl(fixture, "s", revision, KIND_SSL, NULL);
	send_end(fixture, &digest);
}

static void expect_ack(struct fixture *fixture, uint64_t revision)
{
	struct sent sent = take(fixture);

	ck_assert_int_eq(sent.type, TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK);
	ck_assert_uint_eq(sent.revision, revision);
	ck_assert_uint_eq(snapshot_revision(fixture->current).number, revision);
	ck_assert_uint_eq(fixture->reconnects, 0);
}

static void expect_nack(struct fixture *fixture, uint64_t revision, unsigned code, const char *id)
{
	struct sent sent = take(fixture);

	ck_assert_int_eq(sent.type, TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK);
	ck_assert_uint_eq(sent.revision, revision);
	ck_assert_uint_eq(sent.code, code);
	ck_assert_str_eq(sent.id, id);
	ck_assert_str_ne(sent.text, "");
	ck_assert_uint_eq(fixture->reconnects, 0);
}

START_TEST(good_updates_are_acknowledged)
{
	struct fixture fixture;
	struct apply_counters counters;

	set_up(&fixture);
	send_good(&fixture, 3);
	expect_ack(&fixture, 3);
	send_good(&fixture, 4);
	expect_ack(&fixture, 4);
	apply_on_beat(fixture.apply);
	ck_assert_uint_eq(fixture.sent[0].revision, 4);
	ck_assert_uint_eq(fixture.sent[0].selectors, 1);
	ck_assert(!fixture.sent[0].not_durable);
	apply_read_counters(fixture.apply, &counters);
	ck_assert_uint_eq(counters.applied, 2);
	tear_down(&fixture);
}
END_TEST

START_TEST(wrong_digest_is_asked_for_once)
{
	struct fixture fixture;
	struct digest digest, wrong = {{1}};

	set_up(&fixture);
	for (uint64_t revision = 1; revision < 3; revision++) { /* the second time around it may be asked again */
		send_begin(&fixture, revision, 1, NULL);
		digest = send_ssl(&fixture, "s", revision, KIND_SSL, NULL);
		send_end(&fixture, revision == 1 ? &wrong : NULL);
		ck_assert_int_eq(take(&fixture).type, TLSPLANE__MESSAGE_TYPE__MESSAGE_RESYNC);
		send_begin(&fixture, revision, 1, "");
		digest = send_ssl(&fixture, "s", revision, KIND_SSL, NULL);
		send_end(&fixture, &digest);
		expect_ack(&fixture, revision);
	}
	tear_down(&fixture);
}
END_TEST

START_TEST(second_wrong_digest_closes)
{
	struct fixture fixture;
	struct digest wrong = {{1}};

	set_up(&fixture);
	send_good(&fixture, 1);
	expect_ack(&fixture, 1);
	send_begin(&fixture, 2, 1, NULL);
	send_ssl(&fixture, "s", 2, KIND_SSL, NULL);
	send_end(&fixture, &wrong);
	ck_assert_int_eq(take(&fixture).type, TLSPLANE__MESSAGE_TYPE__MESSAGE_RESYNC);
	send_begin(&fixture, 2, 1, "");
	send_ssl(&fixture, "s", 2, KIND_SSL, NULL);
	send_end(&fixture, &wrong);
	ck_assert_uint_eq(fixture.sent_len, 0);
	ck_assert_uint_eq(fixture.reconnects, 1);
	ck_assert_uint_eq(snapshot_revision(fixture.current).number, 1);
	fixture.reconnects = 0;
	apply_on_disconnected(fixture.apply);
	send_good(&fixture, 2);
	expect_ack(&fixture, 2);
	tear_down(&fixture);
}
END_TEST

START_TEST(what_cannot_be_represented_is_refused)
{
	struct fixture fixture;
	struct digest digest;

	set_up(&fixture);
	send_good(&fixture, 5);
	expect_ack(&fixture, 5);
	send_begin(&fixture, 6, 2, NULL);
	send_ssl(&fixture, "s", 6, 60, NULL); /* a kind of the future */
	expect_nack(&fixture, 6, TLSPLANE__NACK_CODE__NACK_UNKNOWN, "s");
	send_ssl(&fixture, "t", 6, KIND_SSL, NULL); /* the rest of it is not looked at */
	send_end(&fixture, &(struct digest){{0}});
	ck_assert_uint_eq(fixture.sent_len, 0);
	send_begin(&fixture, 6, 1, NULL);
	send_ssl(&fixture, "../x", 6, KIND_SSL, NULL);
	expect_nack(&fixture, 6, TLSPLANE__NACK_CODE__NACK_UNDECODABLE, "../x");
	send_begin(&fixture, 6, 1, NULL);
	digest = send_ssl(&fixture, "s", 6, KIND_SSL, "nowhere");
	send_end(&fixture, &digest);
	expect_nack(&fixture, 6, TLSPLANE__NACK_CODE__NACK_PROFILE, "s");
	send_begin(&fixture, 6, 0, NULL);
	send_ssl(&fixture, "s", 6, KIND_SSL, NULL);
	expect_nack(&fixture, 6, TLSPLANE__NACK_CODE__NACK_LIMIT, "");
	send_begin(&fixture, 6, UINT64_MAX, NULL);
	expect_nack(&fixture, 6, TLSPLANE__NACK_CODE__NACK_LIMIT, "");
	send_begin(&fixture, 4, 0, NULL);
	expect_nack(&fixture, 4, TLSPLANE__NACK_CODE__NACK_OLD, "");
	ck_assert_uint_eq(snapshot_revision(fixture.current).number, 5);
	ck_assert_uint_eq(fixture.published, 1);
	send_good(&fixture, 6);
	expect_ack(&fixture, 6);
	tear_down(&fixture);
}
END_TEST

START_TEST(full_disk_is_a_nack_that_mends)
{
	struct fixture fixture;
	struct digest sum = DIGEST_NULL, one;

	set_up(&fixture);
	send_good(&fixture, 1);
	expect_ack(&fixture, 1);
	for (int round = 0; round < 2; round++) {
		sqlite3_exec(fixture.cache->db, round == 0 ? "PRAGMA max_page_count = 8" : "PRAGMA max_page_count = 10000",
		             NULL, NULL, NULL);
		sum = DIGEST_NULL;
		send_begin(&fixture, 2, 101, "");
		for (unsigned i = 0; i < 101; i++) {
			char id[16];

			snprintf(id, sizeof(id), "more-%u", i);
			one = send_ssl(&fixture, id, 2, KIND_SSL, NULL);
			digest_add(&sum, &one);
		}
		send_end(&fixture, &sum);
		if (round == 0) {
			expect_nack(&fixture, 2, TLSPLANE__NACK_CODE__NACK_PERSIST, "");
			ck_assert_uint_eq(snapshot_object_count(fixture.current, 0), 1);
		}
	}
	expect_ack(&fixture, 2);
	tear_down(&fixture);
}
END_TEST

START_TEST(revision_that_crashed_is_refused)
{
	struct fixture fixture;

	set_up(&fixture);
	sqlite3_exec(fixture.cache->db, "INSERT INTO attempts VALUES (1, 7, 2)", NULL, NULL, NULL);
	send_begin(&fixture, 7, 0, NULL);
	expect_nack(&fixture, 7, TLSPLANE__NACK_CODE__NACK_CRASHED, "");
	send_good(&fixture, 8);
	expect_ack(&fixture, 8);
	tear_down(&fixture);
}
END_TEST

/* Served, but the mark can't be written: no ACK, "not durable", a further update is refused; then it mends by itself.
 */
START_TEST(late_mark_is_acknowledged_late)
{
	struct fixture fixture;
	char path[128];

	set_up(&fixture);
	snprintf(path, sizeof(path), "%s/high-water.new", fixture.dir);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	send_good(&fixture, 1);
	ck_assert_uint_eq(fixture.sent_len, 0);
	ck_assert_uint_eq(snapshot_revision(fixture.current).number, 1);
	apply_on_beat(fixture.apply);
	ck_assert(take(&fixture).not_durable);
	send_begin(&fixture, 2, 1, NULL);
	expect_nack(&fixture, 2, TLSPLANE__NACK_CODE__NACK_PERSIST, "");
	send_ssl(&fixture, "s", 2, KIND_SSL, NULL);
	send_end(&fixture, &(struct digest){{0}});
	ck_assert_uint_eq(fixture.sent_len, 0);
	ck_assert_int_eq(rmdir(path), 0);
	while (fixture.sent_len == 0)
		uv_run(&fixture.world.loop, UV_RUN_ONCE);
	expect_ack(&fixture, 1);
	apply_on_beat(fixture.apply);
	ck_assert(!take(&fixture).not_durable);
	send_good(&fixture, 2);
	expect_ack(&fixture, 2);
	tear_down(&fixture);
}
END_TEST

START_TEST(disconnection_forgets_half_an_update)
{
	struct fixture fixture;

	set_up(&fixture);
	send_good(&fixture, 1);
	expect_ack(&fixture, 1);
	send_begin(&fixture, 2, 1, "");
	send_ssl(&fixture, "other", 2, KIND_SSL, NULL);
	apply_on_disconnected(fixture.apply);
	apply_on_greet(fixture.apply);
	ck_assert_uint_eq(take(&fixture).revision, 1);
	send_good(&fixture, 3);
	expect_ack(&fixture, 3);
	ck_assert_uint_eq(snapshot_object_count(fixture.current, 0), 1);
	tear_down(&fixture);
}
END_TEST

START_TEST(messages_out_of_order_close)
{
	struct fixture fixture;

	set_up(&fixture);
	send_ssl(&fixture, "s", 1, KIND_SSL, NULL);
	ck_assert_uint_eq(fixture.reconnects, 1);
	send_end(&fixture, NULL);
	ck_assert_uint_eq(fixture.reconnects, 2);
	send_begin(&fixture, 1, 1, NULL);
	send_begin(&fixture, 1, 1, NULL);
	ck_assert_uint_eq(fixture.reconnects, 3);
	ck_assert_uint_eq(fixture.sent_len, 0);
	ck_assert_uint_eq(fixture.published, 0);
	tear_down(&fixture);
}
END_TEST

UNIT_MAIN("sync/apply", good_updates_are_acknowledged, wrong_digest_is_asked_for_once, second_wrong_digest_closes,
          what_cannot_be_represented_is_refused, full_disk_is_a_nack_that_mends, revision_that_crashed_is_refused,
          late_mark_is_acknowledged_late, disconnection_forgets_half_an_update, messages_out_of_order_close)
