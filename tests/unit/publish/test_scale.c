/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent costs: chunks are built once for all, and a crowd follows one change. */
#include "peer.h"
#include "publish/internal.h"

#define CROWD 40

START_TEST(test_encode_once)
{
	struct peer *peers[CROWD];
	struct changed changed;
	uint64_t built;

	for (size_t i = 0; i < CROWD; i++)
		peers[i] = peer_new(i % 2 == 0 ? "{\"half\": \"a\"}" : "{\"half\": \"b\"}");
	put_upstream("all", "{}", 80);
	built = plane.publisher->chunks.built;
	for (size_t i = 0; i < CROWD; i++)
		peer_follow(peers[i]);
	for (size_t i = 0; i < CROWD; i++)
		UNTIL(peers[i]->updates == 1);
	ck_assert_uint_eq(plane.publisher->chunks.built - built, 1);

	put_upstream("a", "{\"half\": \"a\"}", 80); /* now the halves are at different revisions */
	for (size_t i = 0; i < CROWD; i += 2)
		UNTIL(peers[i]->updates == 2);
	UNTIL(counters().agents_behind == 0);
	built = plane.publisher->chunks.built;
	changed = put_upstream("all", "{}", 81);
	for (size_t i = 0; i < CROWD; i++)
		UNTIL(is_at(peers[i], changed.revision));
	ck_assert_uint_eq(plane.publisher->chunks.built - built, 1); /* and share the delta all the same */

	UNTIL(plane.publisher->chunks.by_key.count == 0); /* secrets do not linger */
	for (size_t i = 0; i < CROWD; i++)
		peer_free(peers[i]);
}
END_TEST

/* More connections at once than handshakes are let in: the rest waits its turn. */
START_TEST(test_admission)
{
	int fds[LISTENER_HANDSHAKES_MAX + 20];
	struct peer *peer = peer_new("{}");

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial();
	UNTIL(plane.publisher->listener.handshakes == LISTENER_HANDSHAKES_MAX);
	linger(100);
	ck_assert_uint_eq(plane.publisher->listener.handshakes, LISTENER_HANDSHAKES_MAX);
	ck_assert(!plane.publisher->listener.accepting);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	peer_follow(peer);
	ck_assert_uint_eq(peer->welcomes, 1);
	UNTIL(plane.publisher->listener.handshakes == 0);
	peer_free(peer);
}
END_TEST

/* Peers that only connect hold every place; an agent gets in long before their handshakes' time is over. */
START_TEST(test_silent_crowd)
{
	int fds[LISTENER_HANDSHAKES_MAX];
	struct peer *peer = peer_new("{}");
	uint64_t start;

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial();
	UNTIL(plane.publisher->listener.handshakes == LISTENER_HANDSHAKES_MAX);
	start = uv_now(&plane.loop);
	peer_follow(peer);
	ck_assert_uint_eq(peer->welcomes, 1);
	ck_assert_uint_lt(uv_now(&plane.loop) - start, LISTENER_HANDSHAKE_MS / 2);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	peer_free(peer);
}
END_TEST

/* Peers that shake hands to enrol, for which nobody has to show anything, and then say nothing, count with those that
 * shake hands: they hold no more places, and no longer. */
START_TEST(test_silent_enrolments)
{
	struct peer crowd[LISTENER_HANDSHAKES_MAX] = {0}, *peer = peer_new("{}");
	const size_t few = 20;
	uint64_t start;

	for (size_t i = 0; i < few; i++) {
		peer_connect_as(&crowd[i], NULL, NULL);
		UNTIL(crowd[i].open);
	}
	linger(50);
	ck_assert_uint_eq(plane.publisher->listener.handshakes, few);
	for (size_t i = few; i < ARRAY_LEN(crowd); i++)
		peer_connect_as(&crowd[i], NULL, NULL);
	start = uv_now(&plane.loop);
	peer_follow(peer);
	ck_assert_uint_eq(peer->welcomes, 1);
	ck_assert_uint_lt(uv_now(&plane.loop) - start, LISTENER_HANDSHAKE_MS / 2);
	for (size_t i = 0; i < ARRAY_LEN(crowd); i++)
		peer_deinit(&crowd[i]);
	UNTIL(plane.publisher->listener.handshakes == 0);
	peer_free(peer);
}
END_TEST

/* Who gave up while it waited gets neither a place nor a handshake. */
START_TEST(test_gone_crowd)
{
	int fds[LISTENER_HANDSHAKES_MAX];
	struct peer *peer = peer_new("{}");

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = dial();
	UNTIL(plane.publisher->listener.handshakes == LISTENER_HANDSHAKES_MAX);
	for (size_t i = 0; i < 50; i++)
		close(dial());
	close(fds[0]);
	UNTIL(plane.publisher->counters.connections_refused == 50);
	for (size_t i = 1; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	peer_follow(peer);
	ck_assert_uint_eq(peer->welcomes, 1);
	ck_assert_uint_eq(plane.publisher->counters.connections_refused, 50);
	peer_free(peer);
}
END_TEST

START_TEST(test_port_taken)
{
	struct publisher_config config = {.loop = &plane.loop,
	                                  .store = plane.store,
	                                  .changes = plane.changes,
	                                  .host = "127.0.0.1",
	                                  .port = publisher_port(plane.publisher),
	                                  .heartbeat_seconds = 10};
	struct publisher *second = NULL;

	test_error = ERROR_NULL;
	ck_assert_int_eq(publisher_start(&config, &second, &test_error), E_BUSY);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(test_error.text, "127.0.0.1"));
	config.host = "not an address";
	ck_assert_int_eq(publisher_start(&config, &second, &test_error), E_INVALID);
}
END_TEST

int main(void)
{
	return plane_main("scale", (const TTest *const[]){test_encode_once, test_admission, test_silent_crowd, test_silent_enrolments,
	                                                  test_gone_crowd, test_port_taken, NULL});
}
