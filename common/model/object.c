/* SPDX-License-Identifier: Apache-2.0 */
/* Identity, age and digests of objects: the byte formats that channel.proto writes down ("DIGEST", "CHAIN HASH",
 * "UID"). Pure. */
#include "model/object.h"

#include "crypto/crypto.h"

#include <string.h>

#define OBJECT_TAG "tlsplane/object/v1" /* hashed with its terminating zero, as the chain's */
#define CHAIN_TAG "tlsplane/chain/v1"

enum { CHAIN_OP_PUT = 1, CHAIN_OP_DELETE = 2 };

static void put_uint(uint8_t *out, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

struct uid uid_make(uint64_t epoch, uint64_t revision, uint32_t ordinal)
{
	struct uid uid = {{0}};

	put_uint(uid.bytes, epoch, 8);
	put_uint(uid.bytes + 8, revision, 8);
	put_uint(uid.bytes + 16, ordinal, 4);
	return uid;
}

bool uid_is_better(int32_t priority_a, const struct uid *a, int32_t priority_b, const struct uid *b)
{
	if (priority_a != priority_b)
		return priority_a > priority_b;
	return memcmp(a->bytes, b->bytes, UID_LEN) > 0;
}

struct revision uid_revision(const struct uid *uid)
{
	struct cursor cursor = {uid->bytes, UID_LEN, false};
	uint64_t epoch = cursor_u64(&cursor);

	return (struct revision){epoch, cursor_u64(&cursor)};
}

void uid_format(const struct uid *uid, char text[2 * UID_LEN + 1])
{
	crypto_hex(uid->bytes, UID_LEN, text);
}

static int uint_compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int revision_compare(struct revision a, struct revision b)
{
	return a.epoch != b.epoch ? uint_compare(a.epoch, b.epoch) : uint_compare(a.number, b.number);
}

void digest_add(struct digest *sum, const struct digest *term)
{
	unsigned carry = 0;

	for (size_t i = DIGEST_LEN; i-- > 0;) {
		carry += (unsigned)sum->bytes[i] + term->bytes[i];
		sum->bytes[i] = (uint8_t)carry;
		carry >>= 8;
	}
}

void digest_subtract(struct digest *sum, const struct digest *term)
{
	unsigned borrow = 0;

	for (size_t i = DIGEST_LEN; i-- > 0;) {
		unsigned difference = 0x100u + sum->bytes[i] - term->bytes[i] - borrow;

		sum->bytes[i] = (uint8_t)difference;
		borrow = difference < 0x100u;
	}
}

bool digest_is_equal(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_LEN) == 0;
}

static int digest_finish(const struct buf *input, struct digest *ret, struct error *err)
{
	if (input->failed)
		return error_nomem(err);
	return crypto_sha256(BYTES(input->data, input->len), ret->bytes, err);
}

int object_digest(const struct object_view *object, struct digest *ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf input = BUF_NULL;

	buf_put(&input, OBJECT_TAG, sizeof(OBJECT_TAG));
	buf_put_u32(&input, (uint32_t)object->kind);
	buf_put_lv(&input, object->uid.bytes, UID_LEN);
	buf_put_u64(&input, object->version);
	buf_put_lv(&input, object->id, strlen(object->id));
	buf_put_lv(&input, object->selector, strlen(object->selector));
	buf_put_lv(&input, object->body.data, object->body.len);
	return digest_finish(&input, ret, err);
}

int chain_extend(struct digest *chain, struct revision revision, const struct chain_change *changes, size_t count,
                 struct error *err)
{
	CLEANUP(buf_deinit) struct buf input = BUF_NULL;

	buf_put(&input, CHAIN_TAG, sizeof(CHAIN_TAG));
	buf_put(&input, chain->bytes, DIGEST_LEN);
	buf_put_u64(&input, revision.epoch);
	buf_put_u64(&input, revision.number);
	for (size_t i = 0; i < count; i++) {
		const struct digest *digest = changes[i].deleted ? &DIGEST_NULL : &changes[i].digest;

		buf_put_u32(&input, (uint32_t)changes[i].kind);
		buf_put_lv(&input, changes[i].id, strlen(changes[i].id));
		buf_put_lv(&input, changes[i].uid.bytes, UID_LEN);
		buf_put_u8(&input, changes[i].deleted ? CHAIN_OP_DELETE : CHAIN_OP_PUT);
		buf_put(&input, digest->bytes, DIGEST_LEN);
	}
	return digest_finish(&input, chain, err);
}
