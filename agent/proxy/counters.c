/* SPDX-License-Identifier: Apache-2.0 */
/* From the workers' counters to the public sums, by one table. */
#include "proxy/counters.h"

#include <stddef.h>

static const size_t places[COUNTERS] = {
    [COUNT_ACCEPTED] = offsetof(struct proxy_counters, connections_accepted),
    [COUNT_OPEN] = offsetof(struct proxy_counters, connections_open),
    [COUNT_REFUSED] = offsetof(struct proxy_counters, connections_refused),
    [COUNT_HANDSHAKES_OK] = offsetof(struct proxy_counters, handshakes_ok),
    [COUNT_HANDSHAKES_FAILED] = offsetof(struct proxy_counters, handshakes_failed),
    [COUNT_HANDSHAKES_TIMED_OUT] = offsetof(struct proxy_counters, handshakes_timed_out),
    [COUNT_TLS12] = offsetof(struct proxy_counters, handshakes_tls12),
    [COUNT_TLS13] = offsetof(struct proxy_counters, handshakes_tls13),
    [COUNT_FAILED_SNI] = offsetof(struct proxy_counters, failures_sni),
    [COUNT_FAILED_CLIENT_CERT] = offsetof(struct proxy_counters, failures_client_cert),
    [COUNT_FAILED_PROTOCOL] = offsetof(struct proxy_counters, failures_protocol),
    [COUNT_FAILED_SITE] = offsetof(struct proxy_counters, failures_site),
    [COUNT_UPSTREAM_FAILURES] = offsetof(struct proxy_counters, upstream_failures),
    [COUNT_BYTES_IN] = offsetof(struct proxy_counters, bytes_in),
    [COUNT_BYTES_OUT] = offsetof(struct proxy_counters, bytes_out),
};

void counters_sum(const struct counters *counters, struct proxy_counters *sums)
{
	for (size_t i = 0; i < COUNTERS; i++) {
		uint64_t *sum = (uint64_t *)(void *)((char *)sums + places[i]);

		*sum += atomic_load_explicit(&counters->values[i], memory_order_relaxed);
	}
}
