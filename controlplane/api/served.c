/* SPDX-License-Identifier: Apache-2.0 */
#include "api/served.h"

#include "api/auth.h"
#include "api/impact.h"
#include "api/visible.h"
#include "publish/publisher.h"
#include "store/store_history.h"
#include "view/leaves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MAX 10000    /* objects of one write that are looked at */
#define CHANGES_MAX 20000
#define LOOK_MS 2000
#define TRIES_MAX 3        /* when newer revisions come meanwhile */
#define SUPERSEDED_MAX 20  /* told by name */

struct served_item {
	enum kind kind;
	char id[ID_MAX + 1];
};

struct served {
	/* What was named, if the write found all as it wanted it: that is looked at whole; else what the revision changed,
	 * found on the pool. */
	struct served_item *items; /* owned */
	size_t items_len;
	size_t left_out; /* items */
	bool changed;
	struct revision revision;
	uint64_t until; /* uv_hrtime */
	unsigned tries;
	json_t *agents; /* owned: who has applied it */
	struct publisher_serve *serve;

	/* What the pool found. */
	struct publisher_serve_for wanted;
	struct revision head;
	uint64_t names, checked; /* that have another leaf; that are asked for */
	json_t *superseded;      /* owned; array, NULL: none */
	json_t *shadowed;        /* the same */
};

struct served *served_new(const struct change_result *result, uint64_t timeout_ms)
{
	struct served *served = calloc(1, sizeof(*served));
	size_t named = result->changed ? 0 : result->items_len;
	size_t len = named < ITEMS_MAX ? named : ITEMS_MAX;

	if (served == NULL)
		return NULL;
	served->items = calloc((result->changed ? ITEMS_MAX : len) + 1, sizeof(*served->items));
	if (served->items == NULL)
		return served_free(served);
	for (size_t i = 0; i < len; i++) {
		served->items[i].kind = result->items[i].kind;
		memcpy(served->items[i].id, result->items[i].id, sizeof(served->items[i].id));
	}
	served->items_len = len;
	served->left_out = named - len;
	served->changed = result->changed;
	served->revision = result->standing;
	served->until = uv_hrtime() + timeout_ms * 1000000;
	return served;
}

static void forget_findings(struct served *served)
{
	publisher_serve_for_deinit(&served->wanted);
	json_decref(TAKE_PTR(served->superseded));
	json_decref(TAKE_PTR(served->shadowed));
	served->names = served->checked = 0;
}

struct served *served_free(struct served *served)
{
	if (served == NULL)
		return NULL;
	forget_findings(served);
	json_decref(served->agents);
	free(served->items);
	free(served);
	return NULL;
}

/* Looking --------------------------------------------------------------------------------------------------------- */

/* *row stays zeroed when there was none. */
static int read_state(struct store_reader *reader, const struct served_item *item, uint64_t revision, struct store_row *row,
                      struct error *err)
{
	int r = revision > 0 ? store_get(reader, item->kind, item->id, revision, row, err) : E_NOT_FOUND;

	if (r == E_NOT_FOUND) {
		*row = (struct store_row){0};
		*err = ERROR_NULL;
		r = 0;
	}
	return r;
}

static int add_item(const struct served *served, const struct served_item *item, struct store_reader *reader,
                    struct view_overlay *before, struct view_overlay *after, struct error *err)
{
	CLEANUP(store_row_deinit) struct store_row old = {0}, new = {0};
	int r = served->changed ? read_state(reader, item, served->revision.number - 1, &old, err) : 0;

	if (r == 0)
		r = read_state(reader, item, served->revision.number, &new, err);
	if (r < 0 || (old.memory == NULL && new.memory == NULL) ||
	    (old.memory != NULL && new.memory != NULL && old.state.object.version == new.state.object.version))
		return r;
	r = view_overlay_add(before, item->kind, item->id, &old, err);
	return r < 0 ? r : view_overlay_add(after, item->kind, item->id, &new, err);
}

static void fill_question(const struct leaf_change *change, struct publisher_serve_question *question)
{
	static const Tlsplane__ServeKey keys[] = {
	    [LEAF_RSA] = TLSPLANE__SERVE_KEY__SERVE_RSA,
	    [LEAF_EC] = TLSPLANE__SERVE_KEY__SERVE_ECDSA,
	    [LEAF_ED25519] = TLSPLANE__SERVE_KEY__SERVE_ED25519,
	};

	memcpy(question->listener, change->listener, sizeof(question->listener));
	memcpy(question->name, change->name, sizeof(question->name));
	(void)leaf_make_name(change->name, question->sni); /* it was looked at under it */
	question->key = keys[change->slot];
	question->key_type = impact_key_type(change->slot);
	question->has_from = change->from.ssl[0] != 0;
	question->has_to = change->to.ssl[0] != 0;
	memcpy(question->from, change->from.sha256, sizeof(question->from));
	memcpy(question->to, change->to.sha256, sizeof(question->to));
}

static int note_superseded(struct served *served, const struct leaf_change *change)
{
	char text[QUERY_REVISION_MAX];

	if (served->superseded == NULL)
		served->superseded = json_array();
	if (json_array_size(served->superseded) >= SUPERSEDED_MAX)
		return 0;
	query_format_revision(change->now.ssl[0] != 0 ? change->now.version : served->head, text);
	return json_array_append_new(served->superseded,
	                             json_pack("{s:s, s:s, s:s, s:s}", "listener", change->listener, "sni", change->name, "key_type",
	                                       impact_key_type(change->slot), "revision", text));
}

/* The questions to one group of agents. */
static int fill_group(struct served *served, struct leaves *leaves, size_t index)
{
	struct publisher_serve_group *group = &served->wanted.groups[served->wanted.groups_len];
	size_t count = 0;

	for (size_t i = 0; i < leaves->changes_len; i++)
		count += leaves->changes[i].group == index;
	*group = (struct publisher_serve_group){.questions = calloc(count + 1, sizeof(*group->questions))};
	served->wanted.groups_len++;
	if (group->questions == NULL)
		return -1;
	group->labels = TAKE_PTR(leaves->groups[index].labels);
	for (size_t i = 0; i < leaves->changes_len; i++) {
		if (leaves->changes[i].group == index && !leaves->changes[i].is_superseded)
			fill_question(&leaves->changes[i], &group->questions[group->len++]);
	}
	served->checked += group->len < PUBLISHER_SERVE_QUESTIONS_MAX ? group->len : PUBLISHER_SERVE_QUESTIONS_MAX;
	return 0;
}

static int take_leaves(struct served *served, struct leaves *leaves)
{
	int r = 0;

	served->names = leaves->changes_len + leaves->omitted + served->left_out;
	for (size_t i = 0; i < leaves->changes_len && r == 0; i++) {
		if (leaves->changes[i].is_superseded)
			r = note_superseded(served, &leaves->changes[i]);
	}
	if (leaves->shadowed_len > 0)
		served->shadowed = json_array();
	for (size_t i = 0; i < leaves->shadowed_len && r == 0; i++)
		r = json_array_append_new(served->shadowed, json_string(leaves->shadowed[i]));
	served->wanted.groups = calloc(leaves->groups_len + 1, sizeof(*served->wanted.groups));
	if (served->wanted.groups == NULL)
		return -1;
	for (size_t i = 0; i < leaves->groups_len && r == 0; i++) {
		if (leaves->groups[i].labels != NULL)
			r = fill_group(served, leaves, i);
	}
	return r;
}

static int take_change(const struct store_change *change, void *context)
{
	struct served *served = context;
	struct served_item *item;

	if (served->items_len == ITEMS_MAX) {
		served->left_out++;
		return 0;
	}
	item = &served->items[served->items_len++];
	item->kind = change->kind;
	memcpy(item->id, change->id, sizeof(item->id));
	return 0;
}

static int find_items(struct served *served, struct store_reader *reader, struct error *err)
{
	struct store_walk walk = {.at = {.revision = served->revision.number - 1}, .to = served->revision.number, .looks = CHANGE_ITEMS_MAX};

	if (!served->changed)
		return 0;
	served->items_len = served->left_out = 0;
	return store_walk_changes(reader, &walk, take_change, served, err);
}

static int look(struct served *served, struct store_reader *reader, struct error *err)
{
	CLEANUP(view_overlay_deinit) struct view_overlay before = {0}, after = {0};
	CLEANUP(leaves_deinit) struct leaves leaves = {0};
	const struct leaves_question question = {
		.before = &before, .after = &after, .is_past = true, .changes_max = CHANGES_MAX, .time_ms = LOOK_MS};
	struct store_revision head;
	int r = store_head(reader, &head, err);

	if (r == 0)
		r = find_items(served, reader, err);
	for (size_t i = 0; i < served->items_len && r == 0; i++)
		r = add_item(served, &served->items[i], reader, &before, &after, err);
	if (r == 0)
		r = view_overlay_sort(&before, err);
	if (r == 0)
		r = view_overlay_sort(&after, err);
	if (r == 0)
		r = leaves_compare(reader, &question, &leaves, err);
	if (r < 0)
		return r;
	served->head = head.revision;
	return take_leaves(served, &leaves) < 0 ? error_nomem(err) : 0;
}

static void run(struct call *call, struct store_reader *reader)
{
	forget_findings(call->served);
	if (look(call->served, reader, &call->error) < 0)
		error_prefix(&call->error, call->error.code, "the change stands as revision %s, but what it changes was not found out",
		             call->revision);
}

/* Answers --------------------------------------------------------------------------------------------------------- */

static json_t *render_names(const struct served *served)
{
	return json_pack("{s:I, s:I, s:O*, s:O*}", "changed", (json_int_t)served->names, "checked", (json_int_t)served->checked,
	                 "superseded", served->superseded, "shadowed", served->shadowed);
}

static void reply_served(struct call *call, json_t *agents)
{
	json_t *document = TAKE_PTR(call->document);
	json_t *wait = json_pack("{s:s, s:o*, s:o}", "state", "served", "agents", visible_agents(call, agents), "names",
	                         render_names(call->served));

	if (json_object_set_new(document, "wait", wait) < 0) {
		json_decref(document);
		document = NULL;
	}
	call_reply_json(call, call->status, document);
}

static void reply_not_served(struct call *call, enum publisher_wait_state state, json_t *agents)
{
	static const struct problem not_served = {
	    502, "not-served", "Not served", "the change stands and is applied, but handshakes of agents with their own listeners show "
	                                     "something else, or could not be made"};
	static const struct problem superseded = {
	    502, "not-served", "Superseded", "the change stands in history, but a newer revision has taken its place for some names"};
	static const struct problem late = {504, "not-served", "Not served in time",
	                                    "the change stands and is applied, but not all agents had shown it when the time was over"};
	static const struct problem closed = {503, "closed", "Closed",
	                                      "the change stands, but the control plane is shutting down and waits no longer"};
	struct problem problem = state == PUBLISHER_WAIT_CLOSED    ? closed
	                         : state == PUBLISHER_WAIT_TIMEOUT ? late
	                         : state == PUBLISHER_WAIT_REFUSED ? not_served
	                                                           : superseded;

	json_decref(TAKE_PTR(call->document));
	problem.more = json_pack("{s:s, s:o*, s:o*}", "revision", call->revision, "agents", visible_agents(call, agents), "names",
	                         render_names(call->served));
	problem.findings = &call->findings;
	call_reply_problem(call, &problem);
	json_decref(problem.more);
}

static void look_and_ask(struct call *call);

static void on_served(const struct publisher_served *result, void *context)
{
	struct call *call = context;
	struct served *served = call->served;

	served->serve = NULL;
	if (auth_check_again(call) < 0) {
		json_decref(TAKE_PTR(call->document));
		call_reply_error(call);
		return;
	}
	if (result->state == PUBLISHER_WAIT_REFUSED && revision_compare(result->head, served->head) > 0 &&
	    ++served->tries < TRIES_MAX && !call->api->closing) {
		look_and_ask(call); /* the newer revision may be why */
		return;
	}
	if (result->state == PUBLISHER_WAIT_ACKED && served->superseded == NULL)
		reply_served(call, result->agents);
	else
		reply_not_served(call, result->state, result->agents);
}

static void ask(struct call *call)
{
	struct served *served = call->served;
	uint64_t now = uv_hrtime();

	if (call->api->closing) {
		reply_not_served(call, PUBLISHER_WAIT_CLOSED, NULL);
		return;
	}
	served->wanted.agents = served->agents;
	served->wanted.timeout_ms = served->until > now ? (served->until - now) / 1000000 : 0;
	served->serve = publisher_serve_start(call->api->config.publisher, &served->wanted, on_served, call);
	if (served->serve == NULL) {
		json_decref(TAKE_PTR(call->document));
		error_set(&call->error, E_NOMEM, "the change stands as revision %s, but waiting failed: out of memory", call->revision);
		call_reply_error(call);
	}
}

static void look_and_ask(struct call *call)
{
	call_run(call, run, ask);
}

void served_begin(struct call *call, json_t *agents)
{
	call->served->agents = json_incref(agents);
	look_and_ask(call);
}

bool served_is_asking(const struct call *call)
{
	return call->served != NULL && call->served->serve != NULL;
}

void served_cut(struct call *call)
{
	publisher_serve_cancel(TAKE_PTR(call->served->serve));
	reply_not_served(call, PUBLISHER_WAIT_CLOSED, NULL);
}
