/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/reporter.h"

#include "base/log.h"

#include <string.h>

#define SOON_MS 50
#define CLOCK_SECONDS 60
#define MEND_SECONDS 5 /* while CAs are missing */

/* Telling ---------------------------------------------------------------------------------------------------------- */

void reporter_send(struct reporter *reporter)
{
	struct error err = ERROR_NULL;
	int r = degraded_report(&reporter->degraded, &reporter->ports.sender, &err);

	if (r < 0 && r != E_CLOSED)
		log_event(LOG_WARNING, "degraded objects not reported", LOG_ERR(&err));
}

void reporter_send_changes(struct reporter *reporter)
{
	if (reporter->degraded.changed)
		reporter_send(reporter);
}

static void on_soon(uv_timer_t *timer)
{
	reporter_send_changes(timer->data);
}

/* Starting a timer that has a callback can't fail. */
static void send_soon(struct reporter *reporter)
{
	if (reporter->degraded.changed && !reporter->closing && !uv_is_active((uv_handle_t *)&reporter->soon))
		(void)uv_timer_start(&reporter->soon, on_soon, SOON_MS, 0);
}

void reporter_set(struct reporter *reporter, enum kind kind, const char *id, const char *reason)
{
	degraded_set(&reporter->degraded, kind, id, reason);
	send_soon(reporter);
}

void reporter_set_upstream(struct reporter *reporter, const struct upstream *upstream, const char *reason)
{
	const struct snapshot *snapshot = reporter->ports.current(reporter->ports.owner);

	if (snapshot != NULL && snapshot_find_upstream(snapshot, upstream_id(upstream)) == upstream)
		reporter_set(reporter, KIND_UPSTREAM, upstream_id(upstream), reason);
}

/* The world by the clock ------------------------------------------------------------------------------------------- */

struct question {
	const struct snapshot *snapshot;
	uint64_t now;
	const char *id;
	bool is_stale;
};

static void compare(const char *bundle_id, const char *reason, void *context)
{
	struct question *question = context;

	question->is_stale = question->is_stale || strcmp(bundle_id, question->id) == 0;
}

/* Asked for the degraded objects, which are few. */
static bool is_mended_bundle(enum kind kind, const char *id, void *context)
{
	struct question *question = context;
	uint64_t next;

	if (kind != KIND_CA_BUNDLE)
		return false;
	question->id = id;
	question->is_stale = false;
	snapshot_each_stale_bundle(question->snapshot, question->now, compare, question, &next);
	return !question->is_stale;
}

static void add_stale(const char *bundle_id, const char *reason, void *context)
{
	degraded_set(context, KIND_CA_BUNDLE, bundle_id, reason);
}

struct mending {
	struct degraded *degraded;
	bool is_whole;
};

static void note_origin(const char *upstream_tls_id, const char *reason, void *context)
{
	struct mending *mending = context;

	degraded_set(mending->degraded, KIND_UPSTREAM_TLS, upstream_tls_id, reason);
	mending->is_whole = mending->is_whole && reason == NULL;
}

/* Seconds until the next look. */
static uint64_t look_at_origins(struct reporter *reporter, const struct snapshot *snapshot)
{
	struct mending mending = {&reporter->degraded, true};

	snapshot_mend_origins(snapshot, note_origin, &mending);
	return mending.is_whole ? CLOCK_SECONDS : MEND_SECONDS;
}

static void look(struct reporter *reporter);

static void on_clock(uv_timer_t *timer)
{
	look(timer->data);
}

static void look(struct reporter *reporter)
{
	struct question question = {.snapshot = reporter->ports.current(reporter->ports.owner),
	                            .now = reporter->ports.now(reporter->ports.owner)};
	uint64_t wait, next;

	if (question.snapshot == NULL || reporter->closing)
		return;
	degraded_prune(&reporter->degraded, is_mended_bundle, &question);
	snapshot_each_stale_bundle(question.snapshot, question.now, add_stale, &reporter->degraded, &next);
	wait = look_at_origins(reporter, question.snapshot);
	if (next > question.now && next - question.now < wait)
		wait = next - question.now;
	(void)uv_timer_start(&reporter->clock, on_clock, wait * 1000, 0);
	send_soon(reporter);
}

/* Swaps ------------------------------------------------------------------------------------------------------------ */

struct succession {
	const struct snapshot *before, *after;
};

/* What is built in stands for the object that is not held. */
static bool is_built_in(const struct snapshot *snapshot, enum kind kind, const char *id)
{
	return kind == KIND_UPSTREAM_TLS && strcmp(id, SNAPSHOT_BUILTIN_ID) == 0 && snapshot_builtin_origin(snapshot) != NULL;
}

static bool is_past(enum kind kind, const char *id, void *context)
{
	const struct succession *succession = context;

	if (snapshot_find(succession->after, kind, id) == NULL)
		return !is_built_in(succession->after, kind, id);
	if (kind == KIND_SSL) /* an unchanged entry is shared by both */
		return succession->before == NULL ||
		       snapshot_find(succession->before, kind, id) != snapshot_find(succession->after, kind, id);
	return kind == KIND_UPSTREAM && succession->before != NULL &&
	       snapshot_find_upstream(succession->before, id) != snapshot_find_upstream(succession->after, id);
}

void reporter_before_swap(struct reporter *reporter, const struct snapshot *before, const struct snapshot *after)
{
	struct succession succession = {before, after};

	degraded_prune(&reporter->degraded, is_past, &succession);
}

void reporter_after_swap(struct reporter *reporter)
{
	look(reporter);
}

/* Life ------------------------------------------------------------------------------------------------------------- */

void reporter_start(struct reporter *reporter, uv_loop_t *loop, struct hash_key hash_key,
                    const struct reporter_ports *ports)
{
	*reporter = (struct reporter){.ports = *ports, .open = 2};
	degraded_init(&reporter->degraded, hash_key);
	(void)uv_timer_init(loop, &reporter->soon); /* neither can fail */
	(void)uv_timer_init(loop, &reporter->clock);
	reporter->soon.data = reporter->clock.data = reporter;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct reporter *reporter = handle->data;

	if (--reporter->open == 0)
		reporter->on_closed(reporter->closed_owner);
}

void reporter_close(struct reporter *reporter, void (*on_closed)(void *owner), void *owner)
{
	reporter->closing = true;
	reporter->on_closed = on_closed;
	reporter->closed_owner = owner;
	uv_close((uv_handle_t *)&reporter->soon, on_timer_closed);
	uv_close((uv_handle_t *)&reporter->clock, on_timer_closed);
}

void reporter_deinit(struct reporter *reporter)
{
	if (reporter->ports.current != NULL)
		degraded_deinit(&reporter->degraded);
}
