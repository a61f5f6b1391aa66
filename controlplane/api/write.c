/* SPDX-License-Identifier: Apache-2.0 */
/* From a body to an answer. Once a change is committed its revision is in every answer, also in those that tell of a
 * wait that went wrong: the write stands. */
#include "api/write.h"

#include "api/impact.h"

#include "api/auth.h"
#include "api/idempotency.h"
#include "api/overtaken.h"
#include "api/served.h"
#include "api/visible.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INLINE_BODY_MAX (64u << 10) /* parsed on the loop: some hundred microseconds at most */

static void load(struct call *call)
{
	int r = resource_load_json(http_body(call->http), &call->document, &call->error);

	if (r < 0)
		error_prefix(&call->error, r, "body");
}

static void on_load(struct call *call, struct store_reader *reader)
{
	load(call);
}

void write_load_body(struct call *call, void (*next)(struct call *call))
{
	if (http_body(call->http).len > INLINE_BODY_MAX) {
		call_run(call, on_load, next);
		return;
	}
	load(call);
	if (call->error.code < 0)
		call_reply_error(call);
	else
		next(call);
}

static int take_conditions(struct call *call, struct change_request *request)
{
	const char *if_match = http_header(call->http, "If-Match");
	const char *if_none_match = http_header(call->http, "If-None-Match");
	char *copy;

	if (if_none_match != NULL && strcmp(if_none_match, "*") != 0)
		return error_set(&call->error, E_SYNTAX, "If-None-Match: writes take \"*\" alone (create only)");
	request->create_only = if_none_match != NULL;
	if (if_match == NULL)
		return 0;
	if (call->method == API_POST && call->route->kind != 0)
		return error_set(&call->error, E_SYNTAX, "If-Match is for one object that exists; this request names none");
	*(call->method == API_POST ? &request->if_match_head : &request->if_match) = copy = strdup(if_match);
	return copy != NULL ? 0 : error_nomem(&call->error);
}

struct change_request *write_request_new(struct call *call, size_t items)
{
	CLEANUP(change_request_free) struct change_request *request = change_request_new(items);

	if (request == NULL) {
		error_nomem(&call->error);
		return NULL;
	}
	request->strict = call->query.strict;
	request->dry_run = call->query.dry_run;
	request->purge_keys = call->query.purge_keys;
	request->scope = scope_ref(call->identity.scope);
	request->own_only = call->identity.role == ROLE_ENROLLER;
	if (call->receipt != NULL) {
		request->receipt = change_receipt_new(call->receipt->token, call->receipt->key, call->receipt->request);
		if (request->receipt == NULL) {
			error_nomem(&call->error);
			return NULL;
		}
	}
	snprintf(request->actor, sizeof(request->actor), "%s", call->actor);
	snprintf(request->request_id, sizeof(request->request_id), "%s", http_request_id(call->http));
	snprintf(request->source, sizeof(request->source), "%s", http_peer(call->http));
	if (take_conditions(call, request) < 0)
		return NULL;
	return TAKE_PTR(request);
}

/* Waiting --------------------------------------------------------------------------------------------------------- */

static void reply_not_acked(struct call *call, enum publisher_wait_state state, json_t *agents)
{
	static const struct problem problems[] = {
	    [PUBLISHER_WAIT_REFUSED] = {502, "refused", "Refused by an agent",
	                                "the change stands, but an agent refused it; it serves on with what it had"},
	    [PUBLISHER_WAIT_DEGRADED] = {502, "degraded", "Applied, but degraded",
	                                 "the change stands and is applied, but an agent cannot serve an object of it as it should"},
	    [PUBLISHER_WAIT_TIMEOUT] = {504, "not-acked", "Not acknowledged in time",
	                                "the change stands, but not all agents had acknowledged it when the time was over"},
	    [PUBLISHER_WAIT_CLOSED] = {503, "closed", "Closed",
	                               "the change stands, but the control plane is shutting down and waits no longer"},
	};
	struct problem problem = problems[state];

	problem.more = json_pack("{s:s, s:o*}", "revision", call->revision, "agents", visible_agents(call, agents));
	problem.findings = &call->findings;
	call_reply_problem(call, &problem);
	json_decref(problem.more);
}

static void find_overtaken(struct call *call, struct store_reader *reader)
{
	int r = overtaken_find(reader, call->written, &call->overtaken, &call->error);

	if (r < 0)
		error_prefix(&call->error, r, "the change stands as revision %s and is applied, but what became of it was not found out",
		             call->revision);
}

static void reply_acked(struct call *call)
{
	json_t *document = TAKE_PTR(call->document);
	json_t *wait = json_pack("{s:s, s:o*, s:O*}", "state", "acked", "agents", visible_agents(call, call->acked), "superseded",
	                         call->overtaken);

	if (json_object_set_new(document, "wait", wait) < 0) {
		json_decref(document);
		document = NULL;
	}
	call_reply_json(call, call->status, document);
}

static void on_waited(const struct publisher_waited *result, void *context)
{
	struct call *call = context;

	call->wait = NULL;
	if (result->state == PUBLISHER_WAIT_ACKED && call->served != NULL) {
		served_begin(call, result->agents);
		return;
	}
	if (auth_check_again(call) < 0) {
		call_reply_error(call);
		return;
	}
	if (result->state != PUBLISHER_WAIT_ACKED) {
		reply_not_acked(call, result->state, result->agents);
		return;
	}
	call->acked = json_incref(result->agents);
	if (call->written.number > 0 && revision_compare(result->head, call->written) > 0)
		call_run(call, find_overtaken, reply_acked);
	else
		reply_acked(call);
}

void write_cut_wait(struct call *call)
{
	publisher_wait_cancel(TAKE_PTR(call->wait));
	reply_not_acked(call, PUBLISHER_WAIT_CLOSED, NULL);
}

static void wait_for_agents(struct call *call, const struct change_result *result)
{
	const struct publisher_wait_for wanted = {
	    .revision = result->standing,
	    .selectors = result->selectors,
	    .selectors_len = result->selectors_len,
	    .items = result->items,
	    .items_len = result->items_len,
	    .agent_id = call->route->kind == KIND_AGENT ? call->id : NULL,
	    .timeout_ms = call->query.timeout_seconds * UINT64_C(1000),
	};

	if (call->api->closing) {
		reply_not_acked(call, PUBLISHER_WAIT_CLOSED, NULL);
		return;
	}
	if (result->changed)
		call->written = result->standing;
	if (call->query.served)
		call->served = served_new(result, wanted.timeout_ms);
	if (!call->query.served || call->served != NULL)
		call->wait = publisher_wait_start(call->api->config.publisher, &wanted, on_waited, call);
	if (call->wait == NULL) {
		error_set(&call->error, E_NOMEM, "the change stands as revision %s, but waiting failed: out of memory",
		          call->revision);
		call_reply_error(call);
	}
}

/* Results --------------------------------------------------------------------------------------------------------- */

/* The rendered object has its standing warnings; what the change adds comes behind them, once. */
static int join_warnings(json_t *document, const struct findings *findings)
{
	json_t *all = json_object_get(document, "warnings");
	json_t *more = problem_render_findings(findings, FINDING_WARNING, false);
	size_t index, old_index;
	json_t *warning, *old;
	int r = more != NULL ? 0 : -1;

	if (r == 0 && json_array_size(more) > 0 && all == NULL) {
		r = json_object_set(document, "warnings", more);
	} else {
		json_array_foreach(more, index, warning) {
			json_array_foreach(all, old_index, old) {
				if (json_equal(old, warning))
					break;
			}
			if (old_index == json_array_size(all))
				r |= json_array_append(all, warning);
		}
	}
	json_decref(more);
	return r;
}

void write_answer_object(struct call *call, const struct change_result *result)
{
	const char *id = json_string_value(json_object_get(result->answer, "id"));

	if (result->answer == NULL || join_warnings(result->answer, &result->findings) < 0)
		return;
	call->document = json_incref(result->answer);
	call->status = result->created ? 201 : 200;
	snprintf(call->etag, sizeof(call->etag), "%s", result->etag);
	if (call->method == API_POST && id != NULL)
		snprintf(call->location, sizeof(call->location), "%s/%s", call->route->path, id);
}

/* What would be answered, as far as that can be known without doing it. */
static void answer_dry_run(struct call *call, const struct change_result *result)
{
	json_t *warnings = problem_render_findings(&result->findings, FINDING_WARNING, call->itemized);
	json_t *document = json_pack("{s:b, s:b, s:o}", "dry_run", 1, "changed", result->changed, "warnings", warnings);
	int r = document != NULL ? problem_add_omitted(document, &result->findings) : -1;

	if (r == 0 && call->route->kind != 0)
		r = json_object_set_new(document, "created", json_boolean(result->created));
	if (r == 0 && result->answer != NULL && call->route->kind != 0)
		r = join_warnings(result->answer, &result->findings) | json_object_set(document, "object", result->answer);
	if (r != 0)
		json_decref(TAKE_PTR(document));
	call->document = document;
	call->status = 200;
}

struct submission {
	struct call *call;
	void (*answer)(struct call *call, const struct change_result *result);
};

static void on_changed(const struct change_result *result, void *context)
{
	struct submission *submission = context;
	struct call *call = submission->call;

	call->audited = result->audited || call->query.dry_run;
	if (result->code < 0) {
		call->error = result->error;
		call->error.code = result->code;
		call->retry_after = result->code == E_UNAVAILABLE;
		findings_append(&call->findings, "", &result->findings);
		call_reply_error(call);
	} else {
		query_format_revision(result->revision.revision, call->revision);
		if (call->query.dry_run)
			answer_dry_run(call, result);
		else
			submission->answer(call, result);
		if (call->document != NULL && *result->states != NULL)
			impact_answer(call, TAKE_PTR(*result->states));
		else if (call->document == NULL || !call->query.wait)
			call_reply_json(call, call->status, TAKE_PTR(call->document));
		else
			wait_for_agents(call, result);
	}
	free(submission);
}

/* What was done before, told again; the wait begins anew. */
static void answer_again(struct call *call, void (*answer)(struct call *call, const struct change_result *result))
{
	struct change_result result;

	replay_result(call->replay, &result);
	call->audited = true; /* when it was done */
	query_format_revision(result.revision.revision, call->revision);
	answer(call, &result);
	if (call->document == NULL || !call->query.wait)
		call_reply_json(call, call->status, TAKE_PTR(call->document));
	else
		wait_for_agents(call, &result);
	findings_deinit(&result.findings);
}

void write_submit(struct call *call, struct change_request *request,
                  void (*answer)(struct call *call, const struct change_result *result))
{
	struct submission *submission;

	if (call->replay != NULL) {
		change_request_free(request);
		answer_again(call, answer);
		return;
	}
	submission = malloc(sizeof(*submission));
	if (submission == NULL) {
		change_request_free(request);
		error_nomem(&call->error);
		call_reply_error(call);
		return;
	}
	*submission = (struct submission){call, answer};
	change_submit(call->api->config.changes, request, on_changed, submission);
}
