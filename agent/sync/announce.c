/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/announce.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The digests of a snapshot as message fields, borrowed from it. */
struct digest_fields {
	Tlsplane__SelectorDigest *items;
	Tlsplane__SelectorDigest **list;
	size_t len;
};

static void digest_fields_deinit(struct digest_fields *fields)
{
	free(fields->items);
	free(fields->list);
}
DEFINE_CLEANUP_VALUE(struct digest_fields, digest_fields_deinit);

static void count_digest(const char *selector, const struct digest *digest, void *context)
{
	size_t *count = context;

	(*count)++;
}

static void add_digest(const char *selector, const struct digest *digest, void *context)
{
	struct digest_fields *fields = context;
	Tlsplane__SelectorDigest *item = &fields->items[fields->len];

	tlsplane__selector_digest__init(item);
	item->selector = (char *)(uintptr_t)selector;
	item->digest = (ProtobufCBinaryData){.len = DIGEST_LEN, .data = (uint8_t *)(uintptr_t)digest->bytes};
	fields->list[fields->len++] = item;
}

static int digest_fields_init(struct digest_fields *fields, const struct snapshot *snapshot, struct error *err)
{
	size_t count = 0;

	*fields = (struct digest_fields){0};
	if (snapshot == NULL)
		return 0;
	snapshot_each_digest(snapshot, count_digest, &count);
	fields->items = calloc(count + 1, sizeof(*fields->items));
	fields->list = calloc(count + 1, sizeof(Tlsplane__SelectorDigest *));
	if (fields->items == NULL || fields->list == NULL)
		return error_nomem(err);
	snapshot_each_digest(snapshot, add_digest, fields);
	return 0;
}

static struct revision revision_of(const struct snapshot *snapshot)
{
	return snapshot != NULL ? snapshot_revision(snapshot) : (struct revision){0, 0};
}

int announce_hello(const struct sender *sender, const struct snapshot *snapshot, struct revision high_water,
                   struct revision crashed, bool not_durable, struct error *err)
{
	CLEANUP(digest_fields_deinit) struct digest_fields fields = {0};
	Tlsplane__Hello hello = TLSPLANE__HELLO__INIT;
	struct revision revision = revision_of(snapshot);
	struct digest chain = snapshot != NULL ? *snapshot_chain(snapshot) : DIGEST_NULL;
	char hostname[256] = "";
	int r = digest_fields_init(&fields, snapshot, err);

	if (r < 0)
		return r;
	hello.protocol = 1;
	hello.agent_version = (char *)(uintptr_t)TLSPLANE_VERSION;
	hello.openssl_version = (char *)(uintptr_t)OpenSSL_version(OPENSSL_VERSION);
	hello.epoch = revision.epoch;
	hello.revision = revision.number;
	hello.chain = (ProtobufCBinaryData){.len = DIGEST_LEN, .data = chain.bytes};
	hello.n_digests = fields.len;
	hello.digests = fields.list;
	hello.high_water_epoch = high_water.epoch;
	hello.high_water_revision = high_water.number;
	if (gethostname(hostname, sizeof(hostname) - 1) == 0 && hostname[0] != '\0')
		hello.hostname = hostname;
	hello.has_crashed_epoch = hello.has_crashed_revision = crashed.number > 0;
	hello.crashed_epoch = crashed.epoch;
	hello.crashed_revision = crashed.number;
	hello.has_takes_ticket_keys = hello.takes_ticket_keys = true;
	hello.has_takes_serve_checks = hello.takes_serve_checks = true;
	hello.has_not_durable = hello.not_durable = not_durable;
	return sender->send(TLSPLANE__MESSAGE_TYPE__MESSAGE_HELLO, &hello.base, sender->owner, err);
}

int announce_heartbeat(const struct sender *sender, const struct snapshot *snapshot, bool not_durable,
                       struct error *err)
{
	CLEANUP(digest_fields_deinit) struct digest_fields fields = {0};
	Tlsplane__Heartbeat beat = TLSPLANE__HEARTBEAT__INIT;
	struct revision revision = revision_of(snapshot);
	int r = digest_fields_init(&fields, snapshot, err);

	if (r < 0)
		return r;
	beat.epoch = revision.epoch;
	beat.revision = revision.number;
	beat.n_digests = fields.len;
	beat.digests = fields.list;
	beat.has_not_durable = beat.not_durable = not_durable;
	return sender->send(TLSPLANE__MESSAGE_TYPE__MESSAGE_HEARTBEAT, &beat.base, sender->owner, err);
}

int announce_ack(const struct sender *sender, struct revision revision, struct error *err)
{
	Tlsplane__Ack ack = TLSPLANE__ACK__INIT;

	ack.epoch = revision.epoch;
	ack.revision = revision.number;
	return sender->send(TLSPLANE__MESSAGE_TYPE__MESSAGE_ACK, &ack.base, sender->owner, err);
}

int announce_nack(const struct sender *sender, struct revision revision, const struct snapshot_refusal *refusal,
                  struct error *err)
{
	Tlsplane__ObjectReason object = TLSPLANE__OBJECT_REASON__INIT, *objects[] = {&object};
	Tlsplane__Nack nack = TLSPLANE__NACK__INIT;

	nack.epoch = revision.epoch;
	nack.revision = revision.number;
	nack.code = refusal->code;
	nack.text = (char *)(uintptr_t)refusal->reason;
	if (refusal->kind != 0) {
		object.kind = refusal->kind;
		object.id = (char *)(uintptr_t)refusal->id;
		object.field = refusal->field[0] != '\0' ? (char *)(uintptr_t)refusal->field : NULL;
		object.reason = (char *)(uintptr_t)refusal->reason;
		nack.n_objects = 1;
		nack.objects = objects;
	}
	return sender->send(TLSPLANE__MESSAGE_TYPE__MESSAGE_NACK, &nack.base, sender->owner, err);
}

int announce_resync(const struct sender *sender, char **selectors, size_t count, struct error *err)
{
	Tlsplane__Resync resync = TLSPLANE__RESYNC__INIT;

	resync.n_selectors = count;
	resync.selectors = selectors;
	return sender->send(TLSPLANE__MESSAGE_TYPE__MESSAGE_RESYNC, &resync.base, sender->owner, err);
}
