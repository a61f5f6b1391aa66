/* SPDX-License-Identifier: Apache-2.0 */
/* From the workers' counters to the public sums, by one table. */
#include "proxy/counters.h"

#include <stddef.h>

#define PLACE(field) offsetof(struct proxy_counters, field)
#define PLACE_TLS(cause) [COUNT_UPSTREAM_TLS_FAILURES + (cause)] = PLACE(upstream_tls_failures[cause])

static const size_t places[COUNTERS] = {
    [COUNT_ACCEPTED] = PLACE(connections_accepted),
    [COUNT_OPEN] = PLACE(connections_open),
    [COUNT_REFUSED] = PLACE(connections_refused),
    [COUNT_HANDSHAKES_OK] = PLACE(handshakes_ok),
    [COUNT_HANDSHAKES_FAILED] = PLACE(handshakes_failed),
    [COUNT_HANDSHAKES_TIMED_OUT] = PLACE(handshakes_timed_out),
    [COUNT_FAILED_SNI] = PLACE(failures_sni),
    [COUNT_FAILED_CLIENT_CERT] = PLACE(failures_client_cert),
    [COUNT_FAILED_PROTOCOL] = PLACE(failures_protocol),
    [COUNT_FAILED_SITE] = PLACE(failures_site),
    [COUNT_FAILED_ADDRESS] = PLACE(failures_address),
    [COUNT_FAILED_REJECTED] = PLACE(failures_rejected),
    [COUNT_FAILED_LIMIT] = PLACE(failures_limit),
    [COUNT_FAILED_PROXY_HEADER] = PLACE(failures_proxy_header),
    [COUNT_FAILED_SIZE] = PLACE(failures_size),
    [COUNT_PASSTHROUGH] = PLACE(passthrough),
    [COUNT_TICKETS_IGNORED] = PLACE(tickets_ignored),
    [COUNT_LIMIT_CONNECTIONS] = PLACE(limit_connections),
    [COUNT_LIMIT_HANDSHAKES] = PLACE(limit_handshakes),
    [COUNT_LIMIT_RATE] = PLACE(limit_handshake_rate),
    [COUNT_LIMIT_NAME_HANDSHAKES] = PLACE(limit_name_handshakes),
    [COUNT_LIMIT_NAME_RATE] = PLACE(limit_name_rate),
    [COUNT_CLOSED_ON_TIGHTEN] = PLACE(closed_on_tighten),
    [COUNT_UPSTREAM_FAILURES] = PLACE(upstream_failures),
    [COUNT_UPSTREAM_CONNECT_FAILURES] = PLACE(upstream_connect_failures),
    PLACE_TLS(0),
    PLACE_TLS(1),
    PLACE_TLS(2),
    PLACE_TLS(3),
    PLACE_TLS(4),
    PLACE_TLS(5),
    PLACE_TLS(6),
    PLACE_TLS(7),
    [COUNT_UPSTREAM_TLS_OK] = PLACE(upstream_tls_ok),
    [COUNT_UPSTREAM_TLS_RESUMED] = PLACE(upstream_tls_resumed),
    [COUNT_UPSTREAM_TLS_PERMISSIVE] = PLACE(upstream_tls_permissive),
    [COUNT_BYTES_IN] = PLACE(bytes_in),
    [COUNT_BYTES_OUT] = PLACE(bytes_out),
};

_Static_assert(sizeof(((struct proxy_counters *)NULL)->upstream_tls_failures) == COUNTERS_ORIGIN_CAUSES * sizeof(uint64_t),
               "one counter for each cause");

void counters_sum(const struct counters *counters, struct proxy_counters *sums)
{
	for (size_t i = 0; i < COUNTERS; i++) {
		uint64_t *sum = (uint64_t *)(void *)((char *)sums + places[i]);

		*sum += atomic_load_explicit(&counters->values[i], memory_order_relaxed);
	}
}

/* ------------------------------------------------------------------------------------------------ what was agreed */

static uint64_t key_of(const struct proxy_agreed *what)
{
	return (uint64_t)what->version << 48 | (uint64_t)what->suite << 32 | (uint64_t)what->group << 16 | what->resumed;
}

void agreed_count(struct agreed *agreed, const struct proxy_agreed *what, uint64_t amount)
{
	uint64_t key = key_of(what), start = (key ^ key >> 16 ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15) >> 32;
	_Atomic uint64_t *count = &agreed->others;

	for (size_t i = 0; i < PROXY_AGREED_MAX && key != 0; i++) {
		struct agreed_row *row = &agreed->rows[(start + i) % PROXY_AGREED_MAX];
		uint64_t there = atomic_load_explicit(&row->key, memory_order_relaxed);

		if (there != 0 && there != key)
			continue;
		if (there == 0)
			atomic_store_explicit(&row->key, key, memory_order_relaxed);
		count = &row->count;
		break;
	}
	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + amount, memory_order_relaxed);
}

void agreed_each(const struct agreed *agreed, void (*fn)(const struct proxy_agreed *what, void *context), void *context)
{
	struct proxy_agreed what = {.count = atomic_load_explicit(&agreed->others, memory_order_relaxed)};

	if (what.count > 0)
		fn(&what, context);
	for (size_t i = 0; i < PROXY_AGREED_MAX; i++) {
		uint64_t key = atomic_load_explicit(&agreed->rows[i].key, memory_order_relaxed);

		if (key == 0)
			continue;
		what = (struct proxy_agreed){
		    .version = (uint16_t)(key >> 48),
		    .suite = (uint16_t)(key >> 32),
		    .group = (uint16_t)(key >> 16),
		    .resumed = (key & 1) != 0,
		    .count = atomic_load_explicit(&agreed->rows[i].count, memory_order_relaxed),
		};
		fn(&what, context);
	}
}
