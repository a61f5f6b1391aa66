/* SPDX-License-Identifier: Apache-2.0 */
/* The first contents of a store, and what every later start checks or renews. Files that tell of secrets are durable
 * before the transaction that relies on them commits: a kill in between makes the next start a first start again, which
 * writes them anew. */
#include "store/start.h"

#include "base/file.h"
#include "crypto/crypto.h"
#include "store/facets.h"
#include "store/file.h"
#include "store/sealing.h"
#include "store/token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ADMIN_TOKEN_FILE "admin.token"

static struct store_author author_now(const char *actor)
{
	return (struct store_author){.actor = actor, .request_id = "", .source = "", .now = (uint64_t)time(NULL)};
}

static int put_admin_token(struct store_writer *writer, const char *id, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	struct store_token token = {.role = "admin", .created_by = "tlsplane", .create_time = (uint64_t)time(NULL)};
	int code;

	snprintf(token.id, sizeof(token.id), "%s", id);
	code = token_make(token.role, &text, token.sha256, err);
	if (code != 0)
		return code;
	buf_put_u8(&text, '\n');
	if (text.failed)
		return error_nomem(err);
	code = file_write(writer->reader.store->dir, ADMIN_TOKEN_FILE, 0600, BYTES(text.data, text.len), err);
	return code == 0 ? store_put_token(writer, &token, err) : code;
}

/* Presets are ordinary objects that only this function writes: two agent versions mean the same by them. */
static int put_presets(struct store_writer *writer, struct error *err)
{
	int code = 0;

	for (size_t i = 0; code == 0; i++) {
		CLEANUP(resource_free) struct resource *preset = NULL;
		struct store_put put;

		code = resource_preset(i, &preset, err);
		if (code == E_NOT_FOUND)
			return 0;
		if (code != 0)
			break;
		put = (struct store_put){.resource = preset, .body = BYTES(preset->body, preset->body_len)};
		code = store_put(writer, &put, NULL, err);
		if (code == E_EXISTS)
			code = 0;
	}
	return code;
}

static int write_presets(struct store_writer *writer, struct error *err)
{
	struct store_author author = author_now("tlsplane");
	struct store_revision revision;
	int code = store_revision_begin(writer, &author, err);

	if (code != 0)
		return code;
	code = put_presets(writer, err);
	if (code != 0) {
		store_revision_abort(writer);
		return code;
	}
	code = store_revision_end(writer, &revision, err);
	return code == E_EXISTS ? 0 : code;
}

int first_start(struct store_writer *writer, const struct store_config *config, struct error *err)
{
	int code = sealing_adopt(writer, (uint64_t)time(NULL), err);

	if (code == 0)
		code = facets_begin(writer, err);
	if (code == 0)
		code = ca_create(writer, config, err);
	if (code == 0)
		code = put_admin_token(writer, "admin", err);
	return code == 0 ? write_presets(writer, err) : code;
}

static int begin_epoch(struct store_writer *writer, struct error *err)
{
	struct store_author author = author_now("operator");
	struct store_revision revision;
	int code = revision_begin_epoch(writer, &author, err);

	return code == 0 ? revision_end_as(writer, "new epoch", true, &revision, err) : code;
}

int later_start(struct store_writer *writer, const struct store_config *config, struct error *err)
{
	int code = sealing_check(writer, err);

	if (code == 0)
		code = ca_load(writer, config, err);
	if (code == 0 && config->new_epoch)
		code = begin_epoch(writer, err);
	return code == 0 ? write_presets(writer, err) : code;
}

/* Has whoever restores put a token there that the backup knows? */
static int find_standing_token(struct store_writer *writer, bool *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = {.sensitive = true};
	CLEANUP(store_token_deinit) struct store_token token = {0};
	char *path = file_path(writer->reader.store->dir, ADMIN_TOKEN_FILE);
	uint8_t sha256[SHA256_LEN];
	int code = path == NULL ? error_nomem(err) : file_load(path, FILE_CONTENT_MAX, &text, err);

	free(path);
	if (code == 0)
		code = crypto_sha256(BYTES(text.data, text.len > 0 ? text.len - 1 : 0), sha256, err); /* without its line's end */
	if (code == 0)
		code = store_find_token(&writer->reader, sha256, &token, err);
	*ret = code == 0;
	return code == E_NOT_FOUND ? 0 : code;
}

int restored_start(struct store_writer *writer, struct error *err)
{
	char id[ID_MAX + 1];
	bool known = false;
	int code = find_standing_token(writer, &known, err);

	if (code != 0 || known)
		return code;
	snprintf(id, sizeof(id), "restored-%" PRIu64, writer->head.revision.epoch);
	return put_admin_token(writer, id, err);
}
