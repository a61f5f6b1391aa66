/* SPDX-License-Identifier: Apache-2.0 */
/* What the store is kept in order by, on the writer thread between the changes: states of an earlier release get
 * their facets, and history is cut to what is to be kept. Short transactions with pauses, so that no change waits
 * for more than one of them; all of it goes on where a kill left it.
 *
 *     FILLING --all have theirs--> REST --there is more history than wanted--> ASKING --the loop answers--> SWEEPING --done--> REST
 *
 * The loop is asked because agents may be receiving an update that is read from history: it answers how far nobody
 * needs it, and from then on begins no update from before that. A failure (full disk) is logged once and tried again
 * in a while. */
#include "change/engine.h"

#include "base/log.h"
#include "store/store_history.h"

#include <inttypes.h>
#include <time.h>

#define MS UINT64_C(1000000)
#define SECONDS (1000 * MS)
#define FILL_MAX 16    /* states per transaction: their certificates are parsed */
#define SWEEP_MAX 200  /* rows per transaction: a few milliseconds */
#define PAUSE (5 * MS) /* between them */
#define REST_PERIOD (20 * SECONDS)
#define DAY UINT64_C(86400)

static void upkeep_move(struct upkeep *upkeep, enum upkeep_state to, uint64_t wait)
{
	static const unsigned allowed[] = {
		[UPKEEP_FILLING] = 1u << UPKEEP_FILLING | 1u << UPKEEP_REST,
		[UPKEEP_REST] = 1u << UPKEEP_REST | 1u << UPKEEP_ASKING,
		[UPKEEP_ASKING] = 1u << UPKEEP_ASKING | 1u << UPKEEP_SWEEPING | 1u << UPKEEP_REST,
		[UPKEEP_SWEEPING] = 1u << UPKEEP_SWEEPING | 1u << UPKEEP_REST,
	};

	assert((allowed[upkeep->state] & 1u << to) != 0);
	upkeep->state = to;
	upkeep->due = uv_hrtime() + wait;
}

static int in_transaction(struct change_engine *engine, int (*work)(struct change_engine *engine, bool *ret_done, struct error *err),
                          bool *ret_done, struct error *err)
{
	int code = store_write_begin(engine->writer, err);

	if (code != 0)
		return code;
	code = work(engine, ret_done, err);
	if (code == 0)
		return store_write_commit(engine->writer, err);
	store_write_rollback(engine->writer);
	return code;
}

static int fill_some(struct change_engine *engine, bool *ret_done, struct error *err)
{
	return store_fill_facets(engine->writer, FILL_MAX, ret_done, err);
}

static int fill(struct change_engine *engine, struct error *err)
{
	bool done = false;
	int code = in_transaction(engine, fill_some, &done, err);

	if (code == 0)
		upkeep_move(&engine->upkeep, done ? UPKEEP_REST : UPKEEP_FILLING, done ? 0 : PAUSE);
	return code;
}

static int rest(struct change_engine *engine, struct error *err)
{
	const struct change_config *config = &engine->config;
	uint64_t now = (uint64_t)time(NULL), age = config->history_days * DAY, wanted = 0;
	int code = store_find_floor(store_writer_reader(engine->writer), config->history_revisions, age != 0 && age < now ? now - age : 0,
	                            &wanted, err);

	if (code != 0)
		return code;
	if (wanted == 0) {
		upkeep_move(&engine->upkeep, UPKEEP_REST, REST_PERIOD);
		return 0;
	}
	uv_mutex_lock(&engine->mutex);
	engine->upkeep.wanted = wanted;
	engine->upkeep.answered = false;
	uv_mutex_unlock(&engine->mutex);
	uv_async_send(&engine->async);
	upkeep_move(&engine->upkeep, UPKEEP_ASKING, PAUSE);
	return 0;
}

static int ask(struct change_engine *engine, struct error *err)
{
	struct upkeep *upkeep = &engine->upkeep;
	bool answered;

	uv_mutex_lock(&engine->mutex);
	answered = upkeep->answered;
	uv_mutex_unlock(&engine->mutex);
	if (!answered)
		upkeep_move(upkeep, UPKEEP_ASKING, PAUSE);
	else if (upkeep->floor <= upkeep->swept)
		upkeep_move(upkeep, UPKEEP_REST, REST_PERIOD);
	else
		upkeep_move(upkeep, UPKEEP_SWEEPING, 0);
	return 0;
}

static int sweep_some(struct change_engine *engine, bool *ret_done, struct error *err)
{
	return store_prune(engine->writer, engine->upkeep.floor, SWEEP_MAX, ret_done, err);
}

static int sweep(struct change_engine *engine, struct error *err)
{
	bool done = false;
	int code = in_transaction(engine, sweep_some, &done, err);

	if (code != 0)
		return code;
	if (done) {
		engine->upkeep.swept = engine->upkeep.floor;
		log_event(LOG_DEBUG, "history cut", LOG_U64("kept_from", engine->upkeep.floor));
	}
	upkeep_move(&engine->upkeep, done ? UPKEEP_REST : UPKEEP_SWEEPING, PAUSE);
	return 0;
}

void upkeep_turn(struct change_engine *engine)
{
	static int (*const turns[])(struct change_engine *engine, struct error *err) = {
		[UPKEEP_FILLING] = fill,
		[UPKEEP_REST] = rest,
		[UPKEEP_ASKING] = ask,
		[UPKEEP_SWEEPING] = sweep,
	};
	struct upkeep *upkeep = &engine->upkeep;
	struct error error = ERROR_NULL;

	if (uv_hrtime() < upkeep->due)
		return;
	if (turns[upkeep->state](engine, &error) == 0) {
		upkeep->failing = false;
		return;
	}
	if (!upkeep->failing)
		log_event(LOG_ERROR, "keeping the store in order has to wait", LOG_ERR(&error));
	upkeep->failing = true;
	upkeep->due = uv_hrtime() + REST_PERIOD;
}

/* The loop: with the mutex free. */
void upkeep_answer(struct change_engine *engine)
{
	const struct change_config *config = &engine->config;
	struct upkeep *upkeep = &engine->upkeep;
	uint64_t wanted, floor;

	uv_mutex_lock(&engine->mutex);
	wanted = upkeep->wanted;
	upkeep->wanted = 0;
	uv_mutex_unlock(&engine->mutex);
	if (wanted == 0)
		return;
	floor = config->on_prune != NULL ? config->on_prune(wanted, config->owner) : wanted;
	uv_mutex_lock(&engine->mutex);
	upkeep->floor = floor;
	upkeep->answered = true;
	uv_mutex_unlock(&engine->mutex);
}
