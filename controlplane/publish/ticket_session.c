/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys on one session: which sets are its agent's, sending them whole, and the agent's word that it holds them. An agent's sets are
 * those whose selector its labels satisfy, whatever it has of their objects: keys may come before the objects, never stay after them. */
#include "internal.h"
#include "session.h"
#include "ticket_rules.h"

#include <assert.h>
#include <stdlib.h>

/* The sets of the agent: that of "", then those of its items, until NULL. */
struct set_walk {
	const struct session *session;
	size_t next; /* 0: "" */
};

static struct ticket_set *walk_next(struct set_walk *walk)
{
	const struct holding *holding = &walk->session->holding;

	if (walk->next++ == 0)
		return walk->session->publisher->tickets.everyone;
	for (; walk->next - 2 < holding->len; walk->next++) {
		const struct holding_item *item = &holding->items[walk->next - 2];

		if (!item->wanted || item->selector->tickets == NULL || item->selector->text[0] == '\0')
			continue;
		walk->next++;
		return item->selector->tickets;
	}
	return NULL;
}

static bool is_taking(const struct session *session)
{
	return session->takes_tickets && session->state != SESSION_DIVERGED && session_is_current_of_agent(session);
}

bool session_has_tickets(const struct session *session, const struct ticket_set *set)
{
	struct set_walk walk = {session, 0};
	const struct ticket_set *own;

	while ((own = walk_next(&walk)) != NULL) {
		if (own == set)
			return true;
	}
	return false;
}

bool session_lags_in_tickets(const struct session *session)
{
	struct set_walk walk = {session, 0};
	const struct ticket_set *set;

	if (!is_taking(session))
		return false;
	while ((set = walk_next(&walk)) != NULL) {
		if (set->serial > session->tickets_sent)
			return true;
	}
	return false;
}

void session_mark_lacking(const struct session *session)
{
	struct set_walk walk = {session, 0};
	struct ticket_set *set;

	if (!is_taking(session))
		return;
	while ((set = walk_next(&walk)) != NULL)
		set->lacking |= set->published > session->tickets_held;
}

void session_owe_tickets(struct session *session)
{
	if (!is_taking(session))
		return;
	session->owes_tickets = true;
	publisher_make_ready(session->publisher, session);
}

/* A message under way: one allocation, which holds pointers into the sets and no secret. */
struct message {
	Tlsplane__TicketKeys keys;
	Tlsplane__TicketSet **sets;
	Tlsplane__TicketSet *set_values;
	Tlsplane__TicketKey **key_pointers;
	Tlsplane__TicketKey *key_values;
};

static void fill_key(const struct store_ticket_key *key, Tlsplane__TicketKey *ret)
{
	tlsplane__ticket_key__init(ret);
	ret->name = (ProtobufCBinaryData){sizeof(key->name), (uint8_t *)(uintptr_t)key->name};
	ret->secret = (ProtobufCBinaryData){sizeof(key->secret), (uint8_t *)(uintptr_t)key->secret};
	ret->has_encrypt_from = key->encrypt_from != 0;
	ret->encrypt_from = key->encrypt_from;
	ret->encrypt_until = key->encrypt_until;
	ret->decrypt_until = key->decrypt_until;
}

/* The newest `most` keys of each set. */
static void fill(const struct session *session, size_t most, struct message *message)
{
	struct set_walk walk = {session, 0};
	const struct ticket_set *set;
	size_t keys = 0;

	tlsplane__ticket_keys__init(&message->keys);
	message->keys.serial = session->publisher->tickets.serial;
	message->keys.sets = message->sets;
	while ((set = walk_next(&walk)) != NULL) {
		size_t first = set->list.len > most ? set->list.len - most : 0;
		Tlsplane__TicketSet *value = &message->set_values[message->keys.n_sets];

		tlsplane__ticket_set__init(value);
		value->selector = set->selector->text;
		value->n_keys = set->list.len - first;
		value->keys = &message->key_pointers[keys];
		for (size_t i = first; i < set->list.len; i++, keys++) {
			fill_key(&set->list.keys[i], &message->key_values[keys]);
			message->key_pointers[keys] = &message->key_values[keys];
		}
		message->sets[message->keys.n_sets++] = value;
	}
}

static void *message_alloc(const struct session *session, struct message *message)
{
	struct set_walk walk = {session, 0};
	const struct ticket_set *set;
	size_t sets = 0, keys = 0;
	char *memory;

	while ((set = walk_next(&walk)) != NULL) {
		sets++;
		keys += set->list.len;
	}
	memory = malloc(sets * (sizeof(*message->set_values) + sizeof(*message->sets)) +
	                keys * (sizeof(*message->key_values) + sizeof(*message->key_pointers)));
	if (memory == NULL)
		return NULL;
	message->set_values = (Tlsplane__TicketSet *)(void *)memory;
	message->sets = (Tlsplane__TicketSet **)(void *)(message->set_values + sets);
	message->key_values = (Tlsplane__TicketKey *)(void *)(message->sets + sets);
	message->key_pointers = (Tlsplane__TicketKey **)(void *)(message->key_values + keys);
	return memory;
}

/* What does not fit into a frame loses its oldest keys first: fewer sessions resume, nothing else. */
static void fit(const struct session *session, struct message *message)
{
	size_t most = TICKET_KEYS_MAX;

	do {
		fill(session, most, message);
		most /= 2;
	} while (most > 0 && protobuf_c_message_get_packed_size(&message->keys.base) > CHANNEL_FRAME_MAX);
}

void session_send_tickets(struct session *session)
{
	struct message message = {0};
	struct error err = ERROR_NULL;
	void *memory;

	if (!is_taking(session) || !channel_is_writable(session->channel))
		return; /* owed on: on_writable comes */
	memory = message_alloc(session, &message);
	if (memory == NULL) {
		(void)error_nomem(&err);
		session_fail(session, &err);
		return;
	}
	fit(session, &message);
	session->owes_tickets = false;
	session->tickets_sent = message.keys.serial;
	session_send(session, TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS, &message.keys.base);
	free(memory);
}

void session_on_tickets_held(struct session *session, const ProtobufCMessage *message)
{
	const Tlsplane__TicketKeysHeld *held = (const Tlsplane__TicketKeysHeld *)message;

	if (held->serial > session->tickets_sent || held->serial < session->tickets_held) {
		session_refuse(session, TLSPLANE__REFUSED_CODE__REFUSED_PROTOCOL, 0, "ticket keys that were not sent");
		return;
	}
	session->tickets_held = held->serial;
}
