/* SPDX-License-Identifier: Apache-2.0 */
/* Updates of many chunks: changes while they stream, removals without end, and a close at every turn of the loop.
 * Scripted agents check the digests of each update that they get. */
#include "peer.h"

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

/* Beyond 1 MiB of removals the selector is sent whole. */
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
	ck_assert_uint_eq(peer->resets, 1);
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
	return plane_main("stream", (const TTest *const[]){test_change_while_streaming, test_many_removals,
	                                                   test_close_at_every_turn, NULL});
}
