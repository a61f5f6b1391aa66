/* SPDX-License-Identifier: Apache-2.0 */
/* The first contents of a store, and what every later start checks or renews. Files that tell of secrets are durable
 * before the transaction that relies on them commits: a kill in between makes the next start a first start again, which
 * writes them anew. */
#include "store/start.h"

#include "crypto/crypto.h"
#include "store/file.h"
#include "store/token.h"

#include <string.h>
#include <time.h>

#define FINGERPRINT_LEN 8

static struct store_author author_now(const char *actor)
{
	return (struct store_author){.actor = actor, .request_id = "", .source = "", .now = (uint64_t)time(NULL)};
}

static int put_admin_token(struct store_writer *writer, struct error *err)
{
	CLEANUP(buf_deinit) struct buf text = BUF_NULL;
	uint8_t sha256[SHA256_LEN];
	int code = token_make_admin(&text, sha256, err);

	if (code != 0)
		return code;
	buf_put_u8(&text, '\n');
	if (text.failed)
		return error_nomem(err);
	code = file_write(writer->reader.store->dir, "admin.token", 0600, BYTES(text.data, text.len), err);
	if (code != 0)
		return code;
	return statement_run(&writer->reader.database, STMT_TOKEN_PUT, err, V_BLOB(sha256, sizeof(sha256)), V_TEXT("admin"),
	                     V_INT(time(NULL)));
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
	uint8_t fingerprint[FINGERPRINT_LEN];
	int code;

	keyring_fingerprint(writer->reader.store->keyring, fingerprint);
	code = meta_put(&writer->reader.database, "keyring", BYTES(fingerprint, sizeof(fingerprint)), err);
	if (code == 0)
		code = ca_create(writer, config, err);
	if (code == 0)
		code = put_admin_token(writer, err);
	return code == 0 ? write_presets(writer, err) : code;
}

static int check_keyring(struct store_writer *writer, struct error *err)
{
	CLEANUP(buf_deinit) struct buf stored = BUF_NULL;
	uint8_t fingerprint[FINGERPRINT_LEN];
	int code = meta_get(&writer->reader.database, "keyring", &stored, err);

	if (code != 0)
		return code;
	keyring_fingerprint(writer->reader.store->keyring, fingerprint);
	if (stored.len != sizeof(fingerprint) || memcmp(stored.data, fingerprint, sizeof(fingerprint)) != 0)
		return error_set(err, E_CORRUPT,
		                 "%s/keyring is not the keyring that sealed this store; bring back the right one",
		                 writer->reader.store->dir);
	return 0;
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
	int code = check_keyring(writer, err);

	if (code == 0)
		code = ca_load(writer, config, err);
	if (code == 0 && config->new_epoch)
		code = begin_epoch(writer, err);
	return code == 0 ? write_presets(writer, err) : code;
}
