/* SPDX-License-Identifier: Apache-2.0 */
/* token, join-token: what is made is told once, alone on standard output, so that a script can put it where it belongs. */
#include "ctl/commands.h"

#include "ctl/text.h"

#include <stdlib.h>
#include <string.h>

/* Writing ----------------------------------------------------------------------------------------------------------- */

static int tell_created(struct ctl *ctl, const struct answer *answer, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	const json_t *token = json_object_get(answer->document, "token");

	if (ctl->settings.is_json)
		return ctl_put_json(ctl, answer, err);
	if (!json_is_string(token))
		return error_set(err, E_REFUSED, "made, but the answer does not tell the token");
	text_put_json(&ctl->out, token);
	buf_put_str(&ctl->out, "\n");
	buf_put_str(&text, "made ");
	text_put_json(&text, json_object_get(answer->document, "id"));
	buf_put_str(&text, ", expires ");
	text_put_time(&text, json_object_get(answer->document, "expires_at"));
	buf_put_str(&text, "; this is told once\n");
	ctl_say(&text);
	return 0;
}

/* Takes document over. */
static int create(struct ctl *ctl, const char *path, json_t *document, struct error *err)
{
	CLEANUP(answer_deinit) struct answer answer = {.body = {.sensitive = true}};
	char key[CLIENT_KEY_LEN + 1], *body = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
	struct request request = {.method = "POST", .path = path, .content_type = "application/json", .key = key};
	int r = body != NULL ? client_make_key(key, err) : error_nomem(err);

	json_decref(document);
	if (r == 0) {
		request.body = BYTES(body, strlen(body));
		r = ctl_call(ctl, &request, &answer, NULL, NULL, err);
	}
	free(body);
	ctl->out.sensitive = true;
	return r == 0 ? tell_created(ctl, &answer, err) : r;
}

static int delete(struct ctl *ctl, const char *collection, struct error *err)
{
	CLEANUP(answer_deinit) struct answer answer = {0};
	CLEANUP(buf_deinit) struct buf path = BUF_NULL;
	struct request request = {.method = "DELETE"};
	int r;

	buf_printf(&path, "/v1/%s/", collection);
	client_put_escaped(&path, ctl->words[0]);
	request.path = buf_cstr(&path);
	if (request.path == NULL)
		return error_nomem(err);
	r = ctl_call(ctl, &request, &answer, NULL, NULL, err);
	if (r < 0)
		return r;
	if (ctl->settings.is_json)
		return ctl_put_json(ctl, &answer, err);
	text_put_cstr(&ctl->out, ctl->words[0]);
	buf_put_str(&ctl->out, strcmp(collection, "tokens") == 0 ? " is revoked\n" : " is deleted\n");
	return 0;
}

/* Documents --------------------------------------------------------------------------------------------------------- */

static int set_text(const struct ctl *ctl, json_t *document, const char *member, enum option option, struct error *err)
{
	const char *text = args_get(&ctl->args, option);
	json_t *value;

	if (text == NULL)
		return 0;
	value = json_string(text);
	if (value == NULL)
		return error_set(err, E_SYNTAX, "--%s: UTF-8 expected", option_table[option].name);
	return json_object_set_new(document, member, value) == 0 ? 0 : error_nomem(err);
}

/* The API takes "90d" as text, seconds as a number. */
static int set_period(const struct ctl *ctl, json_t *document, struct error *err)
{
	const char *text = args_get(&ctl->args, OPTION_EXPIRES_IN);
	uint32_t seconds = 0;

	if (text == NULL || text[strspn(text, "0123456789")] != 0)
		return set_text(ctl, document, "expires_in", OPTION_EXPIRES_IN, err);
	if (args_get_number(&ctl->args, OPTION_EXPIRES_IN, 1, UINT32_MAX, &seconds, err) < 0)
		return err->code;
	return json_object_set_new(document, "expires_in", json_integer(seconds)) == 0 ? 0 : error_nomem(err);
}

static int set_labels(const struct ctl *ctl, json_t *document, struct error *err)
{
	json_t *labels = NULL;
	int r = ctl_take_labels(ctl, &labels, err);

	if (r == 0 && json_object_size(labels) > 0 && json_object_set(document, "labels", labels) < 0)
		r = error_nomem(err);
	json_decref(labels);
	return r;
}

static int set_suffixes(const struct ctl *ctl, json_t *scope, struct error *err)
{
	const char *text;
	size_t at = 0;

	while ((text = args_next(&ctl->args, OPTION_SNI_SUFFIX, &at)) != NULL) {
		json_t *list = json_object_get(scope, "sni_suffixes");

		if (list == NULL && json_object_set_new(scope, "sni_suffixes", json_array()) < 0)
			return error_nomem(err);
		if (json_array_append_new(json_object_get(scope, "sni_suffixes"), json_string(text)) < 0)
			return error_set(err, E_SYNTAX, "--sni-suffix: UTF-8 expected");
	}
	return 0;
}

static int set_scope(const struct ctl *ctl, json_t *document, struct error *err)
{
	json_t *scope = json_object();
	int r = scope != NULL ? set_suffixes(ctl, scope, err) : error_nomem(err);

	if (r == 0)
		r = set_labels(ctl, scope, err);
	if (r == 0 && json_object_size(scope) > 0 && json_object_set(document, "scope", scope) < 0)
		r = error_nomem(err);
	json_decref(scope);
	return r;
}

/* Commands ---------------------------------------------------------------------------------------------------------- */

int token_create_run(struct ctl *ctl, struct error *err)
{
	json_t *document = json_object();
	int r = document != NULL ? 0 : error_nomem(err);

	if (r == 0 && !args_has(&ctl->args, OPTION_ROLE))
		r = error_set(err, E_SYNTAX, "--role is missing: admin, editor, viewer or enroller");
	if (r == 0)
		r = set_text(ctl, document, "id", OPTION_ID, err);
	if (r == 0)
		r = set_text(ctl, document, "role", OPTION_ROLE, err);
	if (r == 0)
		r = set_period(ctl, document, err);
	if (r == 0)
		r = set_text(ctl, document, "desc", OPTION_DESC, err);
	if (r == 0)
		r = set_scope(ctl, document, err);
	if (r == 0)
		return create(ctl, "/v1/tokens", document, err);
	json_decref(document);
	return r;
}

int join_token_create_run(struct ctl *ctl, struct error *err)
{
	json_t *document = json_object();
	uint32_t ttl = 0;
	int r = document != NULL ? args_get_number(&ctl->args, OPTION_TTL, 1, UINT32_MAX, &ttl, err) : error_nomem(err);

	if (r == 0 && ttl > 0 && json_object_set_new(document, "ttl", json_integer(ttl)) < 0)
		r = error_nomem(err);
	if (r == 0)
		r = set_text(ctl, document, "agent_id", OPTION_AGENT_ID, err);
	if (r == 0)
		r = set_text(ctl, document, "desc", OPTION_DESC, err);
	if (r == 0)
		r = set_labels(ctl, document, err);
	if (r == 0)
		return create(ctl, "/v1/join_tokens", document, err);
	json_decref(document);
	return r;
}

int token_list_run(struct ctl *ctl, struct error *err)
{
	return list_run(ctl, "tokens", err);
}

int join_token_list_run(struct ctl *ctl, struct error *err)
{
	return list_run(ctl, "join_tokens", err);
}

int token_revoke_run(struct ctl *ctl, struct error *err)
{
	return delete(ctl, "tokens", err);
}

int join_token_delete_run(struct ctl *ctl, struct error *err)
{
	return delete(ctl, "join_tokens", err);
}
