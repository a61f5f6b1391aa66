/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: made, listed, revoked. The text of one is in the answer to its making and nowhere else. */
#include "api/handlers.h"

#include "api/call.h"
#include "api/idempotency.h"
#include "api/token_input.h"
#include "api/write.h"
#include "base/secret.h"
#include "change/credentials.h"
#include "crypto/crypto.h"
#include "store/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void reply(struct call *call)
{
	call_reply_json(call, 200, TAKE_PTR(call->document));
}

/* Reading --------------------------------------------------------------------------------------------------------- */

static void run_get(struct call *call, struct store_reader *reader)
{
	CLEANUP(store_token_deinit) struct store_token token = {0};
	int r = store_get_token(reader, call->id, &token, &call->error);

	if (r == E_NOT_FOUND)
		error_set(&call->error, r, "no token has the id %s", call->id);
	if (r == 0)
		call->document = token_render(&token, call_now());
}

void tokens_get(struct call *call)
{
	call_run(call, run_get, reply);
}

struct page {
	struct call *call;
	json_t *items;
	char last[ID_MAX + 1];
	bool more;
};

static int take_token(const struct store_token *token, void *context)
{
	struct page *page = context;

	page->more = json_array_size(page->items) == page->call->query.limit;
	if (page->more)
		return 1;
	if (json_array_append_new(page->items, token_render(token, call_now())) < 0)
		return error_nomem(&page->call->error);
	memcpy(page->last, token->id, sizeof(page->last));
	return 0;
}

static void run_list(struct call *call, struct store_reader *reader)
{
	struct page page = {.call = call, .items = json_array()};
	struct query_cursor cursor = {0};
	char next[QUERY_CURSOR_MAX] = "";
	int r = page.items != NULL ? 0 : error_nomem(&call->error);

	if (r == 0)
		r = store_list_tokens(reader, call->query.cursor.after, call->query.limit + 1, take_token, &page, &call->error);
	if (r < 0) {
		json_decref(page.items);
		return;
	}
	if (page.more) {
		snprintf(cursor.after, sizeof(cursor.after), "%s", page.last);
		query_format_cursor(&cursor, next);
	}
	call->document = json_pack("{s:o, s:s?}", "items", page.items, "next", next[0] != 0 ? next : NULL);
	if (call->document == NULL)
		error_nomem(&call->error);
}

void tokens_list(struct call *call)
{
	call_run(call, run_list, reply);
}

/* Making ---------------------------------------------------------------------------------------------------------- */

struct making {
	struct call *call;
	struct store_token token;
	struct buf text;
};

static struct making *making_free(struct making *making)
{
	if (making == NULL)
		return NULL;
	store_token_deinit(&making->token);
	buf_deinit(&making->text);
	free(making);
	return NULL;
}
DEFINE_CLEANUP(struct making, making_free);

/* Steals document; NULL: out of memory. */
static void reply_document(struct call *call, json_t *document, const char *id, struct bytes text)
{
	if (json_object_set_new(document, "token", json_stringn((const char *)text.data, text.len)) < 0) {
		json_decref(document);
		document = NULL;
	}
	snprintf(call->location, sizeof(call->location), "/v1/tokens/%s", id);
	call_reply_json(call, 201, document);
}

static void on_made(const struct error *error, void *context)
{
	struct making *making = context;
	struct call *call = making->call;

	call->audited = error->code == 0 || error->code == E_CONFLICT;
	if (error->code == 0) {
		reply_document(call, token_render(&making->token, call_now()), making->token.id,
		               BYTES(making->text.data, making->text.len));
	} else {
		call->error = *error;
		call_reply_error(call);
	}
	making_free(making);
}

static int make_id(char id[ID_MAX + 1], struct error *err)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return query_make_id((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, id, err);
}

static int prepare(struct making *making)
{
	struct call *call = making->call;
	struct store_token *token = &making->token;
	int r = token_input_parse(call->document, call_now(), &call->findings, token, &call->error);

	json_decref(TAKE_PTR(call->document));
	if (r == 0 && token->id[0] == '\0')
		r = make_id(token->id, &call->error);
	if (r == 0)
		r = token_make(token->role, &making->text, token->sha256, &call->error);
	if (r == 0)
		memcpy(token->created_by, call->actor, sizeof(token->created_by));
	return r;
}

/* Is this the token that was told then? Another may bear its id by now. E_NOT_FOUND. */
static int is_its_text(const struct store_token *token, const struct secret *text, struct error *err)
{
	uint8_t sha256[SHA256_LEN];
	int r = text != NULL ? crypto_sha256(BYTES(text->data, text->len), sha256, err) : E_NOT_FOUND;

	return r == 0 && memcmp(sha256, token->sha256, SHA256_LEN) != 0 ? E_NOT_FOUND : r;
}

/* A token that was made before and has been revoked since is not made again. */
static void run_again(struct call *call, struct store_reader *reader)
{
	const struct store_receipt *receipt = &call->replay->receipt;
	CLEANUP(store_token_deinit) struct store_token token = {0};
	int r = store_get_token(reader, receipt->id, &token, &call->error);

	if (r == 0)
		r = is_its_text(&token, receipt->secret, &call->error);
	if (r == E_NOT_FOUND)
		error_set(&call->error, E_GONE, "this token was made before, and has been revoked since");
	if (call->error.code == 0)
		call->document = token_render(&token, call_now());
}

static void reply_again(struct call *call)
{
	const struct secret *text = call->replay->receipt.secret;

	reply_document(call, TAKE_PTR(call->document), call->replay->receipt.id, BYTES(text->data, text->len));
}

static void make_again(struct call *call)
{
	json_decref(TAKE_PTR(call->document));
	call_run(call, run_again, reply_again);
}

static void make(struct call *call)
{
	CLEANUP(making_free) struct making *making = calloc(1, sizeof(*making));
	const struct change_caller caller = {call->actor, http_request_id(call->http), http_peer(call->http)};
	int r;

	if (making == NULL) {
		error_nomem(&call->error);
		call_reply_error(call);
		return;
	}
	making->call = call;
	if (call->replay != NULL) {
		make_again(call);
		return;
	}
	r = prepare(making);
	if (r == 0)
		r = change_create_token(call->api->config.changes, &caller, &making->token, call->receipt,
		                        BYTES(making->text.data, making->text.len), on_made, making, &call->error);
	if (r < 0)
		call_reply_error(call);
	else
		making = NULL; /* on_made's */
}

void tokens_create(struct call *call)
{
	write_load_body(call, make);
}

/* Revoking -------------------------------------------------------------------------------------------------------- */

static void on_revoked(const struct error *error, void *context)
{
	struct call *call = context;

	call->audited = error->code == 0 || error->code == E_CONFLICT || error->code == E_NOT_FOUND;
	if (error->code == 0) {
		call_reply_json(call, 200, json_pack("{s:s}", "id", call->id));
		return;
	}
	call->error = *error;
	call_reply_error(call);
}

void tokens_delete(struct call *call)
{
	const struct change_caller caller = {call->actor, http_request_id(call->http), http_peer(call->http)};

	if (change_revoke_token(call->api->config.changes, &caller, call->id, on_revoked, call, &call->error) < 0)
		call_reply_error(call);
}
