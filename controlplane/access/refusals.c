/* SPDX-License-Identifier: Apache-2.0 */
/* A window begins with the first refusal after the last one was over:
 *
 *   QUIET --a refusal without a name, or without room--> COUNTING --timer: the sum is written--> QUIET
 *   any --refusals_close--> CLOSING --timer closed, nothing under way--> (freed) */
#include "access/refusals.h"

#include "change/credentials.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW_MS 60000

struct refusals {
	struct change_engine *changes;
	uv_timer_t timer; /* runs while COUNTING */
	uint64_t window_ms;
	uint64_t unnamed; /* rows in this window */
	uint64_t left_out;
	size_t pending;
	bool closing, timer_closed;
	void (*on_closed)(void *owner);
	void *owner;
};

static void end_if_done(struct refusals *refusals)
{
	void (*on_closed)(void *owner) = refusals->on_closed;
	void *owner = refusals->owner;

	if (!refusals->closing || !refusals->timer_closed || refusals->pending > 0)
		return;
	free(refusals);
	on_closed(owner);
}

static void on_written(const struct error *error, void *context)
{
	struct refusals *refusals = context;

	refusals->pending--; /* one that could not be written has been logged by the writer */
	end_if_done(refusals);
}

static bool write_row(struct refusals *refusals, const struct change_caller *caller, const char *action, const char *outcome)
{
	struct error ignored = ERROR_NULL;

	if (change_audit(refusals->changes, caller, action, outcome, on_written, refusals, &ignored) != 0)
		return false;
	refusals->pending++;
	return true;
}

static void write_sum(struct refusals *refusals)
{
	static const struct change_caller nobody = {"", "", ""};
	char action[96];

	if (refusals->left_out > 0) {
		snprintf(action, sizeof(action), "and %" PRIu64 " more refused requests", refusals->left_out);
		(void)write_row(refusals, &nobody, action, "refused");
	}
	refusals->left_out = refusals->unnamed = 0;
}

static void on_timer(uv_timer_t *timer)
{
	write_sum(timer->data);
}

static void begin_window(struct refusals *refusals)
{
	if (!uv_is_active((uv_handle_t *)&refusals->timer))
		uv_timer_start(&refusals->timer, on_timer, refusals->window_ms, 0);
}

void refusals_note(struct refusals *refusals, const struct change_caller *caller, bool named, const char *action, const char *outcome)
{
	bool room = refusals->pending < REFUSALS_PENDING_MAX && (named || refusals->unnamed < REFUSALS_UNNAMED_MAX);

	if (refusals->closing)
		return;
	if (!named || !room)
		begin_window(refusals);
	if (room && write_row(refusals, caller, action, outcome))
		refusals->unnamed += !named;
	else
		refusals->left_out++;
}

int refusals_start(uv_loop_t *loop, struct change_engine *changes, uint64_t window_ms, struct refusals **ret, struct error *err)
{
	struct refusals *refusals = calloc(1, sizeof(*refusals));

	if (refusals == NULL)
		return error_nomem(err);
	refusals->changes = changes;
	refusals->window_ms = window_ms > 0 ? window_ms : WINDOW_MS;
	uv_timer_init(loop, &refusals->timer); /* cannot fail */
	uv_unref((uv_handle_t *)&refusals->timer);
	refusals->timer.data = refusals;
	*ret = refusals;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct refusals *refusals = handle->data;

	refusals->timer_closed = true;
	end_if_done(refusals);
}

void refusals_close(struct refusals *refusals, void (*on_closed)(void *owner), void *owner)
{
	write_sum(refusals);
	refusals->closing = true;
	refusals->on_closed = on_closed;
	refusals->owner = owner;
	uv_close((uv_handle_t *)&refusals->timer, on_timer_closed);
}
