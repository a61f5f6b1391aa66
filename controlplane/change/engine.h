/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs and the engine that carries them between its threads. Internal to the change layer.
 *
 *     PREPARING (uv pool) --> QUEUED --> RUNNING (writer thread) --> COMMITTED --> RENDERING (uv pool) --> DONE (loop)
 *         +------- refused by itself ------------------------------------------------------------------------^
 * One that erased keys is ERASING on its way to DONE, until they are out of the store's files.
 *
 * A job is owned by the thread it is on; the engine's mutex guards the lists between them. */
#pragma once

#include "base/durations.h"
#include "change/change.h"
#include "store/store_write.h"

#include <assert.h>

struct job;

/* What a job does in each place. prepare and render may be NULL. */
struct job_ops {
	void (*prepare)(struct job *job); /* pool; sets job->refused when the writer has nothing to do */
	/* Writer thread, inside the transaction. A job that is refused keeps that to itself; other than 0: undo the whole
	 * transaction. */
	int (*run)(struct job *job, struct store_writer *writer, struct error *err);
	void (*fail)(struct job *job, const struct error *error); /* the transaction is lost, whatever run said */
	void (*render)(struct job *job);                          /* pool, after the commit */
	void (*finish)(struct job *job);                          /* loop: tells the caller, frees the job */
};

enum job_state { JOB_NEW, JOB_PREPARING, JOB_QUEUED, JOB_RUNNING, JOB_COMMITTED, JOB_RENDERING, JOB_ERASING, JOB_DONE };

/* Jobs that shared a transaction; kept in the first of them, so that a commit needs no memory to be told. */
struct batch {
	struct batch *next;
	struct job *jobs;           /* list, in order of their revisions */
	struct store_revision head; /* of the newest revision that the batch made */
	const char **touched;       /* owned array of the jobs' strings */
	size_t touched_len;
	bool has_revision;
	bool agents_changed;
	uv_work_t work;
};

struct job {
	const struct job_ops *ops;
	struct change_engine *engine;
	enum job_state state;
	struct job *next;
	uv_work_t work;
	struct batch batch; /* used when first of one */
	bool refused;       /* by prepare */
	bool alone;         /* in its transaction: what it undoes holds up nobody's commit */

	/* What run did. */
	bool changed; /* a revision was made */
	bool agents_changed;
	bool erases;    /* keys in history */
	int erase_code; /* why they are not out of the store's files; 0: they are */
	struct store_revision revision;
	char **selectors; /* owned, as are the strings; touched, or of a no-op what its caller may wait for */
	size_t selectors_len;
};

struct job_list {
	struct job *first, **end;
};

struct status_entry; /* status.c */

/* What the channel learned about agents, waiting to be written. Guarded by the engine's mutex. */
struct status_queue {
	struct status_entry *entries; /* one per agent */
	size_t count;
	struct trie *index;
	uint64_t due; /* uv_hrtime when the oldest must be written */
};

/* keyring.c: the states are drawn there. All but trouble is the writer thread's. */
enum rotation_state { ROTATION_REST, ROTATION_WALKING, ROTATION_CLEARING, ROTATION_LEAVING };

struct rotation {
	enum rotation_state state;
	uint64_t due; /* uv_hrtime of the next turn */
	struct store_reseal walk;
	unsigned turns, failures;
	char trouble[CHANGE_TROUBLE_MAX]; /* why it does not get on, for people; guarded by the engine's mutex */
};

/* upkeep.c: the states are drawn there. The writer thread's, but for what the mutex guards. */
enum upkeep_state { UPKEEP_FILLING, UPKEEP_REST, UPKEEP_ASKING, UPKEEP_SWEEPING };

struct upkeep {
	enum upkeep_state state;
	uint64_t due; /* uv_hrtime of the next turn */
	bool failing;
	uint64_t swept;  /* the floor that was last cut to */
	uint64_t wanted; /* guarded: the floor that the loop is asked for; 0: it is not asked */
	uint64_t floor;  /* guarded until answered: the one it allows */
	bool answered;   /* guarded */
};

/* erase.c. All of it is guarded by the engine's mutex. */
struct erasure {
	struct job_list waiting, answered;
	uint64_t begun, due; /* uv_hrtime: since when somebody waits, and of the next try */
	bool hurried;        /* nobody waits for long any more */
};

/* agents.c, the writer thread's: refused enrolments by who has shown no token of ours. Anybody can make them, so not each has a row. */
struct strangers {
	uint64_t since; /* uv_hrtime: when the window began */
	unsigned rows;  /* of the audit trail, in this window */
	uint64_t left_out;
};

struct change_engine {
	struct change_config config;
	struct store_writer *writer; /* the writer thread's */
	X509 *ca;
	EVP_PKEY *ca_key;
	char ca_sha256[65]; /* of the certificate's DER, hex, for join tokens */
	uv_thread_t thread;
	uv_async_t async;
	size_t pending; /* loop only: jobs submitted and not done */
	bool closing;   /* loop only */
	void (*on_closed)(void *owner);

	uv_mutex_t mutex;
	uv_cond_t cond; /* something to do for the writer */
	struct job_list queue;
	struct batch *committed, **committed_end;
	struct status_queue statuses;
	struct rotation rotation;
	struct upkeep upkeep;
	struct erasure erasure;
	struct strangers strangers;
	struct durations turns; /* of the writer thread, each from waking up to waiting again */
	bool dry_run; /* one of more than CHANGE_DRY_ITEMS_MAX items is under way */
	bool stop;    /* the writer ends when the queue is empty */
	bool stopped; /* it has */
};

/* Hands a job over; ops->finish is called once, later, on the loop. */
void engine_submit(struct change_engine *engine, struct job *job);
/* Moves along the states drawn above. */
void job_move(struct job *job, enum job_state to);
/* Copies the selectors of the revision just ended, and what else a commit tells. E_NOMEM. */
int job_take_revision(struct job *job, struct store_writer *writer, const struct store_revision *revision,
                      struct error *err) MUST_USE;
void job_deinit(struct job *job);

/* commit.c: the writer thread. */
void commit_thread(void *engine);

/* keyring.c, on the writer thread: begins when an old key has come to be there; does what is due. */
void rotation_look(struct rotation *rotation, const struct store_writer *writer);
bool rotation_is_due(const struct rotation *rotation, uint64_t now);
void rotation_turn(struct change_engine *engine);

/* upkeep.c: on the writer thread, does what is due; on the loop, answers how far history may be cut. */
void upkeep_turn(struct change_engine *engine);
void upkeep_answer(struct change_engine *engine);

/* erase.c: the loop hands a job over and takes those back that are answered; the writer thread does what is due. */
void erasure_init(struct erasure *erasure);
void erasure_wait(struct job *job);
struct job *erasure_take_answered(struct change_engine *engine);
void erasure_turn(struct change_engine *engine);
void erasure_hurry(struct change_engine *engine); /* it is closing */

/* status.c */
int status_queue_init(struct status_queue *queue, struct error *err) MUST_USE;
void status_queue_deinit(struct status_queue *queue);
/* With the mutex held: merges one report; takes at most max entries off. */
int status_queue_put(struct status_queue *queue, const struct store_agent_status *status, uint64_t now) MUST_USE;
struct status_entry *status_queue_take(struct status_queue *queue, size_t max);
/* Writer thread: writes and frees a taken list; writer NULL: frees it. */
void status_write(struct status_entry *entries, struct store_writer *writer);
bool status_queue_is_due(const struct status_queue *queue, uint64_t now);
