/* SPDX-License-Identifier: Apache-2.0 */
#include "ticket_keys.h"

#include <check.h>
#include <ctype.h>
#include <string.h>
#include <time.h>

#define KEYS 4
#define SETS 4

struct room {
	Tlsplane__TicketSet sets[SETS], *set_list[SETS];
	Tlsplane__TicketKey keys[SETS][KEYS], *key_list[SETS][KEYS];
	uint8_t names[SETS][KEYS][TICKET_NAME_LEN], secrets[SETS][KEYS][TICKET_SECRET_LEN];
};

static void fill_key(struct room *room, const struct keys_spec *spec, size_t i, size_t j)
{
	Tlsplane__TicketKey *key = &room->keys[i][j];
	uint64_t now = (uint64_t)time(NULL);
	int letter = spec->keys[j];

	tlsplane__ticket_key__init(key);
	memset(room->names[i][j], tolower(letter), TICKET_NAME_LEN);
	for (size_t at = 0; at < TICKET_SECRET_LEN; at++) /* one byte over and over would be no secret */
		room->secrets[i][j][at] = (uint8_t)(tolower(letter) + (int)at);
	key->name = (ProtobufCBinaryData){TICKET_NAME_LEN, room->names[i][j]};
	key->secret = (ProtobufCBinaryData){TICKET_SECRET_LEN, room->secrets[i][j]};
	key->has_encrypt_from = isupper(letter) != 0;
	key->encrypt_from = now + (uint64_t)spec->from + j;
	key->encrypt_until = now + (uint64_t)(spec->encrypt_until != 0 ? spec->encrypt_until : 86400);
	key->decrypt_until = now + (uint64_t)(spec->decrypt_until != 0 ? spec->decrypt_until : 2 * 86400);
	room->key_list[i][j] = key;
}

struct ticket_sets *keys_make(const struct keys_spec *specs)
{
	Tlsplane__TicketKeys keys = TLSPLANE__TICKET_KEYS__INIT;
	struct room room;
	struct ticket_sets *sets = NULL;
	struct error err = ERROR_NULL;
	int r;

	for (; specs[keys.n_sets].selector != NULL; keys.n_sets++) {
		size_t i = keys.n_sets;
		Tlsplane__TicketSet *set = &room.sets[i];

		tlsplane__ticket_set__init(set);
		set->selector = (char *)(uintptr_t)specs[i].selector;
		set->keys = room.key_list[i];
		for (; specs[i].keys[set->n_keys] != 0; set->n_keys++)
			fill_key(&room, &specs[i], i, set->n_keys);
		room.set_list[i] = set;
	}
	keys.sets = room.set_list;
	r = ticket_sets_new(&keys, &sets, &err);
	ck_assert_msg(r == 0, "%s", err.text);
	return sets;
}
