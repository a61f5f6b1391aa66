/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an upstream on the main loop: names are resolved, what is wrong is told.
 *
 *     node:  (IP address) ------------------------------------> resolved for ever
 *            (name) unresolved --answer--> resolved --answer--> resolved, new addresses
 *                       \--error, again sooner      \--error--> resolved still, with the last good addresses; degraded
 *
 * One timer per upstream asks for all its names: every REFRESH_MS while all answer, else with back-off. Workers tell by
 * an async that the last node went down or one came back. Timer, async and each question under way hold a reference, so
 * the memory outlives them; after upstream_retire their answers are dropped. */
#include "upstream/upstream.h"

#include "base/log.h"
#include "model/effective.h"
#include "upstream/upstream_impl.h"

#include <assert.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#define REFRESH_MS 30000
#define RETRY_MIN_MS 1000

struct question {
	uv_getaddrinfo_t request;
	struct upstream *upstream; /* a reference */
	struct node *node;
};

struct upstream *upstream_ref(struct upstream *upstream)
{
	atomic_fetch_add_explicit(&upstream->count, 1, memory_order_relaxed);
	return upstream;
}

struct upstream *upstream_unref(struct upstream *upstream)
{
	if (upstream == NULL || atomic_fetch_sub_explicit(&upstream->count, 1, memory_order_acq_rel) > 1)
		return NULL;
	for (size_t i = 0; i < upstream->nodes_len; i++)
		free(upstream->nodes[i].host);
	pthread_mutex_destroy(&upstream->lock);
	free(upstream->id);
	free(upstream);
	return NULL;
}

const char *upstream_id(const struct upstream *upstream)
{
	return upstream->id;
}

uint32_t upstream_connect_timeout_ms(const struct upstream *upstream)
{
	return upstream->connect_timeout_ms;
}

/* Under the lock. One node stands for all, so that the text does not change with each failure. */
static void describe_down(const struct upstream *upstream, char *reason, size_t size)
{
	const struct node *first = NULL;
	size_t others = 0;

	for (size_t i = 0; i < upstream->nodes_len; i++) {
		const struct node *node = &upstream->nodes[i];

		if (!node->health.is_down)
			continue;
		others += first != NULL;
		first = first != NULL ? first : node;
	}
	assert(first != NULL);
	if (others == 0)
		snprintf(reason, size, "no node answers: %.250s port %u is down", first->host, first->port);
	else
		snprintf(reason, size, "no node answers: %.250s port %u and %zu more are down", first->host, first->port,
		         others);
}

/* Tells when what is wrong has changed: the first node without a good answer stands for all. */
static void upstream_tell(struct upstream *upstream)
{
	char reason[sizeof(upstream->reason)] = "";

	pthread_mutex_lock(&upstream->lock);
	if (upstream->all_down)
		describe_down(upstream, reason, sizeof(reason));
	pthread_mutex_unlock(&upstream->lock);
	for (size_t i = 0; i < upstream->nodes_len && reason[0] == 0; i++) {
		const struct node *node = &upstream->nodes[i];

		if (node->failure != 0)
			snprintf(reason, sizeof(reason), "%.250s does not resolve: %s", node->host, uv_strerror(node->failure));
	}
	if (strcmp(reason, upstream->reason) == 0)
		return;
	memcpy(upstream->reason, reason, sizeof(reason));
	if (upstream->events.on_state != NULL)
		upstream->events.on_state(upstream, reason[0] != 0 ? reason : NULL, upstream->events.owner);
}

static void on_timer(uv_timer_t *timer);

/* All answers are in: when to ask again. */
static void upstream_schedule(struct upstream *upstream)
{
	bool well = true;
	uint64_t wait = REFRESH_MS;

	for (size_t i = 0; i < upstream->nodes_len; i++)
		well = well && upstream->nodes[i].failure == 0;
	if (well) {
		upstream->retry_ms = RETRY_MIN_MS;
	} else {
		wait = upstream->retry_ms;
		upstream->retry_ms = upstream->retry_ms * 2 > REFRESH_MS ? REFRESH_MS : upstream->retry_ms * 2;
	}
	uv_timer_start(&upstream->timer, on_timer, wait, 0);
}

static bool address_is_equal(const struct address *a, const struct address *b)
{
	return a->len == b->len && memcmp(&a->any, &b->any, a->len) == 0;
}

/* Keeps the preferred address where it still is among the answers. */
static void node_take(struct upstream *upstream, struct node *node, const struct addrinfo *answer)
{
	struct address taken[ADDRESSES_MAX] = {0};
	uint8_t len = 0, preferred = 0;

	for (; answer != NULL && len < ADDRESSES_MAX; answer = answer->ai_next) {
		struct address *address = &taken[len];

		if (answer->ai_family == AF_INET) {
			memcpy(&address->v4, answer->ai_addr, sizeof(address->v4));
			address->v4.sin_port = htons(node->port);
			address->len = sizeof(address->v4);
		} else if (answer->ai_family == AF_INET6) {
			memcpy(&address->v6, answer->ai_addr, sizeof(address->v6));
			address->v6.sin6_port = htons(node->port);
			address->len = sizeof(address->v6);
		} else {
			continue;
		}
		if (node->addresses_len > 0 && address_is_equal(address, &node->addresses[node->preferred]))
			preferred = len;
		len++;
	}
	pthread_mutex_lock(&upstream->lock);
	memcpy(node->addresses, taken, sizeof(taken));
	node->addresses_len = len;
	node->preferred = preferred;
	(void)upstream_refresh_all_down(upstream); /* told with the other answers */
	pthread_mutex_unlock(&upstream->lock);
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *answer)
{
	struct question *question = container_of(request, struct question, request);
	struct upstream *upstream = question->upstream;
	struct node *node = question->node;

	upstream->asked--;
	if (!upstream->retired) {
		if (status == 0 && answer != NULL)
			node_take(upstream, node, answer);
		if (status != 0 && node->failure != status)
			log_event(LOG_WARNING, "name does not resolve", LOG_STR("upstream", upstream->id),
			          LOG_STR("host", node->host), LOG_STR("reason", uv_strerror(status)));
		node->failure = status;
		if (upstream->asked == 0) {
			upstream_schedule(upstream);
			upstream_tell(upstream);
		}
	}
	uv_freeaddrinfo(answer);
	free(question);
	upstream_unref(upstream);
}

static int node_ask(struct upstream *upstream, struct node *node)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct question *question = calloc(1, sizeof(*question));
	int r;

	if (question == NULL)
		return UV_ENOMEM;
	question->upstream = upstream;
	question->node = node;
	r = uv_getaddrinfo(upstream->loop, &question->request, on_answer, node->host, NULL, &hints);
	if (r < 0) {
		free(question);
		return r;
	}
	upstream_ref(upstream);
	upstream->asked++;
	return 0;
}

static void upstream_ask(struct upstream *upstream)
{
	for (size_t i = 0; i < upstream->nodes_len; i++) {
		struct node *node = &upstream->nodes[i];
		int r = node->is_name ? node_ask(upstream, node) : 0;

		if (r < 0)
			node->failure = r;
	}
	if (upstream->asked == 0)
		upstream_schedule(upstream);
}

static void on_timer(uv_timer_t *timer)
{
	struct upstream *upstream = container_of(timer, struct upstream, timer);

	upstream_ask(upstream);
	if (upstream->asked == 0)
		upstream_tell(upstream);
}

static void on_timer_closed(uv_handle_t *handle)
{
	upstream_unref(container_of((uv_timer_t *)handle, struct upstream, timer));
}

static void on_news(uv_async_t *async)
{
	struct upstream *upstream = container_of(async, struct upstream, news);

	if (!upstream->retired)
		upstream_tell(upstream);
}

static void on_news_closed(uv_handle_t *handle)
{
	upstream_unref(container_of((uv_async_t *)handle, struct upstream, news));
}

void upstream_retire(struct upstream *upstream)
{
	bool could_tell;

	if (upstream->retired)
		return;
	upstream->retired = true;
	pthread_mutex_lock(&upstream->lock); /* no worker sends to a handle that closes */
	could_tell = upstream->can_tell;
	upstream->can_tell = false;
	pthread_mutex_unlock(&upstream->lock);
	if (could_tell)
		uv_close((uv_handle_t *)&upstream->news, on_news_closed);
	if (upstream->has_names)
		uv_close((uv_handle_t *)&upstream->timer, on_timer_closed);
}

/* An IP address is resolved here and now; anything else is a name to ask for. */
static int node_init(struct node *node, const Tlsplane__Node *body)
{
	struct address *address = &node->addresses[0];

	node->host = strdup(body->host);
	if (node->host == NULL)
		return E_NOMEM;
	node->port = (uint16_t)body->port;
	node->weight = body->weight;
	if (uv_ip4_addr(body->host, (int)body->port, &address->v4) == 0) {
		address->len = sizeof(address->v4);
		node->addresses_len = 1;
		return 0;
	}
	if (uv_ip6_addr(body->host, (int)body->port, &address->v6) == 0) {
		address->len = sizeof(address->v6);
		node->addresses_len = 1;
		return 0;
	}
	node->is_name = true;
	return 0;
}

static int upstream_init(struct upstream *upstream, const char *id, const Tlsplane__Upstream *body)
{
	int r = 0;

	upstream->id = strdup(id);
	if (upstream->id == NULL)
		return E_NOMEM;
	for (size_t i = 0; i < body->n_nodes && r == 0; i++) {
		r = node_init(&upstream->nodes[i], body->nodes[i]);
		upstream->nodes_len++;
		upstream->has_names = upstream->has_names || upstream->nodes[i].is_name;
	}
	return r;
}

/* A probe that says nothing is given up after as long as a connect may take. */
static void upstream_set_times(struct upstream *upstream, const Tlsplane__Upstream *body)
{
	struct health_rules *rules = &upstream->rules;

	upstream->connect_timeout_ms = effective_connect_timeout_ms(body);
	rules->max_fails = effective_max_fails(body);
	rules->timeout_ms = effective_fail_timeout_ms(body);
	rules->probe_ms =
	    rules->timeout_ms > upstream->connect_timeout_ms ? rules->timeout_ms : upstream->connect_timeout_ms;
}

/* From here on it has handles: retire it before the last unref. */
static int upstream_open(struct upstream *upstream, struct error *err)
{
	if (upstream->events.on_state != NULL && upstream->rules.max_fails > 0) {
		int r = uv_async_init(upstream->loop, &upstream->news, on_news);

		if (r < 0)
			return error_set(err, r == UV_ENOMEM ? E_NOMEM : E_IO, "messages of an upstream: %s", uv_strerror(r));
		uv_unref((uv_handle_t *)&upstream->news); /* keeps no loop alive */
		upstream->can_tell = true;
		upstream_ref(upstream);
	}
	if (upstream->has_names) {
		uv_timer_init(upstream->loop, &upstream->timer);
		upstream_ref(upstream);
		upstream_ask(upstream);
	}
	return 0;
}

int upstream_new(uv_loop_t *loop, const char *id, const Tlsplane__Upstream *body, const struct upstream_events *events,
                 struct upstream **ret, struct error *err)
{
	CLEANUP(upstream_unref) struct upstream *upstream = NULL;
	int r;

	if (body->n_nodes > UPSTREAM_NODES_MAX)
		return error_set(err, E_TOO_LARGE, "/nodes: %zu nodes, at most %d", body->n_nodes, UPSTREAM_NODES_MAX);
	upstream = calloc(1, sizeof(*upstream) + body->n_nodes * sizeof(struct node));
	if (upstream == NULL)
		return error_nomem(err);
	atomic_init(&upstream->count, 1);
	pthread_mutex_init(&upstream->lock, NULL);
	upstream->loop = loop;
	upstream->retry_ms = RETRY_MIN_MS;
	upstream_set_times(upstream, body);
	if (events != NULL)
		upstream->events = *events;
	if (upstream_init(upstream, id, body) < 0)
		return error_nomem(err);
	r = upstream_open(upstream, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(upstream);
	return 0;
}
