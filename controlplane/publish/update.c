/* SPDX-License-Identifier: Apache-2.0 */
/* Updates: UPDATE_BEGIN and UPDATE_END are the agent's own, everything between comes from the chunk cache.
 *
 * A step names the revision that touched its selector last rather than the head: the content is the same, and agents
 * that get it with different heads share the chunks. UPDATE_END is encoded at the beginning, because the digests move
 * on while the update streams. */
#include "update.h"

#include <stdlib.h>
#include <string.h>

struct update *update_free(struct update *update, struct selector_table *table)
{
	if (update == NULL)
		return NULL;
	for (size_t i = 0; i < update->steps_len; i++)
		selector_table_unref(table, update->steps[i].selector);
	channel_payload_unref(update->end);
	free(update);
	return NULL;
}

uint64_t update_needs(const struct update *update)
{
	uint64_t needs = update->to.number;

	for (size_t i = update->step; i < update->steps_len; i++) {
		bool is_under_way = i == update->step && update->after > 0; /* the rest is read as of its end */

		if (!is_under_way && update->steps[i].needs < needs)
			needs = update->steps[i].needs;
	}
	return needs;
}

/* What one planned item adds to UPDATE_BEGIN and to the steps. */
struct beginning {
	Tlsplane__UpdateBegin message;
	struct chunk_cache *cache;
	uint64_t now, floor;
	struct update *update;
	char **drop, **reset; /* room for every item */
};

static int add_step(struct beginning *beginning, struct holding_item *item, struct error *err)
{
	struct update *update = beginning->update;
	struct selector *selector = item->selector;
	struct chunk_key key = {selector_steady_since(selector, item->since), selector->changed, 0};
	uint64_t needs = selector_steady_until(selector, item->since);
	struct chunk *first;
	bool is_delta = item->plan == HOLDING_DELTA && needs >= beginning->floor; /* else history does not reach that far back */
	int rc;

	if (is_delta) {
		rc = chunk_cache_get(beginning->cache, selector, key, beginning->now, &first, err);
		if (rc < 0)
			return rc;
		beginning->message.objects += first->puts;
	} else {
		item->plan = HOLDING_WHOLE;
		key.from = CHUNK_WHOLE;
		needs = update->to.number;
		beginning->message.objects += selector->objects;
		beginning->reset[beginning->message.n_reset++] = selector->text;
	}
	update->steps[update->steps_len++] = (struct update_step){selector, key.from, key.to, needs};
	selector_ref(selector);
	return 0;
}

static int add_items(struct beginning *beginning, struct holding *holding, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; i < holding->len && rc == 0; i++) {
		struct holding_item *item = &holding->items[i];

		if (item->plan == HOLDING_DROP)
			beginning->drop[beginning->message.n_drop++] = item->selector->text;
		else if (item->plan != HOLDING_KEEP)
			rc = add_step(beginning, item, err);
	}
	return rc;
}

static int make_end(const struct holding *holding, struct channel_payload **ret, struct error *err)
{
	Tlsplane__UpdateEnd message = TLSPLANE__UPDATE_END__INIT;
	struct holding_digests *digests = holding_digests_new(holding);
	int rc;

	if (digests == NULL)
		return error_nomem(err);
	message.n_digests = digests->len;
	message.digests = digests->list;
	rc = channel_payload_new(TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_END, &message.base, ret, err);
	free(digests);
	return rc;
}

static int send_begin(struct beginning *beginning, struct holding *holding, struct selector_table *table,
                      struct channel *channel, struct error *err)
{
	struct store_revision *head = &table->head;
	Tlsplane__UpdateBegin *message = &beginning->message;
	int rc;

	tlsplane__update_begin__init(message);
	message->drop = beginning->drop;
	message->reset = beginning->reset;
	rc = add_items(beginning, holding, err);
	if (rc == 0)
		rc = make_end(holding, &beginning->update->end, err);
	if (rc < 0)
		return rc;
	message->epoch = head->revision.epoch;
	message->revision = head->revision.number;
	message->chain = (ProtobufCBinaryData){DIGEST_LEN, head->chain.bytes};
	return channel_send(channel, TLSPLANE__MESSAGE_TYPE__MESSAGE_UPDATE_BEGIN, &message->base, err);
}

int update_begin(struct holding *holding, struct selector_table *table, struct chunk_cache *cache,
                 struct channel *channel, uint64_t now, struct update **ret, struct error *err)
{
	struct beginning beginning = {.cache = cache, .now = now, .floor = table->floor};
	int rc = E_NOMEM;

	beginning.update = calloc(1, sizeof(struct update) + holding->len * sizeof(struct update_step));
	beginning.drop = calloc(holding->len + 1, sizeof(char *));
	beginning.reset = calloc(holding->len + 1, sizeof(char *));
	if (beginning.update == NULL || beginning.drop == NULL || beginning.reset == NULL) {
		rc = error_nomem(err);
	} else {
		beginning.update->to = table->head.revision;
		holding_plan(holding, table);
		rc = send_begin(&beginning, holding, table, channel, err);
	}
	free(beginning.drop);
	free(beginning.reset);
	if (rc < 0) {
		holding_cancel(holding);
		update_free(beginning.update, table);
		return rc;
	}
	*ret = beginning.update;
	return 0;
}

static int send_end(struct update *update, struct channel *channel, bool *ret_done, struct error *err)
{
	int rc = channel_send_payload(channel, update->end, err);

	if (rc < 0)
		return rc;
	update->bytes += channel_payload_len(update->end);
	update->end = channel_payload_unref(update->end);
	*ret_done = true;
	return 0;
}

int update_continue(struct update *update, struct chunk_cache *cache, struct channel *channel, uint64_t now,
                    bool *ret_done, struct error *err)
{
	const struct update_step *step = &update->steps[update->step];
	struct chunk *chunk;
	int rc;

	*ret_done = false;
	if (update->step == update->steps_len)
		return send_end(update, channel, ret_done, err);
	rc = chunk_cache_get(cache, step->selector, (struct chunk_key){step->from, step->to, update->after}, now, &chunk,
	                     err);
	if (rc == 0 && chunk->payload != NULL)
		rc = channel_send_payload(channel, chunk->payload, err);
	if (rc < 0)
		return rc;
	update->bytes += chunk->payload == NULL ? 0 : channel_payload_len(chunk->payload);
	update->after = chunk->next;
	if (chunk->next == 0)
		update->step++;
	return 0;
}
