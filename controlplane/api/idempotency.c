/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a POST with a key, and what is read back for one that was seen before. */
#include "api/idempotency.h"

#include "crypto/crypto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct replay *replay_free(struct replay *replay)
{
	if (replay == NULL)
		return NULL;
	store_receipt_deinit(&replay->receipt);
	json_decref(replay->answer);
	json_decref(replay->warnings);
	for (size_t i = 0; i < replay->selectors_len; i++)
		free(replay->selectors[i]);
	free(replay->selectors);
	free(replay);
	return NULL;
}

/* What was asked: method, path, query, body; each with its length, so that no two requests give the same bytes. */
static int hash_request(const struct call *call, uint8_t hash[SHA256_LEN], struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	uint8_t body[SHA256_LEN];
	int r = crypto_sha256(http_body(call->http), body, err);

	if (r < 0)
		return r;
	buf_put_lv(&text, http_method(call->http), strlen(http_method(call->http)));
	buf_put_lv(&text, http_path(call->http), strlen(http_path(call->http)));
	for (size_t i = 0; i < http_query_count(call->http); i++) {
		const char *name = http_query_name(call->http, i), *value = http_query(call->http, name);

		buf_put_lv(&text, name, strlen(name));
		buf_put_lv(&text, value, strlen(value));
	}
	buf_put(&text, body, sizeof(body));
	if (text.failed)
		return error_nomem(err);
	return crypto_sha256(BYTES(text.data, text.len), hash, err);
}

/* Reading back, on the pool --------------------------------------------------------------------------------------- */

static int render_object(struct call *call, struct store_reader *reader, struct replay *replay)
{
	const struct store_receipt *receipt = &replay->receipt;
	CLEANUP(store_row_deinit) struct store_row row = {0};
	struct resource_limits limits = call_limits(call);
	int r;

	if (call->route->kind == 0 || receipt->kind == 0)
		return 0;
	r = store_get(reader, receipt->kind, receipt->id, receipt->revision.number, &row, &call->error);
	if (r == E_NOT_FOUND)
		return error_set(&call->error, E_GONE, "this was done before, in revision %llu, which is no longer kept",
		                 (unsigned long long)receipt->revision.number);
	if (r < 0)
		return r;
	change_format_etag(&row.state.object, replay->etag);
	replay->answer = resource_render(&row.state, &limits, &call->error);
	if (replay->answer == NULL)
		return call->error.code;
	if (receipt->secret != NULL && json_object_set_new(replay->answer, "token",
	                                                   json_stringn((const char *)receipt->secret->data, receipt->secret->len)) < 0)
		return error_nomem(&call->error);
	return 0;
}

static int take_selector(const struct store_selector *selector, void *context)
{
	struct replay *replay = context;
	char **grown = realloc(replay->selectors, (replay->selectors_len + 1) * sizeof(*grown));

	if (grown == NULL)
		return E_NOMEM;
	replay->selectors = grown;
	grown[replay->selectors_len] = strdup(selector->selector);
	if (grown[replay->selectors_len] == NULL)
		return E_NOMEM;
	replay->selectors_len++;
	return 0;
}

/* Who waits, waits for everyone whose holding has changed since; those are some more than the change alone touched. */
static int read_selectors(struct call *call, struct store_reader *reader, struct replay *replay)
{
	uint64_t number = replay->receipt.revision.number;
	int r;

	if (!call->query.wait || number == 0)
		return 0;
	r = store_each_selector_since(reader, number - 1, take_selector, replay, &call->error);
	return r == E_NOMEM ? error_nomem(&call->error) : r;
}

static int read_replay(struct call *call, struct store_reader *reader, struct replay *replay)
{
	const char *warnings = replay->receipt.warnings;
	int r = render_object(call, reader, replay);

	if (r == 0)
		r = read_selectors(call, reader, replay);
	if (r == 0 && warnings != NULL)
		r = resource_load_json(BYTES(warnings, strlen(warnings)), &replay->warnings, &call->error);
	return r;
}

static void run_lookup(struct call *call, struct store_reader *reader)
{
	struct change_receipt *receipt = call->receipt;
	struct replay *replay = calloc(1, sizeof(*replay));
	int r = replay != NULL ? hash_request(call, receipt->request, &call->error) : error_nomem(&call->error);

	if (r == 0)
		r = store_get_receipt(reader, receipt->token, receipt->key, call_now() - STORE_RECEIPT_SECONDS, &replay->receipt, &call->error);
	if (r == E_NOT_FOUND) {
		call->error = ERROR_NULL;
		replay_free(replay);
		return;
	}
	if (r == 0 && memcmp(replay->receipt.request, receipt->request, SHA256_LEN) != 0)
		r = error_set(&call->error, E_INVALID, "this Idempotency-Key was used for another request");
	if (r == 0)
		r = read_replay(call, reader, replay);
	if (r == 0)
		call->replay = replay;
	else
		replay_free(replay);
}

/* On the loop ----------------------------------------------------------------------------------------------------- */

static void go_on(struct call *call)
{
	call->route->handle(call);
}

static bool is_under_way(const struct call *call, const char *key)
{
	for (const struct call *other = call->api->calls; other != NULL; other = other->next) {
		if (other->receipt != NULL && strcmp(other->receipt->key, key) == 0 &&
		    memcmp(other->receipt->token, call->identity.sha256, sizeof(call->identity.sha256)) == 0)
			return true;
	}
	return false;
}

static int take_key(struct call *call, const char *key)
{
	static const uint8_t unknown[SHA256_LEN];
	size_t len = strlen(key);

	for (size_t i = 0; i < len; i++) {
		if (key[i] <= ' ' || key[i] > '~')
			len = 0;
	}
	if (len == 0 || len > STORE_RECEIPT_KEY_MAX)
		return error_set(&call->error, E_SYNTAX, "Idempotency-Key: 1 to 255 visible ASCII characters");
	if (is_under_way(call, key)) {
		call->retry_after = 1;
		return error_set(&call->error, E_CONFLICT, "a request with this Idempotency-Key is under way");
	}
	call->receipt = change_receipt_new(call->identity.sha256, key, unknown);
	return call->receipt != NULL ? 0 : error_nomem(&call->error);
}

void idempotency_begin(struct call *call)
{
	const char *key = call->method == API_POST && !call->query.dry_run ? http_header(call->http, "Idempotency-Key") : NULL;

	if (key == NULL)
		go_on(call);
	else if (take_key(call, key) < 0)
		call_reply_error(call);
	else
		call_run(call, run_lookup, go_on);
}

void replay_result(const struct replay *replay, struct change_result *ret)
{
	const struct store_receipt *receipt = &replay->receipt;
	size_t index;
	json_t *warning;

	*ret = (struct change_result){
	    .standing = receipt->revision,
	    .changed = receipt->changed,
	    .created = receipt->created,
	    .answer = replay->answer,
	    .selectors = (const char **)(void *)replay->selectors,
	    .selectors_len = replay->selectors_len,
	};
	ret->revision.revision = receipt->revision;
	memcpy(ret->etag, replay->etag, sizeof(ret->etag));
	json_array_foreach(replay->warnings, index, warning) {
		const char *code = json_string_value(json_object_get(warning, "code"));
		const char *pointer = json_string_value(json_object_get(warning, "pointer"));
		const char *detail = json_string_value(json_object_get(warning, "detail"));

		if (code != NULL && pointer != NULL && detail != NULL) /* code lives as long as the call */
			findings_add(&ret->findings, FINDING_WARNING, code, pointer, "%s", detail);
	}
}
