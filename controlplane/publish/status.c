/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of an agent's status: for GET /v1/agents, and as the report that the store keeps. Times are unix seconds, but
 * connected_at, which people read; what is unknown is left out. */
#include "agent.h"
#include "model/resource.h"

static json_t *render_revision(struct revision revision)
{
	return json_pack("{s:I, s:I}", "epoch", (json_int_t)revision.epoch, "number", (json_int_t)revision.number);
}

struct rendering {
	json_t *json;
	int failed;
};

static void put(struct rendering *rendering, const char *key, json_t *value)
{
	rendering->failed |= json_object_set_new(rendering->json, key, value);
}

static void put_text(struct rendering *rendering, const char *key, const char *text)
{
	if (text != NULL && text[0] != '\0')
		put(rendering, key, json_string(text));
}

static void put_time(struct rendering *rendering, const char *key, uint64_t time)
{
	if (time > 0)
		put(rendering, key, json_integer((json_int_t)time));
}

static void put_revision(struct rendering *rendering, const char *key, struct revision revision)
{
	if (revision.number > 0)
		put(rendering, key, render_revision(revision));
}

json_t *agent_render(const struct agent *agent, bool connected, bool behind)
{
	struct rendering rendering = {.json = json_object()};

	put(&rendering, "connected", json_boolean(connected));
	put_text(&rendering, "address", agent->address);
	if (connected)
		put(&rendering, "connected_at", resource_render_time((int64_t)agent->connected_at));
	put_time(&rendering, "last_seen", agent->last_seen);
	put_text(&rendering, "hostname", agent->hostname);
	put_text(&rendering, "agent_version", agent->version);
	put_text(&rendering, "openssl_version", agent->openssl);
	put_time(&rendering, "certificate_not_after",
	         agent->certificate_not_after > 0 ? (uint64_t)agent->certificate_not_after : 0);
	put_revision(&rendering, "applied", agent->applied);
	if (connected)
		put(&rendering, "behind", json_boolean(behind));
	put(&rendering, "durable", json_boolean(!agent->not_durable));
	put_time(&rendering, "last_ack", agent->last_ack_time);
	put(&rendering, "diverged", json_boolean(agent->diverged));
	put_revision(&rendering, "crashed", agent->crashed);
	if (agent->nack != NULL)
		put(&rendering, "last_nack", json_incref(agent->nack));
	put(&rendering, "degraded", agent->degraded == NULL ? json_array() : json_incref(agent->degraded));
	if (agent->degraded_more > 0)
		put(&rendering, "degraded_more", json_integer(agent->degraded_more));
	if (rendering.failed != 0) {
		json_decref(rendering.json);
		return NULL;
	}
	return rendering.json;
}
