/* SPDX-License-Identifier: Apache-2.0 */
/* The only path by which configuration changes: rules that need other objects, one revision or nothing, group commit, on a thread of
 * its own so that neither validation nor fsync ever holds the loop.
 *
 *   loop --submit--> uv pool: parse and check each object by itself --> writer thread: transaction, cross-object rules, commit
 *        <--------------------------------- done (on the loop) ---------------------------------------------------------
 *
 * Requests that wait together share one commit; each has its own revision. A change that fails is rolled back to its savepoint. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "change/states.h"
#include "model/findings.h"
#include "model/resource.h"
#include "store/store.h"
#include "store/store_tickets.h"

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct change_engine;
struct durations;

/* After a commit, on the loop: head is the newest revision; touched lists the selectors whose content changed, each once;
 * agents_changed: enrolment, revocation, labels or keys of an agent. */
struct change_commit {
	struct store_revision head;
	const char *const *touched;
	size_t touched_len;
	bool agents_changed;
};

struct change_config {
	uv_loop_t *loop;
	struct store *store;
	struct resource_limits limits; /* now is taken per change */
	void (*on_commit)(const struct change_commit *commit, void *owner); /* before any done callback of that commit */
	uint64_t history_revisions; /* how many revisions history reaches back; 0: all */
	uint64_t history_days;      /* and how many days; 0: any number */
	/* History is to be cut below `floor` (store_history.h): as far as that is well, the answer; nothing from before it may be read from
	 * then on. NULL: it is. */
	uint64_t (*on_prune)(uint64_t floor, void *owner);
	void *owner;
};

int change_engine_start(const struct change_config *config, struct change_engine **ret, struct error *err) MUST_USE;
/* The end is near: who waits for a purge to be out of the files is answered soon, done or not. */
void change_engine_hurry(struct change_engine *engine);
/* Finishes what was submitted; then on_closed, then the memory goes. */
void change_engine_close(struct change_engine *engine, void (*on_closed)(void *owner));
size_t change_engine_pending(const struct change_engine *engine);
/* How long the writer thread was busy each time, and who comes next had to wait. */
const struct durations *change_engine_turns(const struct change_engine *engine);

enum change_op { CHANGE_PUT, CHANGE_CREATE, CHANGE_PATCH, CHANGE_DELETE };

struct change_item {
	enum change_op op; /* CREATE: POST with a server-made id */
	enum kind kind;
	char id[ID_MAX + 1];
	json_t *document; /* PUT, CREATE: the object, dropped when it has been read; PATCH: the merge patch; owned reference */
	char *if_match;   /* owned; ETag list that this object must match, or NULL */
	bool create_only; /* it must not exist */
	char pointer[32]; /* where the item stands in the request ("" or "/put/3/value"); findings are put behind it */
};

#define CHANGE_ITEMS_MAX 1000000
#define CHANGE_DRY_ITEMS_MAX 1000 /* dry runs of more: one at a time, E_UNAVAILABLE for others */

/* Where the items of a large request come from, one after another: called on the pool, so that neither reading nor checking nor
 * freeing them holds the loop, and so that never more than one document is in memory. */
struct change_feed {
	/* 1: *ret (zeroed before) is an item, its parts handed over; 0: that was all, or err is set to a negative code, which ends
	 * the request. What is no item is told in findings and passed over; refused then says with which code (0: E_INVALID). */
	int (*next)(struct change_feed *feed, struct change_item *ret, struct findings *findings, struct error *err);
	void (*free)(struct change_feed *feed); /* once, on the pool or on the loop */
	int refused;
};

/* Of a request with an Idempotency-Key (store_access.h). */
struct change_receipt {
	uint8_t token[32]; /* SHA-256 of the token's text */
	char key[256];
	uint8_t request[32]; /* SHA-256 of method, path, query, body */
};

/* malloc'd; NULL without memory. */
struct change_receipt *change_receipt_new(const uint8_t token[32], const char *key, const uint8_t request[32]);

struct scope;

struct change_request {
	struct change_item *items; /* owned, malloc'd, as are the documents */
	size_t items_len;
	bool strict;        /* warnings are errors */
	bool dry_run;       /* every check, and then nothing: no revision, no row of the audit trail, no receipt */
	bool purge_keys;    /* of a deletion: keys are erased from history too, also of what is deleted already; answered when they are out of
	                     * the store's files, E_UNAVAILABLE when that takes too long (the change stands) */
	bool create_only;   /* If-None-Match: *; a PATCH or DELETE of what exists is refused by it too (RFC 9110 13.1.2) */
	char *if_match;     /* owned; ETag list text or NULL; for a request of one item */
	char *if_match_head; /* owned; ETag list that the store as a whole ("EPOCH-REVISION" of its head) must match, or NULL */
	/* number 0: none. Else configuration becomes what it was at this revision (epoch 0: of any epoch), or those objects that items name
	 * (kind, id, pointer) do; no other items are possible. E_NOT_FOUND, E_GONE; E_CONFLICT with findings "purged". */
	struct revision rollback;
	struct scope *scope; /* reference; what who asks is confined to (change/scope.h); NULL: nothing */
	bool own_only;       /* objects that others made do not exist */
	struct change_receipt *receipt; /* owned; a receipt is kept of what is accepted; NULL: none */
	struct change_feed *feed; /* owned; brings the items (change_request_new(0)); NULL: they are there */
	char actor[ID_MAX + 1];
	char request_id[72];
	char source[72];
};

struct change_result {
	int code;      /* 0 or E_* */
	struct error error;
	/* Errors and warnings, pointers into the request; what refused it is among them, but for failures of our own. */
	struct findings findings;
	struct store_revision revision; /* of this change; of the head when nothing changed */
	struct revision standing; /* the newest that what was asked for stands in: older than revision when nothing changed */
	bool audited;  /* a row of the audit trail tells of it */
	bool changed;  /* false: a no-op, no revision was made; of a dry run: one would have been made */
	bool created;  /* the (first) item did not exist */
	size_t purged; /* how many states of history lost their keys */
	json_t *answer; /* the (first) put item as rendered; NULL for deletions; of a dry run without what only a revision gives */
	char etag[64];
	const char **selectors; /* touched by this change; when nothing changed, of the objects that are so already */
	size_t selectors_len;
	struct change_states **states; /* of a dry run that was accepted, else of NULL; may be taken (TAKE_PTR) */
	const struct change_item *items; /* of the request, with the ids that were made */
	size_t items_len;
};

/* Takes request over. done is called on the loop once; result is borrowed for the call (take answer with json_incref). */
void change_submit(struct change_engine *engine, struct change_request *request,
                   void (*done)(const struct change_result *result, void *context), void *context);
struct change_request *change_request_new(size_t items); /* zeroed items; NULL without memory */
struct change_request *change_request_free(struct change_request *request);
DEFINE_CLEANUP(struct change_request, change_request_free);

/* Enrolment and the life of agents, through the same transaction. ------------------------------------------------- */

struct change_enrol {
	char token_id[ID_MAX + 1];
	uint8_t token_secret_sha256[32];
	uint8_t spki_sha256[32]; /* of the CSR's key */
	EVP_PKEY *key;           /* reference, taken over */
	char source[72];
};

struct change_enrolled {
	int code;
	struct error error;
	char agent_id[ID_MAX + 1];
	X509 *certificate; /* borrowed for the call */
};

/* Token: unknown, expired, wrong secret or used with another key is E_FORBIDDEN (error says which, for the log only); the same key may
 * retry and gets a certificate for the same id. Exactly one key wins. */
void change_enrol(struct change_engine *engine, const struct change_enrol *enrol,
                  void (*done)(const struct change_enrolled *result, void *context), void *context);
/* A new certificate for a new key (a reference, taken over) of an existing agent; the old key stays good until the new one has
 * connected. */
void change_renew(struct change_engine *engine, const char *agent_id, EVP_PKEY *key, const char *source,
                  void (*done)(const struct change_enrolled *result, void *context), void *context);
/* The newer key connected: the older is dropped. */
void change_confirm_key(struct change_engine *engine, const char *agent_id, const uint8_t spki_sha256[32]);
/* Lazily, not a revision, merged per agent; report is JSON text. */
void change_agent_status(struct change_engine *engine, const struct store_agent_status *status);

/* Session ticket keys: the set of `selector` becomes these, outside revisions (store_put_ticket_keys). Copies; error->code 0: durable. When
 * it returns other than 0 (E_NOMEM), done is not called. */
int change_ticket_keys(struct change_engine *engine, const char *selector, const struct store_ticket_key *keys, size_t len,
                       void (*done)(const struct error *error, void *context), void *context, struct error *err) MUST_USE;

/* Rotation of the keyring: a new key seals from now on, what older ones sealed is sealed anew in the background, then they leave the
 * keyring; store_list_keys tells how far that is. -------------------------------------------------------------------- */

struct change_caller {
	const char *actor, *request_id, *source;
};

struct change_rotated {
	int code; /* E_CONFLICT: one is under way */
	struct error error;
	uint32_t id; /* of the new key */
};

/* receipt: NULL for none. When it returns other than 0 (E_NOMEM), done is not called. */
int change_rotate_keyring(struct change_engine *engine, const struct change_caller *caller, const struct change_receipt *receipt,
                          void (*done)(const struct change_rotated *result, void *context), void *context, struct error *err) MUST_USE;
#define CHANGE_TROUBLE_MAX 256
/* Why a rotation does not get on; "" when it does. */
void change_keyring_trouble(struct change_engine *engine, char trouble[CHANGE_TROUBLE_MAX]);

/* ETag of a state: "EPOCH-VERSION" in quotes; of the store as a whole: "EPOCH-REVISION" of its head. */
void change_format_etag(const struct object_view *object, char etag[64]);
void change_format_head_etag(struct revision head, char etag[64]);
