/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/apply.h"

#include "base/log.h"
#include "base/memory.h"
#include "sync/announce.h"
#include "sync/failpoint.h"
#include "sync/receive.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MARK_RETRY_MIN_MS 500
#define MARK_RETRY_MAX_MS 30000
#define EXPIRE_RETRY_MS 60000

enum apply_state { APPLY_IDLE, APPLY_RECEIVING, APPLY_RESYNCING, APPLY_DISCARDING, APPLY_MARKING };

/* Which states may follow which. */
static const uint8_t edges[] = {
    [APPLY_IDLE] = 1 << APPLY_RECEIVING | 1 << APPLY_DISCARDING,
    [APPLY_RECEIVING] = 1 << APPLY_IDLE | 1 << APPLY_RESYNCING | 1 << APPLY_DISCARDING | 1 << APPLY_MARKING,
    [APPLY_RESYNCING] = 1 << APPLY_IDLE | 1 << APPLY_RECEIVING | 1 << APPLY_DISCARDING,
    [APPLY_DISCARDING] = 1 << APPLY_IDLE | 1 << APPLY_RECEIVING | 1 << APPLY_DISCARDING,
    [APPLY_MARKING] = 1 << APPLY_IDLE,
};

struct apply {
	struct apply_config config;
	struct sender sender;
	enum apply_state state;
	struct receive receive;  /* RECEIVING, RESYNCING */
	struct revision marking; /* MARKING: what is to be acknowledged */
	bool owes_ack;           /* MARKING began on this connection */
	uint64_t mark_delay_ms;
	uint64_t failures; /* of memory, when the message came */
	uv_timer_t mark_timer, expire_timer;
	struct apply_counters counters;
	unsigned open_handles;
	void (*on_closed)(void *owner);
	void *closed_owner;
};

static void set_state(struct apply *apply, enum apply_state to)
{
	assert((edges[apply->state] >> to & 1) != 0);
	apply->state = to;
}

static void on_send_failure(struct apply *apply, int r, const struct error *err)
{
	if (r < 0 && r != E_CLOSED)
		apply->config.ports.reconnect(err, apply->config.ports.owner);
}

static void break_off(struct apply *apply, const struct error *why)
{
	apply->config.ports.reconnect(why, apply->config.ports.owner);
}

/* Refuses the update that is being received. What is served is untouched. */
static void refuse_update(struct apply *apply, struct revision revision, const struct snapshot_refusal *refusal)
{
	const struct kind_info *kind = kind_find(refusal->kind);
	struct snapshot_refusal told = *refusal;
	struct error err = ERROR_NULL;

	if (memory_judge(apply->failures, 0, NULL) < 0) /* whatever it looked like */
		told.code = TLSPLANE__NACK_CODE__NACK_MEMORY;
	receive_reset(&apply->receive);
	apply->counters.refused++;
	log_event(LOG_WARNING, "update refused", LOG_U64("epoch", revision.epoch), LOG_U64("revision", revision.number),
	          LOG_STR("kind", kind != NULL ? kind->noun : NULL), LOG_STR("id", refusal->id),
	          LOG_STR("field", refusal->field), LOG_STR("reason", refusal->reason));
	if (apply->state != APPLY_MARKING)
		set_state(apply, APPLY_DISCARDING);
	on_send_failure(apply, announce_nack(&apply->sender, revision, &told, &err), &err);
}

static void refuse_plainly(struct apply *apply, struct revision revision, Tlsplane__NackCode code,
                           const struct error *why)
{
	struct snapshot_refusal refusal = {.code = why->code == E_NOMEM ? TLSPLANE__NACK_CODE__NACK_MEMORY : code};

	snprintf(refusal.reason, sizeof(refusal.reason), "%.*s", (int)sizeof(refusal.reason) - 1, why->text);
	refuse_update(apply, revision, &refusal);
}

static void on_expire(uv_timer_t *timer)
{
	struct apply *apply = timer->data;
	struct error err = ERROR_NULL;

	if (cache_expire_before(apply->config.cache, &err) == 0)
		return;
	log_event(LOG_WARNING, "the snapshot before can't be erased yet", LOG_ERR(&err));
	uv_timer_start(timer, on_expire, EXPIRE_RETRY_MS, 0);
}

static void on_marked(struct apply *apply)
{
	struct error err = ERROR_NULL;

	failpoint_reach("marked");
	apply->counters.not_durable = false;
	apply->counters.applied++;
	apply->counters.last_applied = (uint64_t)time(NULL);
	if (revision_compare(apply->config.high_water, apply->marking) < 0)
		apply->config.high_water = apply->marking;
	if (revision_compare(apply->config.crashed, apply->marking) <= 0)
		apply->config.crashed = (struct revision){0, 0}; /* overcome, as the cache has it */
	set_state(apply, APPLY_IDLE);
	uv_timer_start(&apply->expire_timer, on_expire, APPLY_BEFORE_MS, 0);
	log_event(LOG_INFO, "applied", LOG_U64("epoch", apply->marking.epoch), LOG_U64("revision", apply->marking.number));
	if (apply->owes_ack && apply->config.ports.before_ack != NULL)
		apply->config.ports.before_ack(apply->config.ports.owner);
	if (apply->owes_ack)
		on_send_failure(apply, announce_ack(&apply->sender, apply->marking, &err), &err);
	apply->owes_ack = false;
}

/* E_REFUSED is not among what this returns: the mark can only be late. */
static int try_mark(struct apply *apply, struct error *err)
{
	int r;

	assert(apply->state == APPLY_MARKING);
	r = cache_mark(apply->config.cache, err);
	if (r == 0) {
		uv_timer_stop(&apply->mark_timer);
		on_marked(apply);
	}
	return r;
}

static void on_mark_retry(uv_timer_t *timer)
{
	struct apply *apply = timer->data;
	struct error err = ERROR_NULL;

	if (try_mark(apply, &err) == 0)
		return;
	apply->mark_delay_ms = apply->mark_delay_ms * 2 < MARK_RETRY_MAX_MS ? apply->mark_delay_ms * 2 : MARK_RETRY_MAX_MS;
	uv_timer_start(timer, on_mark_retry, apply->mark_delay_ms, 0);
}

static void begin_mark(struct apply *apply, struct revision revision)
{
	struct error err = ERROR_NULL;

	set_state(apply, APPLY_MARKING);
	apply->marking = revision;
	apply->owes_ack = true;
	if (try_mark(apply, &err) == 0)
		return;
	log_event(LOG_WARNING, "served, but not durable yet", LOG_U64("revision", revision.number), LOG_ERR(&err));
	apply->counters.not_durable = true;
	apply->mark_delay_ms = MARK_RETRY_MIN_MS;
	uv_timer_start(&apply->mark_timer, on_mark_retry, apply->mark_delay_ms, 0);
}

/* SSL objects that are no longer held leave the parsed cache too. */
static struct digest *collect_gone(const struct snapshot_builder *builder, size_t *ret_count)
{
	size_t all = snapshot_builder_gone_count(builder), count = 0;
	struct digest *gone = calloc(all + 1, sizeof(*gone));

	for (size_t i = 0; gone != NULL && i < all; i++) {
		const struct entry *entry = snapshot_builder_gone(builder, i);

		if (entry->kind == KIND_SSL)
			gone[count++] = entry->digest;
	}
	*ret_count = count;
	return gone;
}

static void drop_sites(struct apply *apply, const struct digest *gone, size_t count)
{
	for (size_t i = 0; apply->config.sites != NULL && i < count; i++)
		site_cache_drop(apply->config.sites, &gone[i]);
}

/* Prepare, persist, swap, mark. */
static void commit(struct apply *apply)
{
	struct snapshot_builder *builder = apply->receive.builder;
	struct revision revision = apply->receive.revision;
	struct snapshot_refusal refusal = {0};
	struct error err = ERROR_NULL;
	struct digest *gone;
	size_t gone_count;
	int r;

	r = snapshot_builder_prepare(builder, apply->config.sites, APPLY_WARM_MAX, &refusal, &err);
	if (r == E_REFUSED) {
		refuse_update(apply, revision, &refusal);
		return;
	}
	gone = r == 0 ? collect_gone(builder, &gone_count) : NULL;
	if (gone == NULL) {
		refuse_plainly(apply, revision, TLSPLANE__NACK_CODE__NACK_MEMORY,
		               r < 0 ? &err : &(struct error){.text = "out of memory"});
		return;
	}
	failpoint_reach("prepared");
	r = cache_write_candidate(apply->config.cache, builder, revision, &apply->receive.chain, &err);
	if (r < 0) {
		free(gone);
		refuse_plainly(apply, revision, TLSPLANE__NACK_CODE__NACK_PERSIST, &err);
		return;
	}
	failpoint_reach("persisted");
	apply->config.ports.publish(snapshot_builder_finish(receive_take(&apply->receive)), apply->config.ports.owner);
	failpoint_reach("swapped");
	drop_sites(apply, gone, gone_count);
	free(gone);
	begin_mark(apply, revision);
}

/* Why the revision may not even be tried. */
static bool is_admissible(struct apply *apply, const Tlsplane__UpdateBegin *begin, struct revision revision)
{
	struct error why = ERROR_NULL;

	if (apply->state == APPLY_MARKING && try_mark(apply, &why) < 0) {
		error_prefix(&why, why.code, "the revision before is not durable yet");
		refuse_plainly(apply, revision, TLSPLANE__NACK_CODE__NACK_PERSIST, &why);
		return false;
	}
	if (revision_compare(revision, apply->config.high_water) < 0) {
		error_set(&why, E_REFUSED, "below the high-water mark, revision %llu of epoch %llu",
		          (unsigned long long)apply->config.high_water.number,
		          (unsigned long long)apply->config.high_water.epoch);
		refuse_plainly(apply, revision, TLSPLANE__NACK_CODE__NACK_OLD, &why);
		return false;
	}
	if (begin->objects > APPLY_OBJECTS_MAX) {
		error_set(&why, E_REFUSED, "%llu objects in one update; at most %d", (unsigned long long)begin->objects,
		          APPLY_OBJECTS_MAX);
		refuse_plainly(apply, revision, TLSPLANE__NACK_CODE__NACK_LIMIT, &why);
		return false;
	}
	if (cache_check_attempt(apply->config.cache, revision, &why) < 0) {
		refuse_plainly(apply, revision,
		               why.code == E_REFUSED ? TLSPLANE__NACK_CODE__NACK_CRASHED : TLSPLANE__NACK_CODE__NACK_PERSIST,
		               &why);
		return false;
	}
	return true;
}

static void on_begin(struct apply *apply, const Tlsplane__UpdateBegin *begin)
{
	struct revision revision = {begin->epoch, begin->revision};
	struct snapshot_refusal refusal = {0};
	struct error why = ERROR_NULL;
	int r;

	if (apply->state == APPLY_RECEIVING) {
		error_set(&why, E_PROTOCOL, "an update began within another");
		break_off(apply, &why);
		return;
	}
	if (begin->chain.len != DIGEST_LEN) {
		error_set(&why, E_PROTOCOL, "a chain hash of %zu bytes", begin->chain.len);
		break_off(apply, &why);
		return;
	}
	if (!is_admissible(apply, begin, revision))
		return;
	set_state(apply, APPLY_RECEIVING);
	r = receive_begin(&apply->receive, &apply->config.snapshot, apply->config.ports.current(apply->config.ports.owner),
	                  begin, &refusal, &why);
	if (r < 0)
		refuse_update(apply, revision, &refusal);
}

static void on_objects(struct apply *apply, const Tlsplane__UpdateObjects *objects)
{
	struct snapshot_refusal refusal = {0};
	struct error why = ERROR_NULL;

	if (apply->state == APPLY_DISCARDING || apply->state == APPLY_MARKING)
		return;
	if (apply->state != APPLY_RECEIVING) {
		error_set(&why, E_PROTOCOL, "objects outside an update");
		break_off(apply, &why);
	} else if (receive_objects(&apply->receive, objects, &refusal, &why) < 0) {
		refuse_update(apply, apply->receive.revision, &refusal);
	}
}

/* Once the selectors that came out wrong are asked for again; what came right stays in the builder. */
static void ask_again(struct apply *apply, const struct mismatch *mismatch)
{
	struct error err = ERROR_NULL;

	if (apply->receive.resynced) {
		error_set(&err, E_PROTOCOL, "digests are wrong again after a resync, selector \"%s\"", mismatch->selectors[0]);
		receive_reset(&apply->receive);
		set_state(apply, APPLY_DISCARDING);
		break_off(apply, &err);
		return;
	}
	log_event(LOG_WARNING, "digests came out wrong, asking for these selectors again",
	          LOG_U64("selectors", mismatch->count), LOG_STR("first", mismatch->selectors[0]));
	apply->counters.resyncs++;
	apply->receive.resynced = true;
	set_state(apply, APPLY_RESYNCING);
	on_send_failure(apply, announce_resync(&apply->sender, mismatch->selectors, mismatch->count, &err), &err);
}

static void on_end(struct apply *apply, const Tlsplane__UpdateEnd *end)
{
	CLEANUP(mismatch_deinit) struct mismatch mismatch = {0};
	struct error why = ERROR_NULL;

	if (apply->state == APPLY_DISCARDING || apply->state == APPLY_MARKING)
		return;
	if (apply->state != APPLY_RECEIVING) {
		error_set(&why, E_PROTOCOL, "the end of an update that never began");
		break_off(apply, &why);
		return;
	}
	if (receive_compare(&apply->receive, end, &mismatch, &why) < 0)
		refuse_plainly(apply, apply->receive.revision, TLSPLANE__NACK_CODE__NACK_MEMORY, &why);
	else if (mismatch.count > 0)
		ask_again(apply, &mismatch);
	else
		commit(apply);
}

void apply_on_message(struct apply *apply, Tlsplane__MessageType type, const ProtobufCMessage *message)
{
	apply->failures = memory_failures();
	switch (type) {
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN:
		on_begin(apply, (const Tlsplane__UpdateBegin *)message);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_OBJECTS:
		on_objects(apply, (const Tlsplane__UpdateObjects *)message);
		break;
	case TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END:
		on_end(apply, (const Tlsplane__UpdateEnd *)message);
		break;
	default: /* its heartbeat: that it came is all that counts here */
		break;
	}
}

void apply_on_greet(struct apply *apply)
{
	const struct snapshot *current = apply->config.ports.current(apply->config.ports.owner);
	struct error err = ERROR_NULL;

	on_send_failure(
	    apply,
	    announce_hello(&apply->sender, current, apply->config.high_water, apply->config.crashed,
	                   apply->counters.not_durable, &err),
	    &err);
}

void apply_on_beat(struct apply *apply)
{
	const struct snapshot *current = apply->config.ports.current(apply->config.ports.owner);
	struct error err = ERROR_NULL;

	on_send_failure(apply, announce_heartbeat(&apply->sender, current, apply->counters.not_durable, &err), &err);
}

void apply_on_disconnected(struct apply *apply)
{
	apply->owes_ack = false;
	receive_reset(&apply->receive);
	apply->receive.resynced = false;
	if (apply->state != APPLY_MARKING && apply->state != APPLY_IDLE)
		set_state(apply, APPLY_IDLE);
}

void apply_read_counters(const struct apply *apply, struct apply_counters *ret)
{
	*ret = apply->counters;
}

int apply_start(const struct apply_config *config, struct apply **ret, struct error *err)
{
	struct apply *apply = calloc(1, sizeof(*apply));

	if (apply == NULL)
		return error_nomem(err);
	apply->config = *config;
	apply->sender = (struct sender){config->ports.send, config->ports.owner};
	uv_timer_init(config->snapshot.loop, &apply->mark_timer); /* neither can fail */
	uv_timer_init(config->snapshot.loop, &apply->expire_timer);
	apply->mark_timer.data = apply->expire_timer.data = apply;
	apply->open_handles = 2;
	/* The one before that was found at start goes as well. */
	uv_timer_start(&apply->expire_timer, on_expire, APPLY_BEFORE_MS, 0);
	*ret = apply;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct apply *apply = handle->data;

	if (--apply->open_handles > 0)
		return;
	receive_reset(&apply->receive);
	apply->on_closed(apply->closed_owner);
	free(apply);
}

void apply_close(struct apply *apply, void (*on_closed)(void *owner), void *owner)
{
	apply->on_closed = on_closed;
	apply->closed_owner = owner;
	uv_close((uv_handle_t *)&apply->mark_timer, on_timer_closed);
	uv_close((uv_handle_t *)&apply->expire_timer, on_timer_closed);
}
