/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of one worker: written by its thread alone, so an addition is a plain load and store; read by the main
 * thread. */
#pragma once

#include "proxy/proxy.h"

#include <stdatomic.h>
#include <stdint.h>

#define COUNTERS_ORIGIN_CAUSES 8

enum counter {
	COUNT_ACCEPTED,
	COUNT_OPEN, /* goes down as well */
	COUNT_REFUSED,
	COUNT_HANDSHAKES_OK,
	COUNT_HANDSHAKES_FAILED,
	COUNT_HANDSHAKES_TIMED_OUT,
	COUNT_FAILED_SNI,
	COUNT_FAILED_CLIENT_CERT,
	COUNT_FAILED_PROTOCOL,
	COUNT_FAILED_SITE,
	COUNT_FAILED_ADDRESS,
	COUNT_FAILED_REJECTED,
	COUNT_FAILED_LIMIT,
	COUNT_FAILED_PROXY_HEADER,
	COUNT_FAILED_SIZE,
	COUNT_PASSTHROUGH,
	COUNT_TICKETS_IGNORED,
	COUNT_LIMIT_CONNECTIONS,
	COUNT_LIMIT_HANDSHAKES,
	COUNT_LIMIT_RATE,
	COUNT_LIMIT_NAME_HANDSHAKES,
	COUNT_LIMIT_NAME_RATE,
	COUNT_CLOSED_ON_TIGHTEN,
	COUNT_UPSTREAM_FAILURES,
	COUNT_UPSTREAM_CONNECT_FAILURES,
	COUNT_UPSTREAM_TLS_FAILURES, /* and those behind it: by enum origin_cause */
	COUNT_UPSTREAM_TLS_FAILURES_LAST = COUNT_UPSTREAM_TLS_FAILURES + COUNTERS_ORIGIN_CAUSES - 1,
	COUNT_UPSTREAM_TLS_OK,
	COUNT_UPSTREAM_TLS_RESUMED,
	COUNT_UPSTREAM_TLS_PERMISSIVE,
	COUNT_BYTES_IN,
	COUNT_BYTES_OUT,
	COUNTERS,
};

struct counters {
	_Atomic uint64_t values[COUNTERS];
};

/* The owning thread. */
static inline void counters_add(struct counters *counters, unsigned counter, int64_t amount)
{
	uint64_t value = atomic_load_explicit(&counters->values[counter], memory_order_relaxed);

	atomic_store_explicit(&counters->values[counter], value + (uint64_t)amount, memory_order_relaxed);
}

/* Any thread: adds what counters hold to *sums. */
void counters_sum(const struct counters *counters, struct proxy_counters *sums);

/* Good handshakes by what was agreed: a table of one worker, written by its thread alone. */
struct agreed_row {
	_Atomic uint64_t key; /* 0: free */
	_Atomic uint64_t count;
};

struct agreed {
	struct agreed_row rows[PROXY_AGREED_MAX];
	_Atomic uint64_t others; /* what came when all rows were taken */
};

/* The owning thread; *what without its count. */
void agreed_count(struct agreed *agreed, const struct proxy_agreed *what, uint64_t amount);
/* Any thread. */
void agreed_each(const struct agreed *agreed, void (*fn)(const struct proxy_agreed *what, void *context), void *context);
