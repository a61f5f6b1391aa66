/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream/upstream.h"

#include "unit.h"

#include <arpa/inet.h>
#include <string.h>

struct node_spec {
	const char *host;
	uint32_t port, weight;
};

static uv_loop_t loop;

/* What on_state said last. */
static int told;
static char reason[512];

static void on_state(struct upstream *upstream, const char *text, void *owner)
{
	told++;
	snprintf(reason, sizeof(reason), "%s", text != NULL ? text : "");
}

static struct upstream *make(const struct node_spec *specs, size_t count)
{
	const struct upstream_events events = {on_state, NULL};
	Tlsplane__Upstream body = TLSPLANE__UPSTREAM__INIT;
	Tlsplane__Node nodes[UPSTREAM_NODES_MAX], *list[UPSTREAM_NODES_MAX];
	struct upstream *upstream = NULL;

	for (size_t i = 0; i < count; i++) {
		tlsplane__node__init(&nodes[i]);
		nodes[i].host = (char *)(uintptr_t)specs[i].host;
		nodes[i].port = specs[i].port;
		nodes[i].weight = specs[i].weight;
		list[i] = &nodes[i];
	}
	body.nodes = list;
	body.n_nodes = count;
	ck_assert_int_eq(upstream_new(&loop, "u", &body, &events, &upstream, NULL), 0);
	return upstream;
}

/* The port picked, 0 for none. */
static int pick(struct upstream *upstream, struct upstream_attempt *attempt)
{
	struct sockaddr_storage address;
	socklen_t len;

	if (upstream_pick(upstream, attempt, &address, &len) < 0)
		return 0;
	return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)(void *)&address)->sin_port
	                                          : ((struct sockaddr_in6 *)(void *)&address)->sin6_port);
}

static void done(struct upstream *upstream)
{
	upstream_retire(upstream);
	upstream_unref(upstream);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

START_TEST(test_weights)
{
	struct upstream *upstream;
	char order[15] = "";

	uv_loop_init(&loop);
	upstream = make(
	    (const struct node_spec[]){{"127.0.0.1", 1, 5}, {"127.0.0.2", 2, 1}, {"::1", 3, 1}, {"127.0.0.4", 4, 0}}, 4);
	for (int i = 0; i < 14; i++) {
		struct upstream_attempt attempt = {0};

		order[i] = (char)('0' + pick(upstream, &attempt));
	}
	ck_assert_str_eq(order, "11213111121311"); /* smooth: never five in a row */
	done(upstream);
}
END_TEST

START_TEST(test_each_node_once)
{
	struct upstream_attempt attempt = {0};
	struct upstream *upstream;
	uint64_t connected, failed;
	int sum = 0;

	uv_loop_init(&loop);
	upstream = make((const struct node_spec[]){{"127.0.0.1", 1, 100}, {"127.0.0.2", 2, 1}, {"127.0.0.3", 4, 1}}, 3);
	for (int i = 0; i < 3; i++) {
		sum += pick(upstream, &attempt);
		upstream_report(upstream, &attempt, i == 2);
	}
	ck_assert_int_eq(sum, 7);
	ck_assert_int_eq(pick(upstream, &attempt), 0);
	upstream_read_counts(upstream, &connected, &failed);
	ck_assert_uint_eq(connected, 1);
	ck_assert_uint_eq(failed, 2);
	done(upstream);
}
END_TEST

/* A name is not there at first, then all its addresses are tried before the next node; the one that works is kept. */
START_TEST(test_name)
{
	struct upstream_attempt attempt = {0}, next = {0};
	struct upstream *upstream;
	struct sockaddr_storage first, again;
	socklen_t len;
	int count = 0;

	uv_loop_init(&loop);
	upstream = make((const struct node_spec[]){{"localhost", 7, 1}}, 1);
	ck_assert_int_eq(pick(upstream, &attempt), 0);
	ck_assert_int_eq(attempt.next, 0);
	while (upstream_pick(upstream, &(struct upstream_attempt){0}, &first, &len) < 0)
		uv_run(&loop, UV_RUN_ONCE);
	while (pick(upstream, &attempt) == 7)
		count++;
	ck_assert_int_ge(count, 1);
	for (int i = 0; i < count; i++)
		ck_assert_int_eq(upstream_pick(upstream, &next, &first, &len), 0);
	upstream_report(upstream, &next, true); /* the last of them worked */
	next = (struct upstream_attempt){0};
	ck_assert_int_eq(upstream_pick(upstream, &next, &again, &len), 0);
	ck_assert_int_eq(memcmp(&first, &again, len), 0);
	ck_assert_int_eq(told, 0);
	done(upstream);
}
END_TEST

START_TEST(test_unresolved)
{
	struct upstream *upstream;

	uv_loop_init(&loop);
	told = 0;
	upstream = make((const struct node_spec[]){{"no-such-host.invalid", 1, 1}, {"127.0.0.1", 2, 1}}, 2);
	for (int i = 0; i < 4; i++) {
		struct upstream_attempt attempt = {0};

		ck_assert_int_eq(pick(upstream, &attempt), 2); /* the other node serves meanwhile */
	}
	while (told == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_ptr_nonnull(strstr(reason, "no-such-host.invalid does not resolve"));
	done(upstream);
}
END_TEST

/* Retired with a question under way: its answer finds the memory still there, and says nothing. */
START_TEST(test_retire)
{
	struct upstream *upstream;

	uv_loop_init(&loop);
	told = 0;
	upstream = make((const struct node_spec[]){{"no-such-host.invalid", 1, 1}}, 1);
	done(upstream);
	ck_assert_int_eq(told, 0);
}
END_TEST

START_TEST(test_too_many)
{
	Tlsplane__Upstream body = TLSPLANE__UPSTREAM__INIT;
	struct upstream *upstream = NULL;

	body.n_nodes = UPSTREAM_NODES_MAX + 1;
	ck_assert_int_eq(upstream_new(&loop, "u", &body, NULL, &upstream, NULL), E_TOO_LARGE);
}
END_TEST

UNIT_MAIN("upstream/upstream", test_weights, test_each_node_once, test_name, test_unresolved, test_retire,
          test_too_many)
