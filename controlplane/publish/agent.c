/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of agents. A record is made when an agent connects for the first time since start and goes when the
 * agent is deleted. What an agent says is text from outside: bounded, and made printable before it becomes JSON. */
#include "agent.h"

#include "crypto/crypto.h"
#include "model/kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACT_MAX 255
#define REASON_MAX 1024

static struct bytes agent_key(const void *value)
{
	const struct agent *agent = value;

	return BYTES(agent->id, strlen(agent->id));
}

static const struct trie_ops agent_ops = {.key = agent_key};

int agent_registry_init(struct agent_registry *registry, struct error *err)
{
	struct hash_key key;
	int rc = crypto_hash_key(&key, err);

	if (rc < 0)
		return rc;
	*registry = (struct agent_registry){0};
	registry->dirty_tail = &registry->dirty;
	trie_init(&registry->by_id, &agent_ops, key);
	return 0;
}

void agent_ref(struct agent *agent)
{
	agent->refs++;
}

void agent_unref(struct agent *agent)
{
	if (--agent->refs > 0)
		return;
	free(agent->hostname);
	free(agent->version);
	free(agent->openssl);
	json_decref(agent->nack);
	json_decref(agent->degraded);
	free(agent);
}

static int free_one(void *value, void *context)
{
	agent_unref(value);
	return 0;
}

void agent_registry_deinit(struct agent_registry *registry)
{
	(void)trie_each(&registry->by_id, free_one, NULL);
	trie_deinit(&registry->by_id); /* frees nodes only: values are not counted */
}

struct agent *agent_find(const struct agent_registry *registry, const char *id)
{
	return trie_find(&registry->by_id, BYTES(id, strlen(id)));
}

/* A copy of text from outside: bounded, what is not printable ASCII as '?'. NULL without memory. */
static char *copy_text(const char *text, size_t max)
{
	char *copy = strndup(text, max);

	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	}
	return copy;
}

static json_t *json_from_text(const char *text)
{
	char *copy = copy_text(text, REASON_MAX);
	json_t *json = copy == NULL ? NULL : json_string(copy);

	free(copy);
	return json;
}

/* Puts back what the row in the store remembers; a report of an older or damaged form is left. */
static void restore(struct agent *agent, const struct store_agent_status *status)
{
	json_t *report = status->report == NULL ? NULL : json_loads(status->report, JSON_REJECT_DUPLICATES, NULL);
	json_t *nack = json_object_get(report, "last_nack"), *degraded = json_object_get(report, "degraded");

	agent->last_seen = status->last_seen;
	agent->last_ack_time = status->last_ack_time;
	agent->applied = status->acked;
	if (json_is_object(nack))
		agent->nack = json_incref(nack);
	if (json_is_array(degraded) && json_array_size(degraded) > 0)
		agent->degraded = json_incref(degraded);
	json_decref(report);
}

int agent_get(struct agent_registry *registry, struct store_reader *reader, const char *id, struct agent **ret,
              struct error *err)
{
	struct agent *agent = agent_find(registry, id);
	struct store_agent_status status = {0};
	int rc;

	if (agent != NULL) {
		*ret = agent;
		return 0;
	}
	agent = calloc(1, sizeof(*agent));
	if (agent == NULL)
		return error_nomem(err);
	agent->refs = 1;
	(void)snprintf(agent->id, sizeof(agent->id), "%s", id);
	rc = store_get_agent_status(reader, id, &status, err);
	if (rc == 0)
		restore(agent, &status);
	store_agent_status_deinit(&status);
	if (rc == 0 || rc == E_NOT_FOUND)
		rc = trie_put(&registry->by_id, agent) < 0 ? error_nomem(err) : 0;
	if (rc < 0) {
		agent_unref(agent);
		return rc;
	}
	*ret = agent;
	return 0;
}

void agent_forget(struct agent_registry *registry, struct agent *agent)
{
	struct agent **link = &registry->dirty;

	if (trie_remove(&registry->by_id, agent_key(agent)) < 0)
		return; /* never: nodes of this trie are not shared, so nothing is allocated */
	while (agent->dirty && *link != agent)
		link = &(*link)->next_dirty;
	if (agent->dirty) {
		*link = agent->next_dirty;
		if (*link == NULL)
			registry->dirty_tail = link;
	}
	agent->dirty = true; /* and stays so: nothing of it is saved any more */
	agent_unref(agent);
}

void agent_touch(struct agent_registry *registry, struct agent *agent)
{
	if (agent->dirty)
		return;
	agent->dirty = true;
	agent->next_dirty = NULL;
	*registry->dirty_tail = agent;
	registry->dirty_tail = &agent->next_dirty;
}

static int replace_text(char **place, const char *text, struct error *err)
{
	char *copy = copy_text(text, FACT_MAX);

	if (copy == NULL)
		return error_nomem(err);
	free(*place);
	*place = copy;
	return 0;
}

int agent_take_hello(struct agent *agent, const Tlsplane__Hello *hello, struct error *err)
{
	int rc = replace_text(&agent->version, hello->agent_version, err);

	if (rc == 0)
		rc = replace_text(&agent->openssl, hello->openssl_version, err);
	if (rc == 0 && hello->hostname != NULL)
		rc = replace_text(&agent->hostname, hello->hostname, err);
	if (hello->has_crashed_epoch && hello->has_crashed_revision)
		agent->crashed = (struct revision){hello->crashed_epoch, hello->crashed_revision};
	else
		agent->crashed = (struct revision){0, 0};
	return rc;
}

static json_t *kind_word(uint32_t number)
{
	const struct kind_info *kind = kind_find(number);

	return kind == NULL ? json_integer(number) : json_string(kind->collection);
}

/* New reference; NULL without memory. */
static json_t *render_reason(const Tlsplane__ObjectReason *reason)
{
	json_t *json = json_object();
	int failed = json_object_set_new(json, "kind", kind_word(reason->kind));

	failed |= json_object_set_new(json, "id", json_from_text(reason->id));
	if (reason->field != NULL)
		failed |= json_object_set_new(json, "field", json_from_text(reason->field));
	failed |= json_object_set_new(json, "reason", json_from_text(reason->reason));
	if (reason->has_since)
		failed |= json_object_set_new(json, "since", json_integer((json_int_t)reason->since));
	if (failed != 0) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static json_t *render_reasons(Tlsplane__ObjectReason *const *reasons, size_t len)
{
	json_t *array = json_array();

	for (size_t i = 0; i < len && array != NULL; i++) {
		if (json_array_append_new(array, render_reason(reasons[i])) != 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static const char *nack_word(Tlsplane__NackCode code)
{
	static const char *const words[] = {
		[TLSPLANE__NACK_CODE__NACK_UNDECODABLE] = "undecodable",
		[TLSPLANE__NACK_CODE__NACK_UNKNOWN] = "unknown",
		[TLSPLANE__NACK_CODE__NACK_LIMIT] = "limit",
		[TLSPLANE__NACK_CODE__NACK_PROFILE] = "profile",
		[TLSPLANE__NACK_CODE__NACK_PERSIST] = "persist",
		[TLSPLANE__NACK_CODE__NACK_CRASHED] = "crashed",
		[TLSPLANE__NACK_CODE__NACK_OLD] = "old",
		[TLSPLANE__NACK_CODE__NACK_MEMORY] = "memory",
	};
	size_t index = (size_t)code;

	return index < ARRAY_LEN(words) && words[index] != NULL ? words[index] : "other";
}

int agent_take_nack(struct agent *agent, const Tlsplane__Nack *nack, uint64_t now, struct error *err)
{
	json_t *json;

	if (nack->n_objects > AGENT_NACK_OBJECTS_MAX)
		return error_set(err, E_PROTOCOL, "a NACK with %zu objects, more than %d", nack->n_objects,
		                 AGENT_NACK_OBJECTS_MAX);
	json = json_pack("{s:{s:I, s:I}, s:s, s:o, s:I, s:o}", "revision", "epoch", (json_int_t)nack->epoch, "number",
	                 (json_int_t)nack->revision, "code", nack_word(nack->code), "text", json_from_text(nack->text),
	                 "time", (json_int_t)now, "objects", render_reasons(nack->objects, nack->n_objects));
	if (json == NULL)
		return error_nomem(err);
	json_decref(agent->nack);
	agent->nack = json;
	return 0;
}

int agent_take_report(struct agent *agent, const Tlsplane__Report *report, struct error *err)
{
	json_t *degraded = NULL;

	if (report->n_degraded > AGENT_DEGRADED_MAX)
		return error_set(err, E_PROTOCOL, "a report of %zu objects, more than %d", report->n_degraded,
		                 AGENT_DEGRADED_MAX);
	if (report->n_degraded > 0) {
		degraded = render_reasons(report->degraded, report->n_degraded);
		if (degraded == NULL)
			return error_nomem(err);
	}
	json_decref(agent->degraded);
	agent->degraded = degraded;
	agent->degraded_more = report->has_more ? report->more : 0;
	return 0;
}

int agent_make_status(const struct agent *agent, struct store_agent_status *ret, struct error *err)
{
	json_t *report = agent_render(agent, false, false);
	char *text = report == NULL ? NULL : json_dumps(report, JSON_COMPACT);

	json_decref(report);
	if (text == NULL)
		return error_nomem(err);
	*ret = (struct store_agent_status){
		.last_seen = agent->last_seen, .last_ack_time = agent->last_ack_time, .acked = agent->applied, .report = text};
	memcpy(ret->id, agent->id, sizeof(ret->id));
	return 0;
}
