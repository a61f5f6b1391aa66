/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts of requests with an Idempotency-Key, in the transaction of what they tell of: both are there, or neither. */
#include "change/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct change_receipt *change_receipt_new(const uint8_t token[32], const char *key, const uint8_t request[32])
{
	struct change_receipt *receipt = calloc(1, sizeof(*receipt));

	if (receipt == NULL)
		return NULL;
	memcpy(receipt->token, token, sizeof(receipt->token));
	memcpy(receipt->request, request, sizeof(receipt->request));
	snprintf(receipt->key, sizeof(receipt->key), "%s", key);
	return receipt;
}

int receipt_write(struct store_writer *writer, const struct change_receipt *receipt, const struct receipt_facts *facts,
                  struct error *err)
{
	CLEANUP(store_receipt_deinit) struct store_receipt row = {
		.time = facts->now,
		.revision = facts->revision,
		.changed = facts->changed,
		.created = facts->created,
		.kind = facts->kind,
	};

	memcpy(row.token, receipt->token, sizeof(row.token));
	memcpy(row.request, receipt->request, sizeof(row.request));
	memcpy(row.key, receipt->key, sizeof(row.key));
	if (facts->id != NULL)
		snprintf(row.id, sizeof(row.id), "%s", facts->id);
	if (facts->secret.len > 0) {
		row.secret = secret_new_copy(facts->secret.data, facts->secret.len);
		if (row.secret == NULL)
			return error_nomem(err);
	}
	if (facts->warnings != NULL) {
		row.warnings = strdup(facts->warnings);
		if (row.warnings == NULL)
			return error_nomem(err);
	}
	return store_put_receipt(writer, &row, err);
}

/* A text that was cut inside a character is no UTF-8; it is left out. */
static json_t *text_of(const char *text)
{
	json_t *string = json_string(text);

	return string != NULL ? string : json_string("");
}

/* [{"code", "pointer", "detail"}...], compact; *ret NULL: none. */
static int format_warnings(const struct findings *findings, char **ret, struct error *err)
{
	json_t *list = json_array();
	int r = list != NULL ? 0 : -1;

	for (size_t i = 0; i < findings->count && r == 0; i++) {
		const struct finding *finding = &findings->items[i];

		if (finding->severity == FINDING_WARNING)
			r = json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "code", finding->code, "pointer",
			                                             text_of(finding->pointer), "detail", text_of(finding->detail)));
	}
	if (r == 0 && json_array_size(list) > 0) {
		*ret = json_dumps(list, JSON_COMPACT);
		r = *ret != NULL ? 0 : -1;
	}
	json_decref(list);
	return r == 0 ? 0 : error_nomem(err);
}

int receipt_write_request(struct request_job *job, struct store_writer *writer, struct error *err)
{
	const struct change_request *request = &job->request;
	const struct change_item *item = request->items_len > 0 ? &request->items[0] : NULL;
	struct receipt_facts facts = {
		.now = job->limits.now,
		.revision = job->result.revision.revision,
		.changed = job->result.changed,
		.created = job->result.created,
	};
	char *warnings = NULL;
	int code;

	if (request->receipt == NULL)
		return 0;
	if (item != NULL) {
		facts.kind = item->kind;
		facts.id = item->id;
	}
	if (job->token_text != NULL)
		facts.secret = BYTES(job->token_text->data, job->token_text->len);
	code = format_warnings(&job->result.findings, &warnings, err);
	facts.warnings = warnings;
	if (code == 0)
		code = receipt_write(writer, request->receipt, &facts, err);
	free(warnings);
	return code;
}
