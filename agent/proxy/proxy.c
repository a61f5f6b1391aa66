/* SPDX-License-Identifier: Apache-2.0 */
/* The data plane as a whole, seen from the main thread.
 *
 *     started --publish--> serving --close--> draining --workers ended--> joined --handles closed--> on_closed, gone */
#include "proxy/proxy.h"

#include "base/log.h"
#include "crypto/crypto.h"
#include "proxy/counters.h"
#include "proxy/end.h"
#include "proxy/limit.h"
#include "proxy/listing.h"
#include "proxy/probe.h"
#include "proxy/root.h"
#include "proxy/sockets.h"
#include "proxy/worker.h"
#include "tls/hello_hook.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define RECLAIM_MS 20
#define RECLAIM_YIELDS 64

struct proxy {
	struct proxy_config config;
	struct worker_shared shared;
	struct roots *roots;
	struct sockets *sockets;
	uv_async_t news;
	uv_timer_t reclaim;
	struct proxy_counters past; /* of workers that have ended */
	struct agreed past_agreed;
	struct listing *listings; /* asked for, not answered */
	struct prober prober;
	bool closing;
	unsigned handles; /* of ours, not closed yet */
	void (*on_closed)(void *owner);
	unsigned workers_len;
	struct worker *workers[];
};

/* All that needs no loop any more. */
static void proxy_free(struct proxy *proxy)
{
	prober_deinit(&proxy->prober);
	roots_free(proxy->roots);
	limits_free(proxy->shared.limits);
	failures_free(proxy->shared.hello.failures);
	site_unref(proxy->shared.hello.fallback);
	SSL_CTX_free(proxy->shared.front);
	BIO_meth_free(proxy->shared.bio_method);
	free(proxy);
}

static void on_handle_closed(struct proxy *proxy)
{
	void (*on_closed)(void *owner) = proxy->on_closed;
	void *owner = proxy->config.owner;

	if (--proxy->handles > 0)
		return;
	proxy_free(proxy);
	if (on_closed != NULL)
		on_closed(owner);
}

static void on_news_closed(uv_handle_t *handle)
{
	on_handle_closed(container_of((uv_async_t *)handle, struct proxy, news));
}

static void on_reclaim_closed(uv_handle_t *handle)
{
	on_handle_closed(container_of((uv_timer_t *)handle, struct proxy, reclaim));
}

static void on_sockets_closed(void *owner)
{
	on_handle_closed(owner);
}

/* The workers are gone: the handles go, then the rest. */
static void proxy_finish(struct proxy *proxy)
{
	proxy->handles = 2;
	uv_close((uv_handle_t *)&proxy->news, on_news_closed);
	uv_close((uv_handle_t *)&proxy->reclaim, on_reclaim_closed);
	if (proxy->sockets != NULL) {
		proxy->handles++;
		sockets_close(proxy->sockets, on_sockets_closed, proxy);
		proxy->sockets = NULL;
	}
}

/* done may ask for the next list. */
static void answer_listings(struct proxy *proxy)
{
	struct listing **place = &proxy->listings, *listing;

	while ((listing = *place) != NULL) {
		struct proxy_counters counters;

		if (!listing_is_ready(listing)) {
			place = &listing->next;
			continue;
		}
		*place = listing->next;
		proxy_read_counters(proxy, &counters);
		listing_finish(listing, counters.connections_open);
		place = &proxy->listings;
	}
}

static void add_agreed(const struct proxy_agreed *what, void *context)
{
	agreed_count(context, what, what->count);
}

static void join_ended(struct proxy *proxy)
{
	bool all = true;

	for (unsigned i = 0; i < proxy->workers_len; i++) {
		struct worker *worker = proxy->workers[i];

		if (worker == NULL)
			continue;
		if (!atomic_load(&worker->ended)) {
			all = false;
			continue;
		}
		counters_sum(&worker->counters, &proxy->past);
		agreed_each(&worker->agreed, add_agreed, &proxy->past_agreed);
		proxy->workers[i] = worker_join(worker);
	}
	answer_listings(proxy);
	if (all)
		proxy_finish(proxy);
}

/* A state that has been replaced meanwhile is nobody's worry any more. */
static void tell_failures(struct proxy *proxy)
{
	const struct snapshot *snapshot = proxy_snapshot(proxy);
	struct failure failure;

	while (failures_take(proxy->shared.hello.failures, &failure)) {
		const struct entry *entry = snapshot != NULL ? snapshot_find(snapshot, KIND_SSL, failure.id) : NULL;

		if (entry != NULL && digest_is_equal(&entry->digest, &failure.digest) && proxy->config.on_site_failure != NULL)
			proxy->config.on_site_failure(failure.id, failure.reason, proxy->config.owner);
	}
}

static void on_news(uv_async_t *async)
{
	struct proxy *proxy = container_of(async, struct proxy, news);

	if (proxy->closing) {
		join_ended(proxy);
		return;
	}
	tell_failures(proxy);
	answer_listings(proxy);
	sockets_on_news(proxy->sockets);
}

static int make_shared(struct proxy *proxy, struct error *err)
{
	struct worker_shared *shared = &proxy->shared;
	int r = front_new(&shared->front, err);

	if (r == 0)
		r = end_make_bio_method(&shared->bio_method, err);
	if (r == 0)
		r = site_new_self_signed(&shared->hello.fallback, err);
	if (r == 0)
		r = roots_new(proxy->config.workers, &proxy->roots, err);
	if (r == 0)
		r = failures_new(&proxy->news, &shared->hello.failures, err);
	if (r == 0)
		r = crypto_hash_key(&shared->hello.hash_key, err);
	if (r == 0)
		r = limits_new(&shared->limits, err);
	if (r == 0)
		r = prober_init(&proxy->prober, proxy->config.loop, err);
	shared->workers = proxy->config.workers;
	shared->origins = proxy->config.origins;
	shared->news = &proxy->news;
	shared->passes = proxy->prober.passes;
	shared->hello.roots = proxy->roots;
	shared->hello.sites = proxy->config.sites;
	shared->hello.trusts = proxy->config.trusts;
	return r;
}

static int start_workers(struct proxy *proxy, struct error *err)
{
	const struct sockets_config config = {
	    .loop = proxy->config.loop,
	    .workers = proxy->workers,
	    .workers_len = proxy->config.workers,
	    .on_listener_state = proxy->config.on_listener_state,
	    .owner = proxy->config.owner,
	};
	int r = sockets_new(&config, &proxy->sockets, err);

	while (r == 0 && proxy->workers_len < proxy->config.workers) {
		r = worker_start(&proxy->shared, proxy->workers_len, &proxy->workers[proxy->workers_len], err);
		proxy->workers_len += r == 0;
	}
	return r;
}

/* A start that failed half-way: threads are joined here, handles close with the loop's next turn. */
static void abandon(struct proxy *proxy)
{
	proxy->closing = true;
	for (unsigned i = 0; i < proxy->workers_len; i++) {
		worker_stop(proxy->workers[i], 0);
		proxy->workers[i] = worker_join(proxy->workers[i]);
	}
	proxy_finish(proxy);
}

int proxy_start(const struct proxy_config *config, struct proxy **ret, struct error *err)
{
	struct proxy *proxy;
	int r;

	if (config->workers == 0)
		return error_set(err, E_INVALID, "at least one worker is needed");
	proxy = calloc(1, sizeof(*proxy) + config->workers * sizeof(struct worker *));
	if (proxy == NULL)
		return error_nomem(err);
	proxy->config = *config;
	r = make_shared(proxy, err);
	if (r == 0 && uv_async_init(config->loop, &proxy->news, on_news) != 0)
		r = error_set(err, E_IO, "start the data plane: no descriptor for its messages");
	if (r < 0) {
		proxy_free(proxy);
		return r;
	}
	uv_timer_init(config->loop, &proxy->reclaim);
	r = start_workers(proxy, err);
	if (r < 0) {
		abandon(proxy);
		return r;
	}
	*ret = proxy;
	return 0;
}

static void on_reclaim(uv_timer_t *timer)
{
	if (roots_reclaim(container_of(timer, struct proxy, reclaim)->roots))
		uv_timer_stop(timer);
}

/* Callbacks are short, so the old root is nearly always unread after a moment; then it goes at once, and with it what
 * it held. */
static void reclaim(struct proxy *proxy)
{
	for (unsigned i = 0; i < RECLAIM_YIELDS; i++) {
		if (roots_reclaim(proxy->roots))
			return;
		sched_yield();
	}
	uv_timer_start(&proxy->reclaim, on_reclaim, RECLAIM_MS, RECLAIM_MS);
}

void proxy_publish(struct proxy *proxy, struct snapshot *snapshot)
{
	const struct snapshot *before = proxy_snapshot(proxy);
	bool tightens = before != NULL && snapshot_may_tighten(before, snapshot);
	struct alias *aliases;
	size_t aliases_len;

	assert(!proxy->closing);
	aliases_len = sockets_make_aliases(proxy->sockets, snapshot, &aliases);
	roots_publish(proxy->roots, snapshot, aliases, aliases_len);
	sockets_follow(proxy->sockets, snapshot);
	if (tightens)
		trust_cache_sweep(proxy->config.trusts);
	for (unsigned i = 0; tightens && i < proxy->workers_len; i++)
		worker_tighten(proxy->workers[i]);
	reclaim(proxy);
}

const struct snapshot *proxy_snapshot(const struct proxy *proxy)
{
	const struct root *root = roots_current(proxy->roots);

	return root != NULL ? root->snapshot : NULL;
}

void proxy_close(struct proxy *proxy, uint64_t grace_ms, void (*on_closed)(void *owner))
{
	assert(!proxy->closing);
	proxy->closing = true;
	proxy->on_closed = on_closed;
	prober_close(&proxy->prober);
	for (unsigned i = 0; i < proxy->workers_len; i++)
		worker_stop(proxy->workers[i], grace_ms);
}

void proxy_read_counters(const struct proxy *proxy, struct proxy_counters *ret)
{
	struct proxy_counters sums = proxy->past;

	for (unsigned i = 0; i < proxy->workers_len; i++)
		if (proxy->workers[i] != NULL)
			counters_sum(&proxy->workers[i]->counters, &sums);
	*ret = sums;
}

/* Sums of all workers in one table, then told. */
void proxy_each_agreed(const struct proxy *proxy, void (*fn)(const struct proxy_agreed *agreed, void *context), void *context)
{
	struct agreed sums = {0};

	agreed_each(&proxy->past_agreed, add_agreed, &sums);
	for (unsigned i = 0; i < proxy->workers_len; i++)
		if (proxy->workers[i] != NULL)
			agreed_each(&proxy->workers[i]->agreed, add_agreed, &sums);
	agreed_each(&sums, fn, context);
}

bool proxy_listener_read(const struct proxy *proxy, const char *listener_id, struct proxy_listener_counters *ret)
{
	return proxy->sockets != NULL && sockets_read(proxy->sockets, listener_id, ret);
}

int proxy_probe(struct proxy *proxy, const char *listener_id, const char *sni, enum proxy_probe_key key,
                void (*done)(const struct proxy_probed *result, void *context), void *context, struct error *err)
{
	const char *address;

	if (proxy->closing)
		return error_set(err, E_CLOSED, "the data plane is closing");
	address = sockets_find_address(proxy->sockets, listener_id);
	if (address == NULL)
		return error_set(err, E_NOT_FOUND, "the listener has no bound socket");
	return prober_start(&proxy->prober, address, sni, key, done, context, err);
}

void proxy_set_tickets(struct proxy *proxy, struct ticket_sets *sets)
{
	assert(!proxy->closing);
	for (unsigned i = 0; i < proxy->workers_len; i++)
		worker_set_tickets(proxy->workers[i], sets);
}

int proxy_list_connections(struct proxy *proxy, size_t limit, void (*done)(const struct proxy_conn_list *list, void *context),
                           void *context, struct error *err)
{
	struct listing *listing;
	int r;

	if (proxy->closing)
		return error_set(err, E_CLOSED, "the data plane is closing");
	r = listing_new(proxy->workers_len, limit, &listing, err);
	if (r < 0)
		return r;
	listing->done = done;
	listing->context = context;
	listing->next = proxy->listings;
	proxy->listings = listing;
	for (unsigned i = 0; i < proxy->workers_len; i++)
		worker_list(proxy->workers[i], &listing->parts[i]);
	return 0;
}
