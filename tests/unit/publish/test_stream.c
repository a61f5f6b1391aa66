/* SPDX-License-Identifier: Apache-2.0 */
/* Updates of many chunks: changes while they stream, removals without end, and a close at every turn of the loop.
 * Scripted agents check the digests of each update that they get. */
#include "peer.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <sqlite3.h>

#define MANY 4000

/* Puts or deletes upstreams 0 .. count-1 in one revision. */
static struct change_request *many(enum change_op op, size_t count, const char *selector)
{
	struct change_request *request = change_request_new(count);

	for (size_t i = 0; i < count; i++) {
		request->items[i].op = op;
		request->items[i].kind = KIND_UPSTREAM;
		snprintf(request->items[i].id, sizeof(request->items[i].id), "upstream-with-a-name-of-some-length-%zu", i);
		if (op == CHANGE_PUT)
			request->items[i].document =
				json_pack("{s:{s:i, s:i, s:i}, s:o}", "nodes", "some.rather.long.name.example.com:80", 1,
			              "another.rather.long.name.example.com:80", 1, "yet.another.name.example.com:80", 1,
			              "selector", json_loads(selector, 0, NULL));
	}
	return request;
}

static void submit(struct change_request *request, struct changed *changed)
{
	*changed = (struct changed){.done = false};
	change_submit(plane.changes, request, on_changed, changed);
}

static void finish(struct changed *changed)
{
	UNTIL(changed->done);
	json_decref(changed->answer);
	changed->answer = NULL;
}

START_TEST(test_change_while_streaming)
{
	struct peer *peer = peer_new("{}");
	struct changed changed, later[20];

	submit(many(CHANGE_PUT, MANY, "{}"), &changed);
	finish(&changed);
	peer_connect(peer);
	peer_hello(peer);
	UNTIL(peer->welcomes == 1);
	for (size_t i = 0; i < ARRAY_LEN(later); i++) {
		struct change_request *request = many(i % 3 == 0 ? CHANGE_DELETE : CHANGE_PUT, 1, "{}");

		snprintf(request->items[0].id, sizeof(request->items[0].id), "upstream-with-a-name-of-some-length-%zu",
		         i * 190);
		submit(request, &later[i]);
		for (int turns = 0; turns < 3; turns++)
			uv_run(&plane.loop, UV_RUN_NOWAIT);
	}
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		finish(&later[i]);
	UNTIL(is_at(peer, plane.head.revision));
	ck_assert_uint_eq(counters().resyncs, 0);
	ck_assert_uint_eq(counters().nacks, 0);
	peer_free(peer);
}
END_TEST

static char *ssl_json(const struct peer *peer)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *json;
	json_t *object;
	long split, len;

	ck_assert_int_eq(PEM_write_bio_X509(bio, peer->certificate), 1);
	split = BIO_get_mem_data(bio, &data);
	ck_assert_int_eq(PEM_write_bio_PKCS8PrivateKey(bio, peer->key, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(bio, &data);
	object = json_pack("{s:s, s:s%, s:s%}", "sni", "a.example", "cert", data, (size_t)split, "key", data + split, (size_t)(len - split));
	json = json_dumps(object, 0);
	json_decref(object);
	BIO_free(bio);
	return json;
}

static struct change_request *purge_of(const char *id)
{
	struct change_request *request = change_request_new(1);

	request->items[0] = (struct change_item){.op = CHANGE_DELETE, .kind = KIND_SSL};
	snprintf(request->items[0].id, sizeof(request->items[0].id), "%s", id);
	request->purge_keys = true;
	return request;
}

/* Keeps the writer thread from beginning a transaction. */
static sqlite3 *lock_store(void)
{
	sqlite3 *handle = NULL;
	char path[96];

	snprintf(path, sizeof(path), "%s/store.db", plane.dir);
	ck_assert_int_eq(sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(handle, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	return handle;
}

/* The loop stands still meanwhile. */
static void wait_for_commit(uint64_t after)
{
	struct store_revision head = {0};

	for (int i = 0; i < 10000 && head.revision.number <= after; i++) {
		OK(store_head(plane.reader, &head, &test_error));
		usleep(1000);
	}
	ck_assert_uint_gt(head.revision.number, after);
}

/* What is yet to be streamed loses its key: it is never sent without one, and the agent gets on all the same. */
START_TEST(test_purge_while_streaming)
{
	struct peer *peer = peer_new("{}");
	struct changed changed;
	char *json = ssl_json(peer);
	uint64_t before;
	sqlite3 *lock;

	submit(many(CHANGE_PUT, 3 * MANY, "{}"), &changed); /* more than one turn of the loop sends */
	finish(&changed);
	json_decref(change(CHANGE_PUT, KIND_SSL, "last", json).answer);
	before = plane.head.revision.number;
	peer_connect(peer);
	lock = lock_store();
	submit(purge_of("last"), &changed);
	linger(100); /* until it is at the writer */
	peer_hello(peer);
	UNTIL(peer->received > 0);
	sqlite3_close(lock);
	wait_for_commit(before);
	ck_assert_uint_eq(peer->updates, 0);
	UNTIL(peer->channel == NULL); /* cut short */
	finish(&changed);
	ck_assert_uint_eq(peer->updates, 0);
	kept_free_all(&peer->kept);
	peer_follow(peer);
	UNTIL(is_at(peer, changed.revision));
	ck_assert(!peer_has(peer, KIND_SSL, "last"));
	ck_assert_uint_eq(peer->keyless, 0);
	ck_assert_uint_eq(counters().resyncs, 0);
	free(json);
	peer_free(peer);
}
END_TEST

/* While differences are being sent, history is kept from where they are read; afterwards no longer. */
START_TEST(test_history_is_kept_while_streaming)
{
	struct peer *peer = peer_new("{\"a\": \"b\"}");
	struct changed changed;
	uint64_t head;

	put_upstream("second", "{\"a\": \"b\"}", 80);
	peer_follow(peer);
	UNTIL(is_at(peer, plane.head.revision));
	ck_assert_uint_eq(publisher_prune(plane.publisher, plane.head.revision.number), plane.head.revision.number);
	peer_leave(peer);
	submit(many(CHANGE_PUT, 3 * MANY, "{}"), &changed);
	finish(&changed);
	put_upstream("second", "{\"a\": \"b\"}", 81);
	put_upstream("second", "{\"a\": \"b\"}", 82);
	head = plane.head.revision.number;
	peer->resets = 0;
	peer->received = 0;
	peer_connect(peer);
	peer_hello(peer);
	UNTIL(peer->received > 0); /* of the first selector; the other one's turn is yet to come */
	ck_assert_uint_lt(publisher_prune(plane.publisher, head), head - 1);
	UNTIL(is_at(peer, plane.head.revision));
	ck_assert_uint_eq(peer->resets, 0);
	UNTIL(publisher_prune(plane.publisher, head) == head); /* its ACK has come */
	peer_free(peer);
}
END_TEST

/* More removals than any chunk has: they go out as such, and nothing else is sent again. */
START_TEST(test_many_removals)
{
	const char *long_labels = "{\"a\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\","
							  " \"b\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\","
							  " \"c\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\","
							  " \"d\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}";
	struct peer *peer = peer_new(long_labels);
	struct changed changed;

	submit(many(CHANGE_PUT, MANY, long_labels), &changed);
	finish(&changed);
	put_upstream("stays", long_labels, 80);
	peer_follow(peer);
	UNTIL(is_at(peer, plane.head.revision));
	peer->resets = 0;
	submit(many(CHANGE_DELETE, MANY, NULL), &changed);
	finish(&changed);
	UNTIL(is_at(peer, changed.revision));
	ck_assert_uint_eq(peer->resets, 0);
	ck_assert(peer_has(peer, KIND_UPSTREAM, "stays"));
	peer_free(peer);
}
END_TEST

/* Nothing may be left behind, whenever it ends. */
START_TEST(test_close_at_every_turn)
{
	struct peer *peer = peer_new("{}");
	struct changed changed, later;

	submit(many(CHANGE_PUT, 1500, "{}"), &changed);
	finish(&changed);
	for (int turns = 0; turns < 40; turns++) {
		kept_free_all(&peer->kept);
		peer->at = peer->high = (struct revision){0, 0};
		memset(&peer->chain, 0, sizeof(peer->chain));
		peer_connect_as(peer, peer->certificate, peer->key);
		if (turns >= 8) {
			UNTIL(peer->open);
			peer_hello(peer);
		}
		submit(many(CHANGE_PUT, 1, turns % 2 == 0 ? "{}" : "{\"a\": \"b\"}"), &later);
		for (int i = 0; i < turns; i++)
			uv_run(&plane.loop, UV_RUN_NOWAIT);
		plane_stop();
		finish(&later);
		peer_leave(peer);
		plane_start(false, 10);
	}
	peer_free(peer);
}
END_TEST

int main(void)
{
	return plane_main("stream", (const TTest *const[]){test_change_while_streaming, test_purge_while_streaming,
	                                                   test_history_is_kept_while_streaming, test_many_removals,
	                                                   test_close_at_every_turn, NULL});
}
