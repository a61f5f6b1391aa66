/* SPDX-License-Identifier: Apache-2.0 */
#include "upstream/upstream.h"

#include "base/log.h"
#include "unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

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

/* What make sets beside the nodes; 0: as absent. */
static uint32_t max_fails, fail_timeout_ms;

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
	body.has_max_fails = max_fails != 0;
	body.max_fails = max_fails;
	body.has_fail_timeout_ms = body.has_connect_timeout_ms = fail_timeout_ms != 0;
	body.fail_timeout_ms = body.connect_timeout_ms = fail_timeout_ms;
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

/* The port of a connection of its own, with its verdict. */
static int try_once(struct upstream *upstream, bool connected)
{
	struct upstream_attempt attempt = {0};
	int port = pick(upstream, &attempt);

	ck_assert_int_ne(port, 0);
	upstream_report(upstream, &attempt, connected);
	return port;
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void on_settled(uv_timer_t *timer)
{
	uv_close((uv_handle_t *)timer, NULL);
}

/* Lets the loop do what it has to; an upstream alone does not keep it alive. */
static void settle(void)
{
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_settled, 2, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static size_t count_down(struct upstream *upstream)
{
	size_t nodes, down;

	upstream_read_health(upstream, &nodes, &down);
	return down;
}

static const struct node_spec two_nodes[] = {{"127.0.0.1", 1, 1}, {"127.0.0.2", 2, 1}};

START_TEST(test_passed_over)
{
	struct upstream_attempt probe = {0};
	struct upstream *upstream;

	uv_loop_init(&loop);
	told = 0;
	fail_timeout_ms = 200;
	upstream = make(two_nodes, 2);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(try_once(upstream, i % 2 == 1), i % 2 == 1 ? 2 : 1); /* 1 fails three times */
	ck_assert_uint_eq(count_down(upstream), 1);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(try_once(upstream, true), 2);
	wait_ms(210);
	while (pick(upstream, &probe) == 2) /* one of the next two is the probe... */
		probe = (struct upstream_attempt){0};
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(try_once(upstream, true), 2); /* ... and the others pass it over */
	upstream_report(upstream, &probe, true);
	ck_assert_uint_eq(count_down(upstream), 0);
	ck_assert_int_ne(try_once(upstream, true), try_once(upstream, true)); /* in turns again */
	settle();
	ck_assert_int_eq(told, 0); /* one was up all the time */
	done(upstream);
}
END_TEST

/* Who fails with the node that is up still gets the one that is down: better than nothing. */
START_TEST(test_last_resort)
{
	struct upstream_attempt attempt = {0};
	struct upstream *upstream;

	uv_loop_init(&loop);
	max_fails = 1;
	upstream = make(two_nodes, 2);
	ck_assert_int_eq(try_once(upstream, false), 1);
	ck_assert_int_eq(pick(upstream, &attempt), 2);
	ck_assert_int_eq(pick(upstream, &attempt), 1);
	ck_assert_int_eq(pick(upstream, &attempt), 0);
	done(upstream);
}
END_TEST

START_TEST(test_all_down)
{
	struct upstream *upstream;

	uv_loop_init(&loop);
	told = 0;
	max_fails = 2;
	upstream = make(two_nodes, 2);
	for (int i = 0; i < 4; i++)
		try_once(upstream, false);
	ck_assert_uint_eq(count_down(upstream), 2);
	settle();
	ck_assert_int_eq(told, 1);
	ck_assert_str_eq(reason, "no node answers: 127.0.0.1 port 1 and 1 more are down");
	for (int i = 0; i < 4; i++)
		ck_assert_int_ne(try_once(upstream, false), 0); /* tried all the same */
	settle();
	ck_assert_int_eq(told, 1);
	ck_assert_int_ne(try_once(upstream, true), 0);
	settle();
	ck_assert_int_eq(told, 2);
	ck_assert_str_eq(reason, "");
	done(upstream);
}
END_TEST

START_TEST(test_never_down)
{
	const struct upstream_events events = {on_state, NULL};
	Tlsplane__Upstream body = TLSPLANE__UPSTREAM__INIT;
	Tlsplane__Node node = TLSPLANE__NODE__INIT, *nodes[] = {&node};
	struct upstream *upstream;

	uv_loop_init(&loop);
	told = 0;
	node.host = (char *)(uintptr_t) "127.0.0.1";
	node.port = 1;
	node.weight = 1;
	body.nodes = nodes;
	body.n_nodes = 1;
	body.has_max_fails = true;
	ck_assert_int_eq(upstream_new(&loop, "u", &body, &events, &upstream, NULL), 0);
	for (int i = 0; i < 100; i++)
		try_once(upstream, false);
	ck_assert_uint_eq(count_down(upstream), 0);
	settle();
	ck_assert_int_eq(told, 0);
	done(upstream);
}
END_TEST

START_TEST(test_picked_host)
{
	struct upstream_attempt attempt = {0};
	struct upstream *upstream;
	uint16_t port;

	uv_loop_init(&loop);
	upstream = make((const struct node_spec[]){{"::1", 77, 1}}, 1);
	ck_assert_int_eq(pick(upstream, &attempt), 77);
	ck_assert_str_eq(upstream_picked_host(upstream, &attempt, &port), "::1");
	ck_assert_uint_eq(port, 77);
	done(upstream);
}
END_TEST

static atomic_bool stop;

/* A worker whose tries fail and succeed in runs, so that both nodes go down and up all the time. */
static void *work(void *context)
{
	struct upstream *upstream = context;

	for (unsigned i = 0; !atomic_load(&stop); i++)
		try_once(upstream, i / 16 % 2 == 1);
	upstream_unref(upstream);
	return NULL;
}

/* Workers go on while the upstream is retired: no event after that, and the last of them frees it. */
START_TEST(test_concurrency)
{
	pthread_t threads[3];
	struct upstream *upstream;
	int told_before;

	uv_loop_init(&loop);
	ck_assert_int_eq(log_set_level("error", NULL), 0);
	max_fails = 1;
	fail_timeout_ms = 1;
	told = 0;
	upstream = make(two_nodes, 2);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, upstream_ref(upstream)), 0);
	while (told < 20)
		settle();
	upstream_retire(upstream);
	told_before = told;
	upstream_unref(upstream);
	wait_ms(5);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	atomic_store(&stop, true);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(told, told_before);
}
END_TEST

UNIT_MAIN("upstream/upstream", test_weights, test_each_node_once, test_name, test_unresolved, test_retire,
          test_too_many, test_passed_over, test_last_resort, test_all_down, test_never_down, test_picked_host,
          test_concurrency)
