/* SPDX-License-Identifier: Apache-2.0 */
/* Inside agent/upstream: what an upstream is. One mutex guards what workers share with the main loop: addresses, the
 * round robin's state, health, counters. What is set before it is published (ids, hosts, rules) is never changed. */
#pragma once

#include "upstream/health.h"
#include "upstream/upstream.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#define ADDRESSES_MAX 8

struct address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

struct node {
	char *host;   /* owned; as written */
	bool is_name; /* false: an IP address, resolved from the start */
	uint16_t port;
	uint32_t weight;
	int64_t current; /* of the smooth weighted round robin */
	struct health health;
	uint8_t preferred; /* the address that worked last */
	uint8_t addresses_len;
	struct address addresses[ADDRESSES_MAX];
	int failure; /* main loop only: code of the last answer, 0 when good */
};

struct upstream {
	atomic_uint count;
	char *id;
	uint32_t connect_timeout_ms;
	struct health_rules rules;
	uv_loop_t *loop;
	struct upstream_events events;

	/* main loop only */
	uv_timer_t timer; /* open when has_names */
	bool retired;
	bool has_names;
	size_t asked; /* questions under way */
	uint32_t retry_ms;
	char reason[320]; /* reported last; "" when well */

	uv_async_t news; /* open while can_tell */

	pthread_mutex_t lock;
	bool can_tell;
	bool all_down; /* a node is down, and none is up that has an address */
	uint64_t connected, failed;
	size_t nodes_len;
	struct node nodes[];
};

/* Under the lock: whether all_down has changed. */
bool upstream_refresh_all_down(struct upstream *upstream);
