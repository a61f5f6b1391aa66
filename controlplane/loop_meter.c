/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_meter.h"

#include <time.h>

static uint64_t read_cpu(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Called just before the loop waits. What has passed since the last time, but for the waiting itself, was work. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct loop_meter *meter = prepare->data;
	uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(prepare->loop), cpu = read_cpu();
	uint64_t passed = now - meter->waited_at, waited = idle - meter->idle;

	if (meter->waited_at != 0) {
		durations_note(&meter->turns, passed > waited ? passed - waited : 0);
		durations_note(&meter->cpu_turns, cpu - meter->cpu);
	}
	meter->waited_at = now;
	meter->idle = idle;
	meter->cpu = cpu;
}

void loop_meter_start(struct loop_meter *meter, uv_loop_t *loop)
{
	(void)uv_loop_configure(loop, UV_METRICS_IDLE_TIME); /* fails only for options that it does not know */
	(void)uv_prepare_init(loop, &meter->prepare);        /* never fails, as all of these */
	meter->prepare.data = meter;
	(void)uv_prepare_start(&meter->prepare, on_prepare);
	uv_unref((uv_handle_t *)&meter->prepare);
}

void loop_meter_close(struct loop_meter *meter)
{
	uv_close((uv_handle_t *)&meter->prepare, NULL);
}
