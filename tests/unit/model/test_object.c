/* SPDX-License-Identifier: Apache-2.0 */
/* Identity, age, and the digests as channel.proto writes them down, byte by byte. */
#include "model/object.h"

#include "base/macros.h"
#include "unit.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

static struct digest random_digest(unsigned *seed)
{
	struct digest digest;

	for (size_t i = 0; i < DIGEST_LEN; i++)
		digest.bytes[i] = (uint8_t)rand_r(seed);
	return digest;
}

START_TEST(uid_order_is_age)
{
	struct uid old = uid_make(1, 9, 7), younger = uid_make(1, 10, 0), youngest = uid_make(2, 1, 0);
	char text[2 * UID_LEN + 1];

	ck_assert_int_lt(memcmp(&old, &younger, UID_LEN), 0);
	ck_assert_int_lt(memcmp(&younger, &youngest, UID_LEN), 0);
	uid_format(&(struct uid){{0}}, text);
	ck_assert_str_eq(text, "0000000000000000000000000000000000000000");
	old = uid_make(0x0102030405060708, 0x1112131415161718, 0x21222324);
	uid_format(&old, text);
	ck_assert_str_eq(text, "0102030405060708111213141516171821222324");
}
END_TEST

START_TEST(revisions_order_by_epoch_first)
{
	ck_assert_int_lt(revision_compare((struct revision){1, UINT64_MAX}, (struct revision){2, 0}), 0);
	ck_assert_int_gt(revision_compare((struct revision){1, 2}, (struct revision){1, 1}), 0);
	ck_assert_int_eq(revision_compare((struct revision){3, 3}, (struct revision){3, 3}), 0);
}
END_TEST

START_TEST(digest_sums_are_modular)
{
	struct digest ones, one = DIGEST_NULL, sum = DIGEST_NULL;

	memset(&ones, 0xff, sizeof(ones));
	one.bytes[DIGEST_LEN - 1] = 1;
	sum = ones;
	digest_add(&sum, &one);
	ck_assert(digest_is_equal(&sum, &DIGEST_NULL));
	digest_subtract(&sum, &one);
	ck_assert(digest_is_equal(&sum, &ones));
	sum = DIGEST_NULL;
	sum.bytes[DIGEST_LEN - 2] = 1; /* 256 */
	digest_subtract(&sum, &one);
	ck_assert_uint_eq(sum.bytes[DIGEST_LEN - 1], 255);
	ck_assert_uint_eq(sum.bytes[DIGEST_LEN - 2], 0);
}
END_TEST

START_TEST(digest_sums_forget_order)
{
	unsigned seed = 1;

	for (int round = 0; round < 500; round++) {
		struct digest a = random_digest(&seed), b = random_digest(&seed), c = random_digest(&seed);
		struct digest left = DIGEST_NULL, right = DIGEST_NULL;

		digest_add(&left, &a);
		digest_add(&left, &b);
		digest_add(&left, &c);
		digest_add(&right, &c);
		digest_add(&right, &a);
		digest_add(&right, &b);
		ck_assert(digest_is_equal(&left, &right));
		digest_subtract(&left, &a);
		digest_subtract(&left, &c);
		ck_assert(digest_is_equal(&left, &b));
		digest_subtract(&left, &b);
		ck_assert(digest_is_equal(&left, &DIGEST_NULL));
	}
}
END_TEST

START_TEST(object_digest_is_as_written_down)
{
	static const char input[] = "tlsplane/object/v1\0"
								"\0\0\0\x03"
								"\0\0\0\x14"
								"\0\0\0\0\0\0\0\1"
								"\0\0\0\0\0\0\0\2"
								"\0\0\0\3"
								"\0\0\0\0\0\0\1\2"
								"\0\0\0\x02"
								"id"
								"\0\0\0\x03"
								"a=b"
								"\0\0\0\x04"
								"bo\0y";
	struct object_view object = {.kind = KIND_LISTENER,
	                             .id = "id",
	                             .uid = uid_make(1, 2, 3),
	                             .version = 0x102,
	                             .selector = "a=b",
	                             .body = BYTES("bo\0y", 4)};
	struct digest digest, expected;

	SHA256((const unsigned char *)input, sizeof(input) - 1, expected.bytes);
	ck_assert_int_eq(object_digest(&object, &digest, NULL), 0);
	ck_assert(digest_is_equal(&digest, &expected));
	object.selector = "";
	ck_assert_int_eq(object_digest(&object, &digest, NULL), 0);
	ck_assert(!digest_is_equal(&digest, &expected));
}
END_TEST

START_TEST(chain_is_as_written_down)
{
	static const char head[] = "tlsplane/chain/v1\0";
	struct chain_change changes[2] = {
		{.kind = KIND_SSL, .id = "a", .uid = uid_make(1, 2, 3)},
		{.kind = KIND_SSL, .id = "bb", .uid = uid_make(1, 2, 4), .deleted = true},
	};
	struct digest chain = DIGEST_NULL, expected;
	uint8_t input[512];
	size_t len = 0;

	memset(&chain, 7, sizeof(chain));
	memset(&changes[0].digest, 9, DIGEST_LEN);
	memset(&changes[1].digest, 5, DIGEST_LEN); /* must not matter */
	memcpy(input, head, sizeof(head) - 1);
	len = sizeof(head) - 1;
	memset(input + len, 7, 32);
	len += 32;
	memcpy(input + len, "\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6", 16);
	len += 16;
	memcpy(input + len, "\0\0\0\1\0\0\0\1a\0\0\0\x14", 13);
	len += 13;
	memcpy(input + len, changes[0].uid.bytes, UID_LEN);
	len += UID_LEN;
	input[len++] = 1;
	memset(input + len, 9, 32);
	len += 32;
	memcpy(input + len, "\0\0\0\1\0\0\0\2bb\0\0\0\x14", 14);
	len += 14;
	memcpy(input + len, changes[1].uid.bytes, UID_LEN);
	len += UID_LEN;
	input[len++] = 2;
	memset(input + len, 0, 32);
	len += 32;
	SHA256(input, len, expected.bytes);
	ck_assert_int_eq(chain_extend(&chain, (struct revision){5, 6}, changes, 2, NULL), 0);
	ck_assert(digest_is_equal(&chain, &expected));
	ck_assert_int_eq(chain_extend(&chain, (struct revision){5, 7}, NULL, 0, NULL), 0);
	ck_assert(!digest_is_equal(&chain, &expected));
}
END_TEST

UNIT_MAIN("model/object", uid_order_is_age, revisions_order_by_epoch_first, digest_sums_are_modular,
          digest_sums_forget_order, object_digest_is_as_written_down, chain_is_as_written_down)
