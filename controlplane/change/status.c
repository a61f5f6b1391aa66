/* SPDX-License-Identifier: Apache-2.0 */
/* Agents' status on its way to the store: newest per agent, written lazily, so that ten thousand acknowledgements of
 * one change cost a few transactions and hold up nobody. Losing some to a kill costs nothing: agents report again. */
#include "change/engine.h"

#include "base/log.h"
#include "base/trie.h"
#include "crypto/crypto.h"

#include <stdlib.h>
#include <string.h>

#define STATUS_DELAY_NS UINT64_C(1000000000)

struct status_entry {
	struct store_agent_status status;
	struct status_entry *next;
};

static struct bytes entry_key(const void *value)
{
	const struct status_entry *entry = value;

	return BYTES(entry->status.id, strlen(entry->status.id));
}

static const struct trie_ops entry_ops = {.key = entry_key};

static void entry_free(struct status_entry *entry)
{
	store_agent_status_deinit(&entry->status);
	free(entry);
}

int status_queue_init(struct status_queue *queue, struct error *err)
{
	struct hash_key key;
	int code = crypto_hash_key(&key, err);

	if (code != 0)
		return code;
	queue->index = calloc(1, sizeof(*queue->index));
	if (queue->index == NULL)
		return error_nomem(err);
	trie_init(queue->index, &entry_ops, key);
	return 0;
}

void status_queue_deinit(struct status_queue *queue)
{
	struct status_entry *entry, *next;

	for (entry = queue->entries; entry != NULL; entry = next) {
		next = entry->next;
		entry_free(entry);
	}
	if (queue->index != NULL)
		trie_deinit(queue->index);
	free(queue->index);
	*queue = (struct status_queue){0};
}

static int copy_status(const struct store_agent_status *from, struct store_agent_status *to)
{
	struct store_agent_status copy = *from;

	if (from->report != NULL) {
		copy.report = strdup(from->report);
		if (copy.report == NULL)
			return E_NOMEM;
	}
	store_agent_status_deinit(to);
	*to = copy;
	return 0;
}

int status_queue_put(struct status_queue *queue, const struct store_agent_status *status, uint64_t now)
{
	struct status_entry *entry = trie_find(queue->index, BYTES(status->id, strlen(status->id)));

	if (entry != NULL)
		return copy_status(status, &entry->status);
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return E_NOMEM;
	if (copy_status(status, &entry->status) != 0 || trie_put(queue->index, entry) != 0) {
		entry_free(entry);
		return E_NOMEM;
	}
	if (queue->count++ == 0)
		queue->due = now + STATUS_DELAY_NS;
	entry->next = queue->entries;
	queue->entries = entry;
	return 0;
}

struct status_entry *status_queue_take(struct status_queue *queue, size_t max)
{
	struct status_entry *taken = queue->entries, **end = &taken;
	size_t count = 0;

	while (*end != NULL && count < max) {
		/* Cannot fail: the index is never shared with a clone. */
		int code = trie_remove(queue->index, entry_key(*end));

		assert(code == 0);
		(void)code;
		end = &(*end)->next;
		count++;
	}
	queue->entries = *end;
	*end = NULL;
	queue->count -= count;
	return taken;
}

bool status_queue_is_due(const struct status_queue *queue, uint64_t now)
{
	return queue->count > 0 && now >= queue->due;
}

void status_write(struct status_entry *entries, struct store_writer *writer)
{
	struct status_entry *next;

	for (; entries != NULL; entries = next) {
		struct error error = ERROR_NULL;

		next = entries->next;
		if (writer != NULL && store_put_agent_status(writer, &entries->status, &error) != 0) {
			log_event(LOG_WARNING, "agent status not stored", LOG_STR("agent", entries->status.id), LOG_ERR(&error));
			writer = NULL; /* the others would fail alike */
		}
		entry_free(entries);
	}
}

void change_agent_status(struct change_engine *engine, const struct store_agent_status *status)
{
	int code;

	uv_mutex_lock(&engine->mutex);
	code = status_queue_put(&engine->statuses, status, uv_hrtime());
	if (engine->statuses.count == 1)
		uv_cond_signal(&engine->cond); /* it may sleep for longer than that may wait */
	uv_mutex_unlock(&engine->mutex);
	if (code != 0)
		log_event(LOG_WARNING, "agent status not kept: out of memory", LOG_STR("agent", status->id));
}
