/* SPDX-License-Identifier: Apache-2.0 */
#include "base/durations.h"

#include <inttypes.h>

static const uint64_t bounds_us[DURATIONS_BOUNDS] = {100, 500, 1000, 5000, 10000, 50000, 100000, 1000000, 10000000};

void durations_note(struct durations *durations, uint64_t ns)
{
	size_t i = 0;

	while (i < DURATIONS_BOUNDS && ns > bounds_us[i] * 1000)
		i++;
	atomic_fetch_add_explicit(&durations->counts[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&durations->sum_ns, ns, memory_order_relaxed);
	if (ns > atomic_load_explicit(&durations->longest_ns, memory_order_relaxed))
		atomic_store_explicit(&durations->longest_ns, ns, memory_order_relaxed);
}

static void put_seconds(struct buf *out, const char *name, const char *suffix, uint64_t ns)
{
	buf_printf(out, "%s%s %" PRIu64 ".%09" PRIu64 "\n", name, suffix, ns / UINT64_C(1000000000), ns % UINT64_C(1000000000));
}

void durations_format(const struct durations *durations, const char *name, const char *what, struct buf *out)
{
	uint64_t count = 0;

	buf_printf(out, "# HELP %s_seconds %s\n# TYPE %s_seconds histogram\n", name, what, name);
	for (size_t i = 0; i < DURATIONS_BOUNDS; i++) {
		count += atomic_load_explicit(&durations->counts[i], memory_order_relaxed);
		buf_printf(out, "%s_seconds_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)bounds_us[i] / 1e6, count);
	}
	count += atomic_load_explicit(&durations->counts[DURATIONS_BOUNDS], memory_order_relaxed);
	buf_printf(out, "%s_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
	put_seconds(out, name, "_seconds_sum", atomic_load_explicit(&durations->sum_ns, memory_order_relaxed));
	buf_printf(out, "%s_seconds_count %" PRIu64 "\n", name, count);
	buf_printf(out, "# HELP %s_longest_seconds The longest of them since the start.\n# TYPE %s_longest_seconds gauge\n", name, name);
	put_seconds(out, name, "_longest_seconds", atomic_load_explicit(&durations->longest_ns, memory_order_relaxed));
}
