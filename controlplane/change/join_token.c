/* SPDX-License-Identifier: Apache-2.0 */
/* Join tokens: "tlsplane1.ID.SECRET.CA", the secret 32 random bytes in base64url, CA the SHA-256 of the CA's DER in
 * hex. The text is told once, in the answer to its creation; the store has the SHA-256 of the secret's bytes. */
#include "change/request.h"

#include "channel.pb-c.h"
#include "crypto/crypto.h"
#include "model/body.h"
#include "store/token.h"

#include <stdlib.h>
#include <string.h>

static int make_text(struct request_job *job, const char *id, const uint8_t *secret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = {.sensitive = true};

	buf_put_str(&text, "tlsplane1.");
	buf_put_str(&text, id);
	buf_put_str(&text, ".");
	token_put_base64url(BYTES(secret, TOKEN_SECRET_LEN), &text);
	buf_put_str(&text, ".");
	buf_put_str(&text, job->job.engine->ca_sha256);
	if (text.failed)
		return error_nomem(err);
	job->token_text = secret_new_copy(text.data, text.len);
	return job->token_text != NULL ? 0 : error_nomem(err);
}

static int make_body(struct resource *resource, uint8_t secret_sha256[32], uint64_t now, struct error *err)
{
	Tlsplane__JoinToken body = TLSPLANE__JOIN_TOKEN__INIT;
	CLEANUP(buf_deinit) struct buf encoded = BUF_NULL;
	int code;

	body.secret_sha256 = (ProtobufCBinaryData){.data = secret_sha256, .len = SHA256_LEN};
	body.expires_at = now + resource->ttl;
	body.agent_id = resource->agent_id;
	code = body_encode(&body.base, &encoded, err);
	if (code != 0)
		return code;
	free(resource->body);
	resource->body = (uint8_t *)buf_take(&encoded, &resource->body_len);
	return resource->body != NULL ? 0 : error_nomem(err);
}

int join_token_prepare(struct request_job *job, size_t index, struct error *err)
{
	struct resource *resource = job->items[index].resource;
	uint8_t secret[TOKEN_SECRET_LEN], sha256[SHA256_LEN];
	int code;

	if (job->request.items_len > 1) {
		refuse(job, index, E_INVALID, "not-here", "", "a join token is told once: create it by a request of its own");
		return 0;
	}
	code = crypto_random(secret, sizeof(secret), err);
	if (code == 0)
		code = crypto_sha256(BYTES(secret, sizeof(secret)), sha256, err);
	if (code == 0)
		code = make_text(job, resource->id, secret, err);
	if (code == 0)
		code = make_body(resource, sha256, job->limits.now, err);
	secret_wipe(secret, sizeof(secret));
	return code;
}

int join_token_check(struct request_job *job, size_t index, struct store_writer *writer, struct error *err)
{
	const struct resource *resource = job->items[index].resource;
	bool used = false;
	int code;

	if (resource->agent_id == NULL)
		return 0;
	code = store_agent_id_is_used(writer, resource->agent_id, &used, err);
	if (code == 0 && used)
		refuse(job, index, E_INVALID, "agent-id-used", "/agent_id",
		       "agent %s exists or existed: ids of agents are never used again", resource->agent_id);
	return code;
}
