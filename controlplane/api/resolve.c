/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/resolve: what a handshake (agent, listener, server name) gets, and why, by the agent's own decision over the
 * store. Pool work in one read transaction; nothing is written, no agent is asked. */
#include "api/resolve.h"

#include "api/call.h"
#include "api/handlers.h"

#include <assert.h>
#include <string.h>

enum { ALERT_UNRECOGNIZED_NAME = 112, ALERT_NO_APPLICATION_PROTOCOL = 120 };

static const char *const outcomes[] = {
    [DECIDE_REFUSE] = "refuse", [DECIDE_TERMINATE] = "terminate", [DECIDE_PASSTHROUGH] = "passthrough"};
static const char *const causes[] = {
    [DECIDE_CAUSE_NONE] = "none", [DECIDE_CAUSE_REJECTED] = "rejected", [DECIDE_CAUSE_ADDRESS] = "address",
    [DECIDE_CAUSE_NAME] = "name", [DECIDE_CAUSE_VERSION] = "version",   [DECIDE_CAUSE_BROKEN] = "broken"};

/* The names of RFC 8446 6. */
static const char *alert_name(unsigned alert)
{
	static const struct {
		unsigned alert;
		const char *name;
	} rows[] = {{49, "access_denied"},
	            {70, "protocol_version"},
	            {80, "internal_error"},
	            {ALERT_UNRECOGNIZED_NAME, "unrecognized_name"},
	            {ALERT_NO_APPLICATION_PROTOCOL, "no_application_protocol"}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].alert == alert)
			return rows[i].name;
	}
	return NULL;
}

/* Why the handshake ends here. */
struct refusal {
	const char *cause, *reason;
	unsigned alert;
};

static json_t *render_refusal(const struct refusal *refusal)
{
	if (refusal->cause == NULL)
		return json_null();
	return json_pack("{s:s, s:s?, s:s}", "cause", refusal->cause, "alert", alert_name(refusal->alert), "reason",
	                 refusal->reason);
}

/* Preparation ----------------------------------------------------------------------------------------------------- */

static int find_agent(struct call *call, struct store_reader *reader, struct view *source)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	const struct query_handshake *given = &call->query.handshake;
	int r = store_get(reader, KIND_AGENT, given->agent, 0, &row, &call->error);

	if (r == E_NOT_FOUND)
		return error_set(&call->error, r, "agent: no agent has the id %s", given->agent);
	return r < 0 ? r : view_init(source, reader, row.state.labels, given->client_ip.len > 0, &call->error);
}

static int find_listener(struct call *call, struct store_reader *reader, struct view *source,
                         struct decide_listener *ret)
{
	CLEANUP(store_row_deinit) struct store_row row = {0};
	const struct query_handshake *given = &call->query.handshake;
	const struct view_object *object;
	int r = view_find(source, KIND_LISTENER, given->listener, &object);

	if (r == 0 && object->body == NULL) {
		call->error = object->error;
		return call->error.code;
	}
	if (r == 0) {
		*ret = (struct decide_listener){object->row.state.object.id, (const Tlsplane__Listener *)object->body, object};
		return 0;
	}
	if (r != E_NOT_FOUND)
		return r;
	r = store_get(reader, KIND_LISTENER, given->listener, 0, &row, &call->error);
	if (r == 0)
		return error_set(&call->error, E_NOT_FOUND, "listener: agent %s does not hold listener %s: %s", given->agent,
		                 given->listener,
		                 row.state.enabled ? "its labels do not satisfy the selector" : "its status is 0");
	return r == E_NOT_FOUND ? error_set(&call->error, r, "listener: no listener has the id %s", given->listener) : r;
}

/* The name as the agent reads it. False: the agent refuses such bytes. */
static bool read_name(const struct query_handshake *given, struct resolve_handshake *handshake)
{
	size_t len;

	if (given->sni[0] == 0)
		return true;
	switch (name_normalise_sni(BYTES(given->sni, strlen(given->sni)), handshake->name, &len)) {
	case 0:
		return true;
	case E_INVALID:
		handshake->name[0] = 0;
		handshake->name_note = "an IP address is no server name (RFC 6066): the client counts as one without";
		return true;
	default:
		handshake->name[0] = 0;
		return false;
	}
}

/* The answer ------------------------------------------------------------------------------------------------------ */

/* RFC 7301 3.2; *ret_none: nothing in common, which ends the handshake. */
static json_t *render_alpn(const struct resolve_handshake *handshake, bool *ret_none)
{
	const Tlsplane__TlsOptions *options = handshake->decision.options.body;
	json_t *offered = json_array();
	int index = decide_alpn(options, handshake->alpn, handshake->alpn_len);

	for (size_t i = 0; i < handshake->alpn_len && offered != NULL; i++) {
		if (json_array_append_new(offered, json_string(handshake->alpn[i])) < 0) {
			json_decref(offered);
			return NULL;
		}
	}
	assert(index < 0 || options != NULL);
	*ret_none = index == E_NOT_FOUND;
	return json_pack("{s:o, s:s?}", "offered", offered, "answer", index >= 0 ? options->alpn_protocols[index] : NULL);
}

static int put(json_t *document, const char *key, json_t *part)
{
	return json_object_set_new(document, key, part) == 0 ? 0 : E_NOMEM;
}

/* Route and certificate, each with its losers. */
static int put_contests(const struct resolve_handshake *handshake, json_t *document)
{
	const struct decision *decision = &handshake->decision;
	struct resolve_contest contest;
	int r = resolve_contest_hold(handshake, KIND_ROUTE, decision->route.id, &contest);

	if (r == 0)
		r = put(document, "route", resolve_render_route(handshake, &contest));
	if (r < 0 || decision->base.body == NULL)
		return r;
	r = resolve_contest_hold(handshake, KIND_SSL, decision->ssl_level == DECIDE_LEVEL_DEFAULT ? NULL : decision->ssl.id,
	                         &contest);
	return r < 0 ? r : put(document, "certificate", resolve_render_certificate(handshake, &contest));
}

/* What the decision came to, as far as it came. */
static int put_decision(const struct resolve_handshake *handshake, json_t *document, struct refusal *refusal)
{
	const struct decision *decision = &handshake->decision;
	bool no_protocol = false;
	int r = put_contests(handshake, document);

	if (r == 0 && decision->options.body != NULL)
		r = put(document, "options", resolve_render_options(handshake));
	if (r == 0 && decision->outcome == DECIDE_TERMINATE)
		r = put(document, "client_auth", resolve_render_client(handshake));
	if (r == 0 && decision->outcome == DECIDE_TERMINATE)
		r = put(document, "alpn", render_alpn(handshake, &no_protocol));
	if (r == 0 && decision->upstream.body != NULL)
		r = put(document, "upstream", resolve_render_upstream(handshake));
	if (decision->outcome == DECIDE_REFUSE)
		*refusal = (struct refusal){causes[decision->cause], decision->why.text, decision->alert};
	else if (no_protocol)
		*refusal = (struct refusal){"alpn", "the client offers none of the protocols of the options",
		                            ALERT_NO_APPLICATION_PROTOCOL};
	return r;
}

/* All parts are there from the start, null as long as nothing was decided of them. */
static json_t *begin_document(struct call *call, struct store_reader *reader, const struct resolve_handshake *handshake)
{
	const struct query_handshake *given = &call->query.handshake;
	struct store_revision head;
	char revision[QUERY_REVISION_MAX];

	if (store_head(reader, &head, &call->error) < 0)
		return NULL;
	query_format_revision(head.revision, revision);
	return json_pack("{s:s, s:s, s:s, s:s?, s:s*, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n}", "revision", revision,
	                 "agent", given->agent, "listener", given->listener, "sni",
	                 handshake->name[0] != 0 ? handshake->name : NULL, "sni_note", handshake->name_note, "outcome",
	                 "refusal", "limits", "route", "certificate", "options", "client_auth", "alpn", "upstream");
}

static int explain(struct call *call, struct resolve_handshake *handshake, bool legal, json_t *document)
{
	struct decide_source table = view_table(handshake->source);
	struct decide_input input = {.listener = handshake->decision.listener,
	                             .name = BYTES(handshake->name, strlen(handshake->name)),
	                             .client = call->query.handshake.client_ip};
	struct refusal refusal = {"sni", "the server name has bytes, or a length, that are not legal in one",
	                          ALERT_UNRECOGNIZED_NAME};
	int r = put(document, "limits", resolve_render_limits(&handshake->decision.listener));

	if (r == 0 && legal) {
		refusal = (struct refusal){.cause = NULL};
		r = decide(&table, &input, &handshake->decision);
		if (r == 0)
			r = put_decision(handshake, document, &refusal);
	}
	if (r == 0)
		r = put(document, "refusal", render_refusal(&refusal));
	if (r == 0)
		r = put(document, "outcome",
		        json_string(refusal.cause != NULL ? "refuse" : outcomes[handshake->decision.outcome]));
	return r;
}

static int resolve(struct call *call, struct store_reader *reader, struct view *source)
{
	const struct query_handshake *given = &call->query.handshake;
	struct resolve_handshake handshake = {
	    .source = source, .has_client = given->client_ip.len > 0, .alpn_len = given->alpn_len};
	bool legal = read_name(given, &handshake);
	int r = find_listener(call, reader, source, &handshake.decision.listener);

	for (size_t i = 0; i < given->alpn_len; i++)
		handshake.alpn[i] = given->alpn_text + given->alpn[i];
	if (r < 0)
		return r;
	call->document = begin_document(call, reader, &handshake);
	if (call->document == NULL)
		return call->error.code < 0 ? call->error.code : E_NOMEM;
	return explain(call, &handshake, legal, call->document);
}

static void run(struct call *call, struct store_reader *reader)
{
	CLEANUP(view_deinit) struct view source = {.error = ERROR_NULL};
	int r = find_agent(call, reader, &source);

	if (r == 0)
		r = resolve(call, reader, &source);
	if (r < 0 && call->error.code == 0)
		call->error = source.error;
	if (r < 0 && call->error.code == 0)
		error_nomem(&call->error);
}

static void reply(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

void resolve_get(struct call *call)
{
	call_run(call, run, reply);
}
