/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of one worker: written by its thread alone, so an addition is a plain load and store; read by the main
 * thread. */
#pragma once

#include "proxy/proxy.h"

#include <stdatomic.h>
#include <stdint.h>

enum counter {
	COUNT_ACCEPTED,
	COUNT_OPEN, /* goes down as well */
	COUNT_REFUSED,
	COUNT_HANDSHAKES_OK,
	COUNT_HANDSHAKES_FAILED,
	COUNT_HANDSHAKES_TIMED_OUT,
	COUNT_TLS12,
	COUNT_TLS13,
	COUNT_FAILED_SNI,
	COUNT_FAILED_CLIENT_CERT,
	COUNT_FAILED_PROTOCOL,
	COUNT_FAILED_SITE,
	COUNT_UPSTREAM_FAILURES,
	COUNT_BYTES_IN,
	COUNT_BYTES_OUT,
	COUNTERS,
};

struct counters {
	_Atomic uint64_t values[COUNTERS];
};

/* The owning thread. */
static inline void counters_add(struct counters *counters, enum counter counter, int64_t amount)
{
	uint64_t value = atomic_load_explicit(&counters->values[counter], memory_order_relaxed);

	atomic_store_explicit(&counters->values[counter], value + (uint64_t)amount, memory_order_relaxed);
}

/* Any thread: adds what counters hold to *sums. */
void counters_sum(const struct counters *counters, struct proxy_counters *sums);
