/* SPDX-License-Identifier: Apache-2.0 */
/* The join token's text form. */
#include "base/file.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "model/kind.h"
#include "sync/identity.h"

#include <string.h>

#define PREFIX "tlsplane1."
#define TOKEN_FILE_MAX 1024

static int base64url_value(char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *at = c != '\0' ? strchr(alphabet, c) : NULL;

	return at != NULL ? (int)(at - alphabet) : -1;
}

/* RFC 4648 section 5, without padding. */
static int decode_base64url(const char *text, size_t len, uint8_t *data, size_t max, size_t *ret_len)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int value = base64url_value(text[i]);

		if (value < 0)
			return E_SYNTAX;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		if (used == max)
			return E_SYNTAX;
		data[used++] = (uint8_t)(bits >> held);
	}
	if (len % 4 == 1 || (bits & ((1u << held) - 1)) != 0)
		return E_SYNTAX;
	*ret_len = used;
	return 0;
}

/* The id may contain dots: the secret and the hash are the last two parts. */
int join_token_parse(const char *text, struct join_token *ret, struct error *err)
{
	CLEANUP(join_token_wipe) struct join_token token = {0};
	size_t len = strcspn(text, "\r\n");
	const char *id = text + strlen(PREFIX), *end = text + len, *secret, *hash;

	if (strncmp(text, PREFIX, strlen(PREFIX)) != 0 || text[len + strspn(text + len, "\r\n")] != '\0')
		return error_set(err, E_SYNTAX, "not a join token");
	hash = memrchr(id, '.', (size_t)(end - id));
	secret = hash != NULL ? memrchr(id, '.', (size_t)(hash - id)) : NULL;
	if (secret == NULL || !kind_is_id(id, (size_t)(secret - id)))
		return error_set(err, E_SYNTAX, "not a join token");
	memcpy(token.id, id, (size_t)(secret - id));
	secret++;
	if (decode_base64url(secret, (size_t)(hash - secret), token.secret, sizeof(token.secret), &token.secret_len) < 0 ||
	    token.secret_len == 0)
		return error_set(err, E_SYNTAX, "the join token's secret is malformed");
	hash++;
	if (end - hash != 2 * SHA256_LEN || !crypto_unhex(hash, 2 * SHA256_LEN, token.ca_sha256))
		return error_set(err, E_SYNTAX, "the join token's CA hash is malformed");
	*ret = token;
	return 0;
}

int join_token_read(const char *path, struct join_token *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = {.sensitive = true};
	int r;

	if (path == NULL)
		return error_set(err, E_NOT_FOUND, "this agent is not enrolled: --join-token-file is needed");
	r = file_load(path, TOKEN_FILE_MAX, &text, err);
	if (r == 0 && buf_cstr(&text) == NULL)
		r = error_nomem(err);
	if (r == 0)
		r = join_token_parse(buf_cstr(&text), ret, err);
	return r < 0 ? error_prefix(err, r, "join token file %s", path) : 0;
}

void join_token_wipe(struct join_token *token)
{
	secret_wipe(token, sizeof(*token));
}
