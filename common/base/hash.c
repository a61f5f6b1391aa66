/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static void sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

static uint64_t load_le(const uint8_t *data, size_t len)
{
	uint64_t word = 0;

	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)data[i] << (8 * i);
	return word;
}

uint64_t hash_bytes(const struct hash_key *key, struct bytes input)
{
	struct sip s = {
	    key->k0 ^ 0x736f6d6570736575u,
	    key->k1 ^ 0x646f72616e646f6du,
	    key->k0 ^ 0x6c7967656e657261u,
	    key->k1 ^ 0x7465646279746573u,
	};
	size_t whole = input.len & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(&s, load_le(input.data + i, 8));
	sip_word(&s, load_le(input.data + whole, input.len - whole) | (uint64_t)input.len << 56);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
