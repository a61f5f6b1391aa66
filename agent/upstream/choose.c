/* SPDX-License-Identifier: Apache-2.0 */
/* The choice among the nodes, by workers: smooth weighted round robin over those that health allows, and what became of
 * it. */
#include "base/log.h"
#include "upstream/upstream_impl.h"

#include <string.h>

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Smooth weighted round robin: every candidate gains its weight, the richest is taken and pays the sum of all. Who is
 * no candidate neither gains nor pays, so a node comes back with the balance that it had. */
static struct node *pick_among(struct upstream *upstream, uint64_t tried, bool even_down, uint64_t now)
{
	struct node *best = NULL;
	int64_t total = 0;

	for (size_t i = 0; i < upstream->nodes_len; i++) {
		struct node *node = &upstream->nodes[i];

		if ((tried >> i & 1) != 0 || node->weight == 0 || node->addresses_len == 0)
			continue;
		if (!even_down && !health_allows(&node->health, now))
			continue;
		node->current += node->weight;
		total += node->weight;
		if (best == NULL || node->current > best->current)
			best = node;
	}
	if (best != NULL)
		best->current -= total;
	return best;
}

/* A node that is down is better than none. */
static struct node *pick_node(struct upstream *upstream, uint64_t tried)
{
	uint64_t now = now_ms();
	struct node *node = pick_among(upstream, tried, false, now);

	if (node == NULL)
		node = pick_among(upstream, tried, true, now);
	if (node != NULL)
		health_on_pick(&node->health, &upstream->rules, now);
	return node;
}

static const struct address *pick_address(struct upstream *upstream, struct upstream_attempt *attempt)
{
	struct node *node = &upstream->nodes[attempt->node];

	if (attempt->next == 0 || attempt->next >= node->addresses_len) {
		node = pick_node(upstream, attempt->tried);
		if (node == NULL)
			return NULL;
		attempt->node = (uint8_t)(node - upstream->nodes);
		attempt->tried |= (uint64_t)1 << attempt->node;
		attempt->first = node->preferred;
		attempt->next = 0;
	}
	return &node->addresses[(attempt->first + attempt->next++) % node->addresses_len];
}

int upstream_pick(struct upstream *upstream, struct upstream_attempt *attempt, struct sockaddr_storage *ret_address,
                  socklen_t *ret_len)
{
	const struct address *address;

	pthread_mutex_lock(&upstream->lock);
	address = upstream->nodes_len > 0 ? pick_address(upstream, attempt) : NULL;
	if (address != NULL) {
		memcpy(ret_address, &address->any, address->len);
		*ret_len = address->len;
	}
	pthread_mutex_unlock(&upstream->lock);
	return address != NULL ? 0 : E_UNAVAILABLE;
}

const char *upstream_picked_host(const struct upstream *upstream, const struct upstream_attempt *attempt,
                                 uint16_t *ret_port)
{
	const struct node *node = &upstream->nodes[attempt->node];

	*ret_port = node->port;
	return node->host;
}

bool upstream_refresh_all_down(struct upstream *upstream)
{
	bool was = upstream->all_down, up = false, down = false;

	for (size_t i = 0; i < upstream->nodes_len; i++) {
		const struct node *node = &upstream->nodes[i];

		if (node->weight == 0 || node->addresses_len == 0)
			continue;
		up = up || !node->health.is_down;
		down = down || node->health.is_down;
	}
	upstream->all_down = down && !up;
	return upstream->all_down != was;
}

/* Under the lock: true when the node has changed between up and down. Of several addresses the last must have failed
 * too. */
static bool take_report(struct upstream *upstream, const struct upstream_attempt *attempt, bool connected)
{
	struct node *node = &upstream->nodes[attempt->node];

	if (!connected) {
		upstream->failed++;
		return attempt->next >= node->addresses_len && health_on_failure(&node->health, &upstream->rules, now_ms());
	}
	upstream->connected++;
	if (node->addresses_len > 0)
		node->preferred = (uint8_t)((attempt->first + attempt->next - 1) % node->addresses_len);
	return health_on_success(&node->health);
}

void upstream_report(struct upstream *upstream, const struct upstream_attempt *attempt, bool connected)
{
	const struct node *node = &upstream->nodes[attempt->node];
	bool turned;

	pthread_mutex_lock(&upstream->lock);
	turned = take_report(upstream, attempt, connected);
	if (turned && upstream_refresh_all_down(upstream) && upstream->can_tell)
		uv_async_send(&upstream->news);
	pthread_mutex_unlock(&upstream->lock);
	if (turned)
		log_event(connected ? LOG_INFO : LOG_WARNING, connected ? "upstream node is up" : "upstream node is down",
		          LOG_STR("upstream", upstream->id), LOG_STR("host", node->host), LOG_U64("port", node->port));
}

void upstream_read_counts(struct upstream *upstream, uint64_t *ret_connected, uint64_t *ret_failed)
{
	pthread_mutex_lock(&upstream->lock);
	*ret_connected = upstream->connected;
	*ret_failed = upstream->failed;
	pthread_mutex_unlock(&upstream->lock);
}

void upstream_read_health(struct upstream *upstream, size_t *ret_nodes, size_t *ret_down)
{
	size_t nodes = 0, down = 0;

	pthread_mutex_lock(&upstream->lock);
	for (size_t i = 0; i < upstream->nodes_len; i++) {
		nodes += upstream->nodes[i].weight > 0;
		down += upstream->nodes[i].weight > 0 && upstream->nodes[i].health.is_down;
	}
	pthread_mutex_unlock(&upstream->lock);
	*ret_nodes = nodes;
	*ret_down = down;
}
