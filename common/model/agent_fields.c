/* SPDX-License-Identifier: Apache-2.0 */
/* Agents and join tokens. Of an agent users write only the labels; of a join token what it is to be made with. Their
 * bodies come from the change layer, and no answer has a secret: a token's is shown once, by whoever made it. */
#include "model/fields.h"

#include <string.h>

#define TTL_DEFAULT 600
#define TTL_MAX 2592000 /* 30 days */

static json_t *write_hash(struct field_output *out, const ProtobufCBinaryData *hash)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;

	for (size_t i = 0; i < hash->len; i++)
		buf_printf(&text, "%02x", hash->data[i]);
	return output_json(out, text.failed ? NULL : json_stringn((const char *)text.data, text.len));
}

/* Agents -------------------------------------------------------------------------------------------------------------
 */

static json_t *write_keys(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Agent *agent = source;
	json_t *keys = output_json(out, json_array());

	for (size_t i = 0; i < agent->n_keys && keys != NULL; i++) {
		json_t *key = output_json(out, json_object());

		output_set(out, key, "spki_sha256", write_hash(out, &agent->keys[i]->spki_sha256));
		output_set(out, key, "certificate_sha256", write_hash(out, &agent->keys[i]->certificate_sha256));
		output_set(out, key, "not_after", output_time(out, (int64_t)agent->keys[i]->not_after));
		output_append(out, keys, key);
	}
	return keys;
}

static json_t *write_enrolled_at(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__Agent *agent = source;

	return output_time(out, (int64_t)agent->enrolled_at);
}

static const struct field agent_rows[] = {
	{"keys", NULL, write_keys, .flags = FIELD_SERVER},
	{"join_token", NULL, field_write_text, FIELD_TEXT(Tlsplane__Agent, join_token), .flags = FIELD_SERVER},
	{"enrolled_at", NULL, write_enrolled_at, .flags = FIELD_SERVER},
};
static const struct field_table agent_table = FIELD_TABLE(agent_rows);

const struct resource_kind resource_agent = {.kind = KIND_AGENT, .own = &agent_table};

/* Join tokens --------------------------------------------------------------------------------------------------------
 */

static void read_ttl(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	int64_t ttl;

	if (field_integer(in, value, 1, TTL_MAX, &ttl))
		in->resource->ttl = (uint32_t)ttl;
}

static void read_agent_id(struct field_input *in, const struct field *field, json_t *value, void *target)
{
	const char *id = field_text(in, value);

	if (id == NULL)
		return;
	if (!kind_is_id(id, strlen(id)))
		field_error(in, "invalid-value",
		            "must be the id of an agent: 1 to %d of letters, digits, '_', '.', '-', not beginning with '.' "
		            "or '-'",
		            ID_MAX);
	else
		in->resource->agent_id = field_copy(in, id);
}

static json_t *write_expires_at(struct field_output *out, const struct field *field, const void *source)
{
	const Tlsplane__JoinToken *token = source;

	return output_time(out, (int64_t)token->expires_at);
}

static void finish_join_token(struct field_input *in, json_t *document, ProtobufCMessage *body)
{
	if (in->resource->ttl == 0)
		in->resource->ttl = TTL_DEFAULT;
}

static const struct field join_token_rows[] = {
	{"ttl", read_ttl, NULL},
	{"agent_id", read_agent_id, field_write_text, FIELD_TEXT(Tlsplane__JoinToken, agent_id)},
	{"expires_at", NULL, write_expires_at, .flags = FIELD_SERVER},
	{"used_by", NULL, field_write_text, FIELD_TEXT(Tlsplane__JoinToken, used_by), .flags = FIELD_SERVER},
};
static const struct field_table join_token_table = FIELD_TABLE(join_token_rows);

const struct resource_kind resource_join_token = {
	.kind = KIND_JOIN_TOKEN,
	.own = &join_token_table,
	.is_described = true,
	.finish = finish_join_token,
};
