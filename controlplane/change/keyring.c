/* SPDX-License-Identifier: Apache-2.0 */
/* Rotation of the keyring: one small job adds the new key, then the writer thread seals everything anew, between the changes, in
 * transactions of its own that are short and apart, so that no change waits for more than one of them. Nothing is remembered on disk
 * but the keyring itself: a start that finds an old key in it goes on where it must (store/sealing.h).
 *
 *     REST --an old key is there--> WALKING --nothing is left--> CLEARING --log empty, key given up--> LEAVING --not in the file--+
 *      ^                             |   ^      |                                                                                |
 *      |                        stuck: later    +--something is sealed by it after all--> WALKING                                |
 *      +--------------------------------------------------------------------------------- or WALKING, when another is there -----+
 *
 * A failure (full disk, a reader that stays long) is told, logged once, and tried again with back-off; changes go on meanwhile. */
#include "change/engine.h"
#include "change/receipt.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS UINT64_C(1000000)
#define SECONDS (1000 * MS)
#define RESEAL_MAX 64             /* values per transaction: a millisecond or two */
#define PAUSE (4 * MS)            /* between them: the disk is others' for half of the time */
#define TURNS_PER_CHECKPOINT 16   /* how often the log is looked at */
#define LOG_PAGES_MAX 16384       /* 64 MiB that could not leave the log: wait for its readers */
#define WAIT_FOR_LOG SECONDS
#define RETRY_FIRST (100 * MS)
#define RETRY_LAST (10 * SECONDS)
#define STUCK_RETRY (600 * SECONDS) /* a secret that can't be opened: somebody has to put or purge it */

static void rotation_move(struct rotation *rotation, enum rotation_state to, uint64_t due)
{
	static const unsigned allowed[] = {
		[ROTATION_REST] = 1u << ROTATION_WALKING,
		[ROTATION_WALKING] = 1u << ROTATION_CLEARING | 1u << ROTATION_WALKING,
		[ROTATION_CLEARING] = 1u << ROTATION_LEAVING | 1u << ROTATION_WALKING,
		[ROTATION_LEAVING] = 1u << ROTATION_REST | 1u << ROTATION_WALKING,
	};

	assert((allowed[rotation->state] & 1u << to) != 0);
	if (to == ROTATION_WALKING)
		rotation->walk = (struct store_reseal){0};
	rotation->state = to;
	rotation->due = due;
	rotation->failures = 0;
}

bool rotation_is_due(const struct rotation *rotation, uint64_t now)
{
	return rotation->state != ROTATION_REST && now >= rotation->due;
}

void rotation_look(struct rotation *rotation, const struct store_writer *writer)
{
	if (rotation->state == ROTATION_REST && store_has_old_key(writer))
		rotation_move(rotation, ROTATION_WALKING, uv_hrtime());
}

/* trouble: NULL for none. */
static void tell(struct change_engine *engine, const char *trouble)
{
	uv_mutex_lock(&engine->mutex);
	snprintf(engine->rotation.trouble, sizeof(engine->rotation.trouble), "%s", trouble != NULL ? trouble : "");
	uv_mutex_unlock(&engine->mutex);
}

static void fail(struct change_engine *engine, const struct error *error)
{
	struct rotation *rotation = &engine->rotation;
	uint64_t wait = RETRY_FIRST;

	for (unsigned i = 0; i < rotation->failures && wait < RETRY_LAST; i++)
		wait *= 2;
	if (rotation->failures++ == 0 || wait >= RETRY_LAST)
		log_event(error->code == E_BUSY ? LOG_INFO : LOG_ERROR, "the rotation of the keyring has to wait", LOG_ERR(error));
	rotation->due = uv_hrtime() + (wait < RETRY_LAST ? wait : RETRY_LAST);
	tell(engine, error->text);
}

/* Walking ----------------------------------------------------------------------------------------------------------- */

static int reseal_some(struct change_engine *engine, bool *ret_done, struct error *err)
{
	struct store_reseal walk = engine->rotation.walk; /* taken when it stands */
	int code = store_write_begin(engine->writer, err);

	if (code != 0)
		return code;
	code = store_reseal(engine->writer, &walk, RESEAL_MAX, ret_done, err);
	if (code != 0)
		store_write_rollback(engine->writer);
	else
		code = store_write_commit(engine->writer, err);
	if (code == 0)
		engine->rotation.walk = walk;
	return code;
}

/* When to go on: a reader that stays keeps the log from being emptied, and all that is sealed anew would pile up in it. */
static uint64_t next_turn(struct change_engine *engine)
{
	struct rotation *rotation = &engine->rotation;
	uint64_t left = 0;

	if (++rotation->turns % TURNS_PER_CHECKPOINT == 0 && store_clear_log(engine->writer, false, &left, NULL) == 0 &&
	    left > LOG_PAGES_MAX) {
		rotation->turns--; /* looks again */
		return uv_hrtime() + WAIT_FOR_LOG;
	}
	return uv_hrtime() + PAUSE;
}

static int walk(struct change_engine *engine, struct error *err)
{
	struct rotation *rotation = &engine->rotation;
	bool done = false;
	int code = reseal_some(engine, &done, err);

	if (code != 0)
		return code;
	rotation->failures = 0;
	if (!done) {
		rotation->due = next_turn(engine);
		if (rotation->walk.stuck == 0)
			tell(engine, NULL);
	} else if (rotation->walk.stuck > 0) {
		tell(engine, rotation->walk.why);
		rotation_move(rotation, ROTATION_WALKING, uv_hrtime() + STUCK_RETRY);
	} else {
		rotation_move(rotation, ROTATION_CLEARING, uv_hrtime());
	}
	return 0;
}

/* Leaving ----------------------------------------------------------------------------------------------------------- */

static int retire(struct change_engine *engine, struct error *err)
{
	const struct store_author author = {.actor = "tlsplane", .request_id = "", .source = "", .now = (uint64_t)time(NULL)};
	int code = store_write_begin(engine->writer, err);

	if (code != 0)
		return code;
	code = store_key_retire(engine->writer, &author, err);
	if (code != 0)
		store_write_rollback(engine->writer);
	else
		code = store_write_commit(engine->writer, err);
	return code;
}

static int clear(struct change_engine *engine, struct error *err)
{
	uint64_t left = 0;
	int code = store_clear_log(engine->writer, true, &left, err);

	if (code != 0)
		return error_prefix(err, code, "somebody still reads what the old key sealed");
	code = retire(engine, err);
	if (code == E_CONFLICT)
		rotation_move(&engine->rotation, ROTATION_WALKING, uv_hrtime());
	else if (code == 0)
		rotation_move(&engine->rotation, ROTATION_LEAVING, uv_hrtime());
	return code == E_CONFLICT ? 0 : code;
}

static int leave(struct change_engine *engine, struct error *err)
{
	int code = store_key_forget(engine->writer, err);

	if (code != 0)
		return code;
	tell(engine, NULL);
	if (store_has_old_key(engine->writer)) {
		rotation_move(&engine->rotation, ROTATION_WALKING, uv_hrtime());
	} else {
		rotation_move(&engine->rotation, ROTATION_REST, 0);
		log_event(LOG_INFO, "the keyring is rotated: the old key seals nothing any more and has left it");
	}
	return 0;
}

void rotation_turn(struct change_engine *engine)
{
	static int (*const turns[])(struct change_engine *engine, struct error *err) = {
		[ROTATION_WALKING] = walk,
		[ROTATION_CLEARING] = clear,
		[ROTATION_LEAVING] = leave,
	};
	struct error error = ERROR_NULL;

	if (rotation_is_due(&engine->rotation, uv_hrtime()) && turns[engine->rotation.state](engine, &error) != 0)
		fail(engine, &error);
}

void change_keyring_trouble(struct change_engine *engine, char trouble[CHANGE_TROUBLE_MAX])
{
	uv_mutex_lock(&engine->mutex);
	memcpy(trouble, engine->rotation.trouble, CHANGE_TROUBLE_MAX);
	uv_mutex_unlock(&engine->mutex);
}

/* The job that begins it -------------------------------------------------------------------------------------------- */

struct rotate_job {
	struct job job;
	char actor[ID_MAX + 1], request_id[72], source[72];
	struct change_receipt *receipt; /* owned, or NULL */
	struct change_rotated result;
	void (*done)(const struct change_rotated *result, void *context);
	void *context;
};

static int rotate_run(struct job *base, struct store_writer *writer, struct error *err)
{
	struct rotate_job *job = container_of(base, struct rotate_job, job);
	const struct store_author author = {job->actor, job->request_id, job->source, (uint64_t)time(NULL)};
	struct receipt_facts facts = {.now = author.now, .changed = true};
	int code = store_key_make(writer, &job->result.error);

	if (code != 0) {
		job->result.code = code;
		return store_audit(writer, &author, "rotate keyring", error_name(code), err);
	}
	code = store_key_add(writer, &author, &job->result.id, err);
	return code == 0 && job->receipt != NULL ? receipt_write(writer, job->receipt, &facts, err) : code;
}

static void rotate_fail(struct job *base, const struct error *error)
{
	struct change_rotated *result = &container_of(base, struct rotate_job, job)->result;

	if (result->code == 0) {
		result->code = error->code;
		result->error = *error;
	}
}

static void rotate_finish(struct job *base)
{
	struct rotate_job *job = container_of(base, struct rotate_job, job);

	job->done(&job->result, job->context);
	free(job->receipt);
	free(job);
}

static const struct job_ops rotate_ops = {.run = rotate_run, .fail = rotate_fail, .finish = rotate_finish};

int change_rotate_keyring(struct change_engine *engine, const struct change_caller *caller, const struct change_receipt *receipt,
                          void (*done)(const struct change_rotated *result, void *context), void *context, struct error *err)
{
	struct rotate_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return error_nomem(err);
	job->job.ops = &rotate_ops;
	job->done = done;
	job->context = context;
	if (receipt != NULL) {
		job->receipt = change_receipt_new(receipt->token, receipt->key, receipt->request);
		if (job->receipt == NULL) {
			free(job);
			return error_nomem(err);
		}
	}
	snprintf(job->actor, sizeof(job->actor), "%s", caller->actor);
	snprintf(job->request_id, sizeof(job->request_id), "%s", caller->request_id);
	snprintf(job->source, sizeof(job->source), "%s", caller->source);
	engine_submit(engine, &job->job);
	return 0;
}
