/* SPDX-License-Identifier: Apache-2.0 */
/* The trie against a plain list: random changes on several clones at once, good hashes and hopeless ones, with and without memory.
 * hash_bytes is wrapped so that a test can throw bits of the hash away. */
#include "base/trie.h"

#include "allocations.h"
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#define KEYS 400
#define TRIES 4
#define STEPS 20000

uint64_t __real_hash_bytes(const struct hash_key *key, struct bytes input);
uint64_t __wrap_hash_bytes(const struct hash_key *key, struct bytes input);

static uint64_t hash_mask = UINT64_MAX;

uint64_t __wrap_hash_bytes(const struct hash_key *key, struct bytes input)
{
	return __real_hash_bytes(key, input) & hash_mask;
}

struct item {
	uint32_t key;
	unsigned refs; /* by tries */
};

static struct bytes item_key(const void *value)
{
	const struct item *item = value;

	return BYTES(&item->key, sizeof(item->key));
}

static void item_ref(void *value)
{
	((struct item *)value)->refs++;
}

static void item_unref(void *value)
{
	struct item *item = value;

	if (item->refs == 0)
		abort(); /* an assertion of Check's would allocate, maybe while that fails on purpose */
	item->refs--;
}

static const struct trie_ops ops = {item_key, item_ref, item_unref};

/* Two items per key, so that a replacement can be told. */
static struct item items[KEYS][2];

struct pair {
	struct trie trie;
	struct item *list[KEYS]; /* what the trie should hold */
};

static void items_init(void)
{
	for (uint32_t i = 0; i < KEYS; i++) {
		for (int j = 0; j < 2; j++)
			items[i][j] = (struct item){.key = i * 2654435761u};
	}
}

static void items_check_unused(void)
{
	for (uint32_t i = 0; i < KEYS; i++) {
		for (int j = 0; j < 2; j++)
			ck_assert_uint_eq(items[i][j].refs, 0);
	}
}

static void pair_init(struct pair *pair)
{
	const struct hash_key key = {1, 2};

	trie_init(&pair->trie, &ops, key);
	memset(pair->list, 0, sizeof(pair->list));
}

static int count_value(void *value, void *context)
{
	size_t *count = context;

	ck_assert_uint_gt(((struct item *)value)->refs, 0);
	(*count)++;
	return 0;
}

static void pair_check(const struct pair *pair)
{
	size_t count = 0, walked = 0;

	for (uint32_t i = 0; i < KEYS; i++) {
		ck_assert_ptr_eq(trie_find(&pair->trie, item_key(&items[i][0])), pair->list[i]);
		count += pair->list[i] != NULL;
	}
	ck_assert_uint_eq(pair->trie.count, count);
	ck_assert_int_eq(trie_each(&pair->trie, count_value, &walked), 0);
	ck_assert_uint_eq(walked, count);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void pair_step(struct pair *pair, uint64_t random, size_t fail_at)
{
	uint32_t key = (uint32_t)(random >> 8) % KEYS;
	struct item *item = &items[key][random >> 40 & 1];
	bool put = (random & 3) != 0, failed;
	int r;

	allocations_fail_at(fail_at);
	r = put ? trie_put(&pair->trie, item) : trie_remove(&pair->trie, item_key(item));
	failed = allocations_stop();
	if (r == E_NOMEM) {
		ck_assert(failed);
		return;
	}
	ck_assert_int_eq(r, put || pair->list[key] != NULL ? 0 : E_NOT_FOUND);
	pair->list[key] = put ? item : NULL;
}

static void run_random(uint64_t mask, uint64_t seed, bool without_memory)
{
	struct pair pairs[TRIES];
	uint64_t state = seed;

	hash_mask = mask;
	items_init();
	for (int i = 0; i < TRIES; i++)
		pair_init(&pairs[i]);
	for (int step = 0; step < STEPS; step++) {
		uint64_t random = random_next(&state);
		struct pair *pair = &pairs[random >> 50 & (TRIES - 1)];

		if (random % 97 == 0) { /* a clone of one takes the place of another */
			struct pair *other = &pairs[random >> 52 & (TRIES - 1)];

			if (other != pair) {
				trie_deinit(&other->trie);
				trie_clone(&pair->trie, &other->trie);
				memcpy(other->list, pair->list, sizeof(other->list));
			}
		} else {
			pair_step(pair, random_next(&state), without_memory && random % 3 == 0 ? 1 + (random >> 20) % 4 : 0);
		}
		if (step % 500 == 0) {
			for (int i = 0; i < TRIES; i++)
				pair_check(&pairs[i]);
		}
	}
	for (int i = 0; i < TRIES; i++) {
		pair_check(&pairs[i]);
		trie_deinit(&pairs[i].trie);
	}
	items_check_unused();
}

START_TEST(random_changes)
{
	run_random(UINT64_MAX, 0x9e3779b97f4a7c15u, false);
}
END_TEST

START_TEST(random_changes_with_bad_hashes)
{
	run_random(0x0f, 42, false);                /* deep chains, then lists */
	run_random(0xf000000000000000u, 43, false); /* differ at the last level only */
	run_random(0, 44, false);                   /* one list */
}
END_TEST

START_TEST(random_changes_without_memory)
{
	run_random(UINT64_MAX, 45, true);
	run_random(0xf00000000000000fu, 46, true);
	run_random(0, 47, true);
}
END_TEST

START_TEST(empty)
{
	struct pair pair, clone;

	items_init();
	pair_init(&pair);
	ck_assert_ptr_null(trie_find(&pair.trie, BYTES("x", 1)));
	ck_assert_int_eq(trie_remove(&pair.trie, BYTES("x", 1)), E_NOT_FOUND);
	trie_clone(&pair.trie, &clone.trie);
	trie_deinit(&clone.trie);
	ck_assert_int_eq(trie_put(&pair.trie, &items[0][0]), 0);
	ck_assert_int_eq(trie_remove(&pair.trie, item_key(&items[0][0])), 0);
	ck_assert_ptr_null(pair.trie.root);
	trie_deinit(&pair.trie);
	items_check_unused();
}
END_TEST

static int stop_at_third(void *value, void *context)
{
	int *count = context;

	return ++*count == 3 ? -7 : 0;
}

START_TEST(each_stops)
{
	struct pair pair;
	int count = 0;

	items_init();
	pair_init(&pair);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(trie_put(&pair.trie, &items[i][0]), 0);
	ck_assert_int_eq(trie_each(&pair.trie, stop_at_third, &count), -7);
	ck_assert_int_eq(count, 3);
	trie_deinit(&pair.trie);
}
END_TEST

static int count_by_key(void *value, void *context)
{
	unsigned *counts = context;

	counts[((struct item *)value)->key]++;
	return 0;
}

/* The portions are the whole, each value in one; also where a branch is missing, and where hashes are alike. */
START_TEST(parts_are_the_whole)
{
	static const uint64_t masks[] = {UINT64_MAX, 0x3e0, 0x1f, 0};
	static const struct trie_ops uncounted = {.key = item_key};
	static struct item many[3000];

	for (size_t m = 0; m < sizeof(masks) / sizeof(masks[0]); m++) {
		for (size_t n = 1; n <= 3000; n *= masks[m] == UINT64_MAX ? 3000 : 30) {
			static unsigned counts[3000];
			struct trie trie;

			hash_mask = masks[m];
			memset(counts, 0, sizeof(counts));
			trie_init(&trie, &uncounted, (struct hash_key){1, 2});
			for (uint32_t i = 0; i < n; i++) {
				many[i] = (struct item){.key = i};
				ck_assert_int_eq(trie_put(&trie, &many[i]), 0);
			}
			for (unsigned part = 0; part < TRIE_PARTS; part++)
				ck_assert_int_eq(trie_each_part(&trie, part, count_by_key, counts), 0);
			for (size_t i = 0; i < n; i++)
				ck_assert_uint_eq(counts[i], 1);
			trie_deinit(&trie);
		}
	}
	hash_mask = UINT64_MAX;
}
END_TEST

UNIT_MAIN("base/trie", random_changes, random_changes_with_bad_hashes, random_changes_without_memory, empty, each_stops,
          parts_are_the_whole)
