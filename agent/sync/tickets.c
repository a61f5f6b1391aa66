/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/tickets.h"

#include "base/log.h"
#include "model/body.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ticket_keeper {
	struct ticket_config config;
	Tlsplane__TicketKeys *keys; /* owned; sets by selector; NULL: none yet */
	bool unsaved;               /* the cache does not hold just these */
};

/* Everything in the row: keys of other agents' rows, or of other uses of the keyring, don't fit. */
static const uint8_t aad[] = "tlsplane/ticket-keys/v1";

static void keys_free(Tlsplane__TicketKeys *keys)
{
	if (keys != NULL)
		body_free_secret(&keys->base);
}

/* Values. --------------------------------------------------------------------------------------------------------- */

static int compare_sets(const void *a, const void *b)
{
	return strcmp((*(Tlsplane__TicketSet *const *)a)->selector, (*(Tlsplane__TicketSet *const *)b)->selector);
}

static int decode(struct bytes encoded, Tlsplane__TicketKeys **ret, struct error *err)
{
	ProtobufCMessage *message = NULL;
	Tlsplane__TicketKeys *keys;
	int r = body_decode(&tlsplane__ticket_keys__descriptor, encoded, &message, err);

	if (r < 0)
		return r;
	keys = (Tlsplane__TicketKeys *)message;
	if (keys->n_sets > 0)
		qsort(keys->sets, keys->n_sets, sizeof(keys->sets[0]), compare_sets);
	*ret = keys;
	return 0;
}

static int encode(const Tlsplane__TicketKeys *keys, struct buf *out, struct error *err)
{
	int r = body_encode(&keys->base, out, err);

	return r == 0 && out->failed ? error_nomem(err) : r;
}

static int copy(const Tlsplane__TicketKeys *keys, Tlsplane__TicketKeys **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf encoded = {.sensitive = true};
	int r = encode(keys, &encoded, err);

	return r == 0 ? decode(BYTES(encoded.data, encoded.len), ret, err) : r;
}

/* True: some went. */
static bool drop_expired(Tlsplane__TicketKeys *keys, uint64_t now)
{
	bool dropped = false;

	for (size_t i = 0; i < keys->n_sets; i++) {
		Tlsplane__TicketSet *set = keys->sets[i];
		size_t kept = 0;

		for (size_t k = 0; k < set->n_keys; k++) {
			if (set->keys[k]->decrypt_until > now)
				set->keys[kept++] = set->keys[k];
			else
				body_free_secret(&set->keys[k]->base);
		}
		dropped |= kept < set->n_keys;
		set->n_keys = kept;
	}
	return dropped;
}

/* The cache. ------------------------------------------------------------------------------------------------------ */

static int save_steps(struct ticket_keeper *keeper, struct error *err)
{
	CLEANUP(buf_deinit) struct buf plain = {.sensitive = true}, sealed = BUF_NULL;
	int r = encode(keeper->keys, &plain, err);

	if (r == 0)
		r = keyring_seal(keeper->config.keyring, BYTES(aad, sizeof(aad)), BYTES(plain.data, plain.len), &sealed, err);
	if (r == 0 && sealed.failed)
		r = error_nomem(err);
	return r == 0 ? cache_store_tickets(keeper->config.cache, BYTES(sealed.data, sealed.len), err) : r;
}

/* Failing costs sessions after a restart, and what should be erased stays for a while, sealed; neither is a reason not to resume now. */
static void save(struct ticket_keeper *keeper)
{
	struct error err = ERROR_NULL;
	bool was_unsaved = keeper->unsaved;

	keeper->unsaved = save_steps(keeper, &err) < 0;
	if (keeper->unsaved && !was_unsaved)
		log_event(LOG_WARNING, "ticket keys are used, but could not be written yet", LOG_ERR(&err));
}

static int load_steps(struct ticket_keeper *keeper, Tlsplane__TicketKeys **ret, struct error *err)
{
	CLEANUP(buf_deinit) struct buf sealed = BUF_NULL;
	CLEANUP(secret_free) struct secret *plain = NULL;
	int r = cache_load_tickets(keeper->config.cache, &sealed, err);

	if (r == 0)
		r = keyring_open(keeper->config.keyring, BYTES(aad, sizeof(aad)), BYTES(sealed.data, sealed.len), &plain, err);
	return r == 0 ? decode(BYTES(plain->data, plain->len), ret, err) : r;
}

/* Life. ----------------------------------------------------------------------------------------------------------- */

/* Takes keys over, whatever happens; on failure those from before stay in use. */
static int adopt(struct ticket_keeper *keeper, Tlsplane__TicketKeys *keys, struct error *err)
{
	struct ticket_sets *sets = NULL;
	int r = ticket_sets_new(keys, &sets, err);

	if (r < 0) {
		keys_free(keys);
		return r;
	}
	if (keys != keeper->keys)
		keys_free(keeper->keys);
	keeper->keys = keys;
	keeper->config.ports.set_tickets(sets, keeper->config.ports.owner);
	ticket_sets_unref(sets);
	return 0;
}

static int restore(struct ticket_keeper *keeper, struct error *err)
{
	Tlsplane__TicketKeys *keys = NULL;
	bool dropped;
	int r = load_steps(keeper, &keys, err);

	if (r != 0)
		return r;
	dropped = drop_expired(keys, (uint64_t)time(NULL));
	r = adopt(keeper, keys, err);
	if (r == 0 && dropped)
		save(keeper);
	return r;
}

int ticket_keeper_new(const struct ticket_config *config, struct ticket_keeper **ret, struct error *err)
{
	CLEANUP(ticket_keeper_free) struct ticket_keeper *keeper = calloc(1, sizeof(*keeper));
	struct error why = ERROR_NULL;
	int r;

	if (keeper == NULL)
		return error_nomem(err);
	keeper->config = *config;
	r = restore(keeper, &why);
	if (r == E_NOMEM)
		return error_nomem(err);
	if (r < 0 && r != E_NOT_FOUND)
		log_event(LOG_ERROR, "cached ticket keys can't be used; sessions start anew", LOG_ERR(&why));
	*ret = TAKE_PTR(keeper);
	return 0;
}

struct ticket_keeper *ticket_keeper_free(struct ticket_keeper *keeper)
{
	if (keeper == NULL)
		return NULL;
	keys_free(keeper->keys);
	free(keeper);
	return NULL;
}

/* The channel. ----------------------------------------------------------------------------------------------------- */

static int take(struct ticket_keeper *keeper, const Tlsplane__TicketKeys *message, struct error *err)
{
	Tlsplane__TicketKeysHeld held = TLSPLANE__TICKET_KEYS_HELD__INIT;
	Tlsplane__TicketKeys *keys = NULL;
	int r = copy(message, &keys, err);

	if (r == 0)
		r = adopt(keeper, keys, err);
	if (r < 0)
		return r;
	save(keeper);
	held.serial = message->serial;
	return keeper->config.ports.send(TLSPLANE__MESSAGE_TYPE__MESSAGE_TICKET_KEYS_HELD, &held.base, keeper->config.ports.owner, err);
}

void ticket_keeper_on_message(struct ticket_keeper *keeper, const Tlsplane__TicketKeys *message)
{
	struct error err = ERROR_NULL;
	int r = take(keeper, message, &err);

	if (r < 0 && r != E_CLOSED)
		keeper->config.ports.reconnect(&err, keeper->config.ports.owner);
}

void ticket_keeper_on_beat(struct ticket_keeper *keeper)
{
	if (keeper->unsaved && keeper->keys != NULL)
		save(keeper);
}

/* Updates. -------------------------------------------------------------------------------------------------------- */

#define HELD_BEFORE 1
#define HELD_AFTER 2

struct marking {
	const Tlsplane__TicketKeys *keys;
	uint8_t *marks; /* one per set */
	uint8_t mark;
};

static void mark_selector(const char *selector, const struct digest *digest, void *context)
{
	const struct marking *marking = context;
	Tlsplane__TicketSet like = {.selector = (char *)(uintptr_t)selector}, *wanted = &like, **found;

	found = bsearch(&wanted, marking->keys->sets, marking->keys->n_sets, sizeof(wanted), compare_sets);
	if (found != NULL)
		marking->marks[found - marking->keys->sets] |= marking->mark;
}

/* The set of "" is every agent's, whatever it has under that selector. */
static bool is_lost(const Tlsplane__TicketSet *set, uint8_t mark)
{
	return set->selector[0] != '\0' && mark == HELD_BEFORE;
}

static bool drop_lost(Tlsplane__TicketKeys *keys, const uint8_t *marks)
{
	size_t kept = 0;
	bool dropped;

	for (size_t i = 0; i < keys->n_sets; i++) {
		if (is_lost(keys->sets[i], marks[i]))
			body_free_secret(&keys->sets[i]->base);
		else
			keys->sets[kept++] = keys->sets[i];
	}
	dropped = kept < keys->n_sets;
	keys->n_sets = kept;
	return dropped;
}

void ticket_keeper_on_update(struct ticket_keeper *keeper, const struct snapshot *before, const struct snapshot *after)
{
	struct error err = ERROR_NULL;
	struct marking marking = {.keys = keeper->keys};
	struct ticket_sets *sets = NULL;

	if (keeper->keys == NULL || keeper->keys->n_sets == 0 || before == NULL)
		return;
	marking.marks = calloc(keeper->keys->n_sets, 1);
	if (marking.marks == NULL) {
		(void)error_nomem(&err);
		keeper->config.ports.reconnect(&err, keeper->config.ports.owner); /* then the whole list comes again */
		return;
	}
	marking.mark = HELD_BEFORE;
	snapshot_each_digest(before, mark_selector, &marking);
	marking.mark = HELD_AFTER;
	snapshot_each_digest(after, mark_selector, &marking);
	if (drop_lost(keeper->keys, marking.marks)) {
		if (ticket_sets_new(keeper->keys, &sets, &err) == 0)
			keeper->config.ports.set_tickets(sets, keeper->config.ports.owner);
		else
			keeper->config.ports.reconnect(&err, keeper->config.ports.owner);
		ticket_sets_unref(sets);
		save(keeper);
	}
	free(marking.marks);
}
