/* SPDX-License-Identifier: Apache-2.0 */
/* Updates as a control plane sends them, or somebody who has its key: frames of UpdateBegin, UpdateObjects, UpdateEnd become snapshots,
 * each on top of the one before, or refusals that leave it alone. What stands can be walked, and its sums are those of its objects. */
#include "crypto/crypto.h"
#include "crypto/seal.h"
#include "model/body.h"
#include "net/frame.h"
#include "sync/receive.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uv_loop_t loop;
static struct keyring *keyring;
static struct site_cache *sites;
static struct snapshot_context context;

/* In place of libc's: upstreams that are names ask nobody. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                                                       struct addrinfo **ret)
{
	return EAI_FAIL;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char dir[] = "/tmp/tlsplane-fuzz-XXXXXX", path[64];

	if (crypto_init(NULL) < 0 || mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/keyring", dir);
	if (keyring_load(path, true, &keyring, NULL) < 0 || site_cache_new(keyring, 4, &sites, NULL) < 0 || uv_loop_init(&loop) < 0)
		abort();
	unlink(path);
	rmdir(dir);
	context = (struct snapshot_context){.loop = &loop, .keyring = keyring, .hash_key = {1, 2}};
	return 0;
}

static int count_entry(const struct entry *entry, void *counted)
{
	if (entry->id[entry->id_len] != '\0' || kind_find(entry->kind) == NULL)
		abort();
	++*(size_t *)counted;
	return 0;
}

static void check_listed(const char *selector, const struct digest *digest, void *counted)
{
	if (memcmp(digest->bytes, DIGEST_NULL.bytes, DIGEST_LEN) == 0)
		abort();
	++*(size_t *)counted;
}

static void check_snapshot(const struct snapshot *snapshot)
{
	size_t entries = 0, selectors = 0;

	(void)snapshot_each_entry(snapshot, count_entry, &entries);
	snapshot_each_digest(snapshot, check_listed, &selectors);
	if (entries != snapshot_object_count(snapshot, 0) || (entries == 0) != (selectors == 0))
		abort();
	for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
		const struct listener_view *listener = snapshot_listener(snapshot, i);

		if (snapshot_find_listener(snapshot, listener->address) == NULL)
			abort();
		(void)snapshot_choose_route(snapshot, BYTES("a.test", 6), listener->id);
	}
	(void)snapshot_best_ssl(snapshot, BYTES("a.test", 6));
}

/* The update is whole: the snapshot after it, or NULL when it was refused. */
static struct snapshot *finish(struct receive *receive)
{
	struct snapshot_refusal refusal = {0};
	struct error err = ERROR_NULL;
	CLEANUP(snapshot_builder_free) struct snapshot_builder *builder = receive_take(receive);

	if (snapshot_builder_prepare(builder, sites, 16, &refusal, &err) == 0)
		return snapshot_builder_finish(TAKE_PTR(builder));
	if (err.text[0] == '\0' && refusal.reason[0] == '\0')
		abort();
	return NULL;
}

/* Digests that differ would be asked for again; here they just count as right. Negative: a link would end here. */
static int take_message(struct receive *receive, Tlsplane__MessageType type, const ProtobufCMessage *message,
                        struct snapshot **snapshot)
{
	CLEANUP(mismatch_deinit) struct mismatch mismatch = {0};
	struct snapshot_refusal refusal = {0};
	struct error err = ERROR_NULL;
	struct snapshot *after;
	int r;

	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN)
		return receive_begin(receive, &context, *snapshot, (const Tlsplane__UpdateBegin *)message, &refusal, &err);
	if (receive->builder == NULL)
		return 0;
	if (type == TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_OBJECTS)
		return receive_objects(receive, (const Tlsplane__UpdateObjects *)message, &refusal, &err);
	if (type != TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END)
		return 0;
	r = receive_compare(receive, (const Tlsplane__UpdateEnd *)message, &mismatch, &err);
	after = r == 0 ? finish(receive) : NULL;
	if (after == NULL)
		return r;
	check_snapshot(after);
	if (*snapshot != NULL)
		(void)snapshot_may_tighten(*snapshot, after);
	snapshot_free(*snapshot);
	*snapshot = after;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
	struct bytes input = BYTES(data, size);
	struct receive receive = {0};
	struct frame_reader reader;
	int r = 1;

	frame_reader_init(&reader);
	while (r == 1) {
		struct error err = ERROR_NULL;
		ProtobufCMessage *message;
		Tlsplane__MessageType type;

		r = frame_reader_take(&reader, &input, &type, &message, &err);
		if (r != 1)
			break;
		if (take_message(&receive, type, message, &snapshot) < 0)
			receive_reset(&receive);
		body_free_secret(message);
	}
	frame_reader_deinit(&reader);
	receive_reset(&receive);
	snapshot_free(TAKE_PTR(snapshot));
	uv_run(&loop, UV_RUN_DEFAULT);
	return 0;
}
