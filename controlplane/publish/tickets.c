/* SPDX-License-Identifier: Apache-2.0 */
#include "tickets.h"

#include "base/log.h"
#include "internal.h"
#include "model/body.h"

#include <stdlib.h>

#define SETTLE_SECONDS 60 /* about as long as an agent's longest back-off */

static void step_all(struct tickets *tickets)
{
	for (struct ticket_set *set = tickets->sets; set != NULL; set = set->next_set)
		ticket_set_step(set);
}

size_t tickets_count(const struct tickets *tickets)
{
	size_t count = 0;

	for (const struct ticket_set *set = tickets->sets; set != NULL; set = set->next_set)
		count++;
	return count;
}

/* What the store says. --------------------------------------------------------------------------------------------- */

static int find_server(struct bytes body, void *context)
{
	ProtobufCMessage *message = NULL;
	int rc = body_decode(&tlsplane__ssl__descriptor, body, &message, NULL);
	bool is_server = rc == 0 && !((const Tlsplane__Ssl *)message)->client_type;

	body_free(message);
	if (rc == E_NOMEM)
		return rc;
	*(bool *)context |= is_server;
	return is_server;
}

/* Does the selector need a set? It gets one, or its set goes. */
static int review_selector(struct publisher *publisher, struct selector *selector, struct error *err)
{
	struct ticket_set *set = selector->tickets;
	bool needed = selector->text[0] == '\0';
	int rc = 0;

	if (selector->objects > 0 && !needed)
		rc = store_each_ssl_body(publisher->reader, selector->text, find_server, &needed, err);
	if (rc == 0 && needed && set == NULL)
		rc = ticket_set_get(publisher, selector->text, &set, err);
	if (rc == 0 && set != NULL) {
		set->needed = needed;
		ticket_set_step(set);
	}
	return rc;
}

struct review {
	struct publisher *publisher;
	struct error *err;
	bool found; /* some key is lost */
};

static int lose_key(const char *selector, uint64_t number, void *context)
{
	struct review *review = context;
	const struct selector *found = selector_table_find(&review->publisher->selectors, selector);

	if (found == NULL || found->tickets == NULL)
		return 0;
	ticket_set_lose(found->tickets, number);
	review->found = true;
	return 0;
}

static int read_lost(struct publisher *publisher, struct error *err)
{
	struct review review = {publisher, err, false};
	int rc = store_each_lost_ticket_key(publisher->reader, lose_key, &review, err);

	if (review.found) /* all of a set's are marked by now */
		step_all(&publisher->tickets);
	return rc;
}

static int gather_selector(void *value, void *context)
{
	struct selector ***next = context;

	*(*next)++ = value;
	return 0;
}

/* Of all selectors: a review changes the table. */
static int review_all(struct publisher *publisher, struct error *err)
{
	size_t count = publisher->selectors.by_text.count;
	struct selector **all = calloc(count + 1, sizeof(struct selector *)), **next = all;
	int rc = 0;

	if (all == NULL)
		return error_nomem(err);
	(void)trie_each(&publisher->selectors.by_text, gather_selector, &next);
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = review_selector(publisher, all[i], err);
	free(all);
	return rc;
}

static void note_outcome(struct publisher *publisher, int rc, const struct error *err)
{
	if (rc < 0 && !publisher->tickets.doubtful)
		log_event(LOG_ERROR, "ticket keys can't be reviewed yet", LOG_ERR(err));
	publisher->tickets.doubtful = rc < 0;
}

void tickets_on_refresh(struct publisher *publisher)
{
	const struct selector_table *table = &publisher->selectors;
	struct error err = ERROR_NULL;
	int rc = 0;

	if (publisher->tickets.doubtful)
		return; /* the next tick asks for all */
	for (size_t i = 0; i < table->changed_len && rc == 0; i++)
		rc = review_selector(publisher, table->changed[i], &err);
	if (rc == 0)
		rc = read_lost(publisher, &err);
	note_outcome(publisher, rc, &err);
}

/* Time. ----------------------------------------------------------------------------------------------------------- */

static bool has_unpromoted(const struct tickets *tickets)
{
	for (const struct ticket_set *set = tickets->sets; set != NULL; set = set->next_set) {
		if (set->list.len > 0 && set->list.keys[set->list.len - 1].encrypt_from == 0)
			return true;
	}
	return false;
}

/* One pass over sessions, not one per set: there may be ten thousand of both. */
static void find_lacking(struct publisher *publisher)
{
	for (struct ticket_set *set = publisher->tickets.sets; set != NULL; set = set->next_set)
		set->lacking = false;
	for (struct session *session = publisher->sessions; session != NULL; session = session->next)
		session_mark_lacking(session);
}

static void announce(struct publisher *publisher)
{
	for (struct session *session = publisher->sessions; session != NULL; session = session->next) {
		if (session_lags_in_tickets(session))
			session_owe_tickets(session);
	}
	publisher->tickets.announced = publisher->tickets.serial;
}

void tickets_on_tick(struct publisher *publisher)
{
	struct tickets *tickets = &publisher->tickets;
	struct error err = ERROR_NULL;
	int rc;

	if (tickets->doubtful) {
		rc = review_all(publisher, &err);
		if (rc == 0)
			rc = read_lost(publisher, &err);
		note_outcome(publisher, rc, &err);
	}
	if (has_unpromoted(tickets))
		find_lacking(publisher);
	step_all(tickets);
	if (tickets->announced < tickets->serial)
		announce(publisher);
}

/* Start and end. --------------------------------------------------------------------------------------------------- */

static int load_key(const char *selector, const struct store_ticket_key *key, void *context)
{
	const struct review *review = context;
	struct ticket_set *set;
	int rc = ticket_set_get(review->publisher, selector, &set, review->err);

	return rc == 0 ? ticket_set_load(set, key, review->err) : rc;
}

int tickets_init(struct publisher *publisher, uint32_t period, struct error *err)
{
	struct tickets *tickets = &publisher->tickets;
	uint64_t settle = (period == 0 ? TICKET_PERIOD_DEFAULT : period) / 4;
	struct review review = {publisher, err, false};
	int rc;

	tickets->period = period == 0 ? TICKET_PERIOD_DEFAULT : period;
	tickets->settled_at = uv_now(publisher->loop) + 1000 * (settle < SETTLE_SECONDS ? settle : SETTLE_SECONDS);
	tickets->serial = 1;
	tickets->doubtful = true; /* the first tick reviews all */
	rc = store_each_ticket_key(publisher->reader, load_key, &review, err);
	if (rc == 0)
		rc = ticket_set_get(publisher, "", &tickets->everyone, err);
	for (struct ticket_set *set = tickets->sets; set != NULL; set = set->next_set)
		set->serial = set->published = tickets->serial;
	return rc;
}

void tickets_deinit(struct publisher *publisher)
{
	while (publisher->tickets.sets != NULL)
		ticket_set_free(&publisher->tickets.sets);
	publisher->tickets.everyone = NULL;
}
