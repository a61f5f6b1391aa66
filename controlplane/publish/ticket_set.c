/* SPDX-License-Identifier: Apache-2.0 */
/* One set: its steps, decided by ticket_rules.h, made durable, then adopted. */
#include "ticket_set.h"

#include "base/log.h"
#include "crypto/crypto.h"
#include "internal.h"
#include "ticket_rules.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 5000

/* Lists. ---------------------------------------------------------------------------------------------------------- */

static void list_deinit(struct ticket_list *list)
{
	if (list->keys != NULL)
		secret_wipe(list->keys, list->len * sizeof(list->keys[0]));
	free(list->keys);
	*list = (struct ticket_list){0};
}

/* A copy with room for `more` keys behind it. */
static int list_copy(const struct ticket_list *list, size_t more, struct ticket_list *ret, struct error *err)
{
	struct store_ticket_key *keys = calloc(list->len + more + 1, sizeof(*keys));

	if (keys == NULL)
		return error_nomem(err);
	if (list->len > 0)
		memcpy(keys, list->keys, list->len * sizeof(*keys));
	*ret = (struct ticket_list){keys, list->len};
	return 0;
}

static int list_append(struct ticket_list *list, const struct store_ticket_key *key, struct error *err)
{
	struct ticket_list longer = {0}; /* without it gcc -O3 says "may be used uninitialized" */
	int rc = list_copy(list, 1, &longer, err);

	if (rc < 0)
		return rc;
	longer.keys[longer.len++] = *key;
	list_deinit(list);
	*list = longer;
	return 0;
}

static void list_drop(struct ticket_list *list, size_t index)
{
	list->len--;
	memmove(&list->keys[index], &list->keys[index + 1], (list->len - index) * sizeof(list->keys[0]));
	secret_wipe(&list->keys[list->len], sizeof(list->keys[0]));
}

static struct store_ticket_key *list_find(const struct ticket_list *list, uint64_t number)
{
	for (size_t i = 0; i < list->len; i++) {
		if (list->keys[i].number == number)
			return &list->keys[i];
	}
	return NULL;
}

/* Sets. ----------------------------------------------------------------------------------------------------------- */

int ticket_set_get(struct publisher *publisher, const char *text, struct ticket_set **ret, struct error *err)
{
	struct tickets *tickets = &publisher->tickets;
	struct selector *selector = selector_table_ref(&publisher->selectors, text);
	struct ticket_set *set;

	if (selector == NULL)
		return error_nomem(err);
	if (selector->tickets != NULL) {
		selector_table_unref(&publisher->selectors, selector);
		*ret = selector->tickets;
		return 0;
	}
	set = calloc(1, sizeof(*set));
	if (set == NULL) {
		selector_table_unref(&publisher->selectors, selector);
		return error_nomem(err);
	}
	set->publisher = publisher;
	set->needed = true; /* until a review says otherwise: an error must not erase it */
	set->selector = selector;
	selector->tickets = set;
	set->next_set = tickets->sets;
	tickets->sets = set;
	*ret = set;
	return 0;
}

void ticket_set_free(struct ticket_set **link)
{
	struct ticket_set *set = *link;

	assert(!set->writing);
	*link = set->next_set;
	set->selector->tickets = NULL;
	selector_table_unref(&set->publisher->selectors, set->selector);
	list_deinit(&set->list);
	free(set);
}

int ticket_set_load(struct ticket_set *set, const struct store_ticket_key *key, struct error *err)
{
	int rc = list_append(&set->list, key, err);

	if (rc == 0)
		set->number = key->number;
	return rc;
}

void ticket_set_lose(struct ticket_set *set, uint64_t number)
{
	struct store_ticket_key *known[] = {list_find(&set->list, number), list_find(&set->next, number)};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i] != NULL)
			known[i]->lost = true;
	}
}

/* Steps. ---------------------------------------------------------------------------------------------------------- */

static int add_key(struct ticket_set *set, struct ticket_list *list, uint64_t now, struct error *err)
{
	struct store_ticket_key key = {.number = set->number + 1};
	int rc = crypto_random(key.name, sizeof(key.name), err);

	if (rc == 0)
		rc = crypto_random(key.secret, sizeof(key.secret), err);
	ticket_rules_make(&key, now, set->publisher->tickets.period);
	if (rc == 0)
		rc = list_append(list, &key, err);
	if (rc == 0)
		set->number++;
	secret_wipe(&key, sizeof(key));
	return rc;
}

/* Does to list what is due; *ret_changed. */
static int advance(struct ticket_set *set, struct ticket_list *list, uint64_t now, bool held, bool *ret_changed, struct error *err)
{
	const uint64_t period = set->publisher->tickets.period;
	struct ticket_step step;
	int rc = 0;

	*ret_changed = set->forced = false;
	while (rc == 0) {
		step = ticket_rules_next(list->keys, list->len, now, period, held);
		if (step.act == TICKET_WAIT)
			break;
		*ret_changed = true;
		if (step.act == TICKET_MAKE)
			rc = add_key(set, list, now, err);
		else if (step.act == TICKET_DROP)
			list_drop(list, step.key);
		else
			ticket_rules_promote(&list->keys[step.key], now, period);
		set->forced |= step.act == TICKET_PROMOTE && step.forced;
		held = held && step.act != TICKET_MAKE; /* nobody holds what was made now */
	}
	return rc;
}

static void on_written(const struct error *error, void *context);

static int write_next(struct ticket_set *set, struct ticket_list *next, struct error *err)
{
	struct publisher *publisher = set->publisher;
	int rc = change_ticket_keys(publisher->changes, set->selector->text, next->keys, next->len, on_written, set, err);

	if (rc < 0)
		return rc;
	set->next = *next;
	set->writing = true;
	*next = (struct ticket_list){0};
	publisher_pin(publisher);
	return 0;
}

static bool is_due(const struct ticket_set *set, uint64_t now, bool held)
{
	if (!set->needed)
		return true;
	return ticket_rules_next(set->list.keys, set->list.len, now, set->publisher->tickets.period, held).act != TICKET_WAIT;
}

static int try_step(struct ticket_set *set, uint64_t now, bool held, struct error *err)
{
	struct ticket_list next = {0};
	bool changed = true;
	int rc = 0;

	if (set->needed) {
		rc = list_copy(&set->list, 0, &next, err);
		if (rc == 0)
			rc = advance(set, &next, now, held, &changed, err);
	}
	if (rc == 0 && changed)
		rc = write_next(set, &next, err);
	list_deinit(&next);
	return rc;
}

static void put_off(struct ticket_set *set, const struct error *why)
{
	log_event(LOG_ERROR, "ticket keys stay as they are for now", LOG_STR("selector", set->selector->text), LOG_ERR(why));
	set->retry_at = uv_now(set->publisher->loop) + RETRY_MS;
}

void ticket_set_step(struct ticket_set *set)
{
	struct publisher *publisher = set->publisher;
	uint64_t now = publisher_unix_time();
	bool held = !set->lacking && uv_now(publisher->loop) >= publisher->tickets.settled_at;
	struct error err = ERROR_NULL;

	if (set->writing || publisher->closing || uv_now(publisher->loop) < set->retry_at || !is_due(set, now, held))
		return;
	if (try_step(set, now, held, &err) < 0)
		put_off(set, &err);
}

/* Durable. --------------------------------------------------------------------------------------------------------- */

/* Tells people, and counts, what `next` promotes. */
static void log_promotions(const struct ticket_set *set)
{
	struct publisher_counters *counters = &set->publisher->counters;
	char name[2 * STORE_TICKET_NAME_LEN + 1];

	for (size_t i = 0; i < set->next.len; i++) {
		const struct store_ticket_key *key = &set->next.keys[i], *before = list_find(&set->list, key->number);

		if (key->encrypt_from == 0 || (before != NULL && before->encrypt_from != 0))
			continue;
		counters->ticket_rotations++;
		counters->ticket_rotations_forced += set->forced;
		crypto_hex(key->name, sizeof(key->name), name);
		log_event(LOG_INFO, "ticket key promoted", LOG_STR("selector", set->selector->text), LOG_STR("key", name),
		          LOG_STR("reason", set->forced ? "time, not every agent holds it" : "due"));
	}
}

static void log_losses(const struct ticket_set *set)
{
	bool lost = false;

	for (size_t i = 0; i < set->list.len; i++)
		lost |= set->list.keys[i].lost && list_find(&set->next, set->list.keys[i].number) == NULL;
	if (lost)
		log_event(LOG_WARNING, "ticket keys replaced: an agent lost the right to know them",
		          LOG_STR("selector", set->selector->text));
}

static uint64_t newest_number(const struct ticket_list *list)
{
	return list->len > 0 ? list->keys[list->len - 1].number : 0;
}

static void adopt_next(struct ticket_set *set)
{
	struct tickets *tickets = &set->publisher->tickets;

	log_promotions(set);
	log_losses(set);
	set->serial = ++tickets->serial;
	if (newest_number(&set->list) != newest_number(&set->next)) {
		set->published = set->serial;
		set->lacking = true; /* until the sessions are asked */
	}
	list_deinit(&set->list);
	set->list = set->next;
	set->next = (struct ticket_list){0};
}

/* What was told of a set that is gone must be told anew. */
static void tell_of_removal(struct publisher *publisher, const struct ticket_set *set)
{
	for (struct session *session = publisher->sessions; session != NULL; session = session->next) {
		if (session_has_tickets(session, set))
			session_owe_tickets(session);
	}
}

static void remove_set(struct ticket_set *set)
{
	struct ticket_set **link = &set->publisher->tickets.sets;

	while (*link != set)
		link = &(*link)->next_set;
	tell_of_removal(set->publisher, set);
	ticket_set_free(link);
}

static void on_written(const struct error *error, void *context)
{
	struct ticket_set *set = context;
	struct publisher *publisher = set->publisher;

	set->writing = false;
	if (error->code == 0) {
		adopt_next(set);
	} else {
		list_deinit(&set->next);
		put_off(set, error);
	}
	if (!set->needed && set->list.len == 0)
		remove_set(set);
	else
		ticket_set_step(set);
	publisher_unpin(publisher);
}
