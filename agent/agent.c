/* SPDX-License-Identifier: Apache-2.0 */
/* Assembly. Who owns what, and in which order it goes:
 *
 *   lock, keyring, cache -> parsed caches -> proxy (workers) -> the cached snapshot is served -> apply -> status page
 * -> identity -> link
 *
 * Closing goes the other way round: link, then apply; status page, proxy and timers beside them; when all are gone the
 * rest is freed. Whatever is wrong with the control plane, the identity, the cache's contents or the disk is logged and
 * does not end the agent. */
#include "wiring.h"

#include "base/file.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "crypto/seal.h"
#include "sync/restore.h"
#include "tls/origin.h"
#include "tls/site.h"
#include "tls/trust.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRUSTS_MAX 256 /* parsed sets of client CAs */
#define ORIGIN_SESSIONS_MAX 4096 /* kept to be resumed with upstream nodes, about 1 KB each */
#define ALIVE_MS 60000 /* a death after this says nothing about the snapshot */

/* --- start --- */

static int open_keyring(struct agent *agent, struct error *err)
{
	char path[PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/keyring", agent->config.data_dir);
	r = keyring_load(path, true, &agent->keyring, err);
	if (r < 0)
		return r;
	keyring_fingerprint(agent->keyring, agent->fingerprint);
	return 0;
}

static void log_start(const struct cache_start *start)
{
	if (start->set_aside)
		log_event(LOG_ERROR, "the cache was set aside, starting with an empty one", LOG_STR("damage", start->damage));
	if (start->read_only)
		log_event(LOG_WARNING, "the cache can't be written; serving what it holds");
	if (start->fell_back)
		log_event(LOG_ERROR, "fell back to the snapshot before", LOG_U64("crashed_epoch", start->crashed.epoch),
		          LOG_U64("crashed_revision", start->crashed.number), LOG_U64("revision", start->current.number));
	if (start->swapped)
		log_event(LOG_WARNING, "the cache is older than what this agent has served",
		          LOG_U64("revision", start->current.number), LOG_U64("high_water", start->high_water.number));
}

static int make_parts(struct agent *agent, struct error *err)
{
	struct proxy_config proxy = {.loop = agent->config.loop,
	                             .workers = agent->config.workers,
	                             .on_listener_state = wiring_on_listener_state,
	                             .on_site_failure = wiring_on_site_failure,
	                             .owner = agent};
	int r;

	r = cache_open(agent->config.data_dir, agent->fingerprint, true, &agent->cache, &agent->start, err);
	if (r == 0)
		r = site_cache_new(agent->keyring, agent->config.decoded_max, &agent->sites, err);
	if (r == 0)
		r = trust_cache_new(TRUSTS_MAX, &agent->trusts, err);
	if (r == 0)
		r = origin_cache_new(ORIGIN_SESSIONS_MAX, &agent->origins, err);
	if (r == 0)
		r = crypto_hash_key(&agent->context.hash_key, err);
	if (r < 0)
		return r;
	log_start(&agent->start);
	wiring_start(agent);
	agent->context.loop = agent->config.loop;
	agent->context.keyring = agent->keyring;
	agent->context.upstream_events = &agent->upstream_events;
	agent->context.system_ca_file = agent->config.system_ca_file;
	proxy.sites = agent->sites;
	proxy.trusts = agent->trusts;
	proxy.origins = agent->origins;
	return proxy_start(&proxy, &agent->proxy, err);
}

/* What can't be loaded is set aside: the control plane sends all of it again. */
static int replace_cache(struct agent *agent, struct error *why)
{
	struct cache *damaged = TAKE_PTR(agent->cache);

	log_event(LOG_ERROR, "the cached snapshot can't be loaded", LOG_ERR(why));
	return cache_replace_damaged(damaged, agent->fingerprint, &agent->cache, &agent->start, why);
}

static int load_cached(struct agent *agent, struct snapshot **ret, struct error *err)
{
	CLEANUP(snapshot_free) struct snapshot *snapshot = NULL;
	int r = restore_snapshot(agent->cache, &agent->start, &agent->context, &snapshot, err), settled;

	if (agent->start.fell_back && r != E_NOMEM) {
		if (r < 0)
			log_event(LOG_ERROR, "the snapshot before is not whole; serving on with what came after it", LOG_ERR(err));
		settled = cache_settle(agent->cache, r == 0, &agent->start, err);
		if (settled < 0)
			return settled;
		if (!agent->start.fell_back) {
			snapshot = snapshot_free(snapshot);
			r = restore_snapshot(agent->cache, &agent->start, &agent->context, &snapshot, err);
		}
	}
	if (r == 0)
		*ret = TAKE_PTR(snapshot);
	return r;
}

/* Memory and a disk that can't be read may be there again at the next start: what is cached is not given up for them. *ret stays NULL:
 * there is nothing to serve. */
static int load_or_replace(struct agent *agent, struct snapshot **ret, struct error *err)
{
	int r;

	if (agent->start.current.number == 0)
		return 0;
	r = load_cached(agent, ret, err);
	return r == 0 || r == E_NOMEM || r == E_IO ? r : replace_cache(agent, err);
}

/* Ticket keys come first, so that the first client to come back can resume; and only now, when the cache is settled. */
static int start_tickets(struct agent *agent, struct error *err)
{
	const struct ticket_config config = {.cache = agent->cache,
	                                     .keyring = agent->keyring,
	                                     .ports = wiring_tickets(agent)};

	return ticket_keeper_new(&config, &agent->tickets, err);
}

static int serve_cached(struct agent *agent, struct error *err)
{
	struct snapshot *snapshot = NULL;
	int r = load_or_replace(agent, &snapshot, err);

	if (r == 0)
		r = start_tickets(agent, err);
	if (r < 0) {
		snapshot_free(snapshot);
		return r;
	}
	if (snapshot == NULL)
		return 0;
	log_event(LOG_INFO, "serving from the cache", LOG_U64("epoch", agent->start.current.epoch),
	          LOG_U64("revision", agent->start.current.number), LOG_U64("objects", snapshot_object_count(snapshot, 0)));
	wiring_publish(snapshot, agent);
	return 0;
}

static int start_apply(struct agent *agent, struct error *err)
{
	const struct apply_config config = {.snapshot = agent->context,
	                                    .cache = agent->cache,
	                                    .sites = agent->sites,
	                                    .high_water = agent->start.high_water,
	                                    .crashed = agent->start.crashed,
	                                    .ports = wiring_apply(agent)};

	return apply_start(&config, &agent->apply, err);
}

static int start_status(struct agent *agent, struct error *err)
{
	const struct status_config config = {.loop = agent->config.loop,
	                                     .host = agent->config.status_host,
	                                     .port = agent->config.status_port,
	                                     .tls_ssl = agent->config.status_tls,
	                                     .sources = {.proxy = agent->proxy,
	                                                 .apply = agent->apply,
	                                                 .degraded = &agent->reporter.degraded,
	                                                 .identity = agent->identity,
	                                                 .sites = agent->sites,
	                                                 .link = (const struct link *const *)&agent->link}};
	int r;

	if (agent->config.status_host == NULL)
		return 0;
	r = status_start(&config, &agent->status, err);
	if (r == E_FORBIDDEN)
		return error_prefix(err, r, "--status-listen without --status-tls");
	return r < 0 ? error_prefix(err, r, "--status-listen") : 0;
}

/* Who is not enrolled needs a join token: without one it ends here and now, unless it has something to serve. */
static int check_token(struct agent *agent, struct error *err)
{
	CLEANUP(join_token_wipe) struct join_token token = {0};
	struct error why = ERROR_NULL;

	if (identity_is_enrolled(agent->identity) || join_token_read(agent->config.token_path, &token, &why) == 0)
		return 0;
	if (proxy_snapshot(agent->proxy) == NULL)
		return error_set(err, E_INVALID, "%s", why.text);
	log_event(LOG_ERROR, "not enrolled; serving the cache until there is a join token", LOG_ERR(&why));
	return 0;
}

/* Without an identity that can be read the agent serves on, unconnected. */
static int start_link(struct agent *agent, struct error *err)
{
	const struct link_config config = {.loop = agent->config.loop,
	                                   .identity = agent->identity,
	                                   .controlplane = agent->config.controlplane,
	                                   .token_path = agent->config.token_path,
	                                   .events = wiring_link(agent)};
	int r;

	if (agent->identity == NULL)
		return 0;
	r = check_token(agent, err);
	return r == 0 ? link_start(&config, &agent->link, err) : r;
}

static int open_identity(struct agent *agent, struct error *err)
{
	int r = identity_open(agent->config.data_dir, &agent->identity, err);

	if (r == E_NOMEM || (r < 0 && proxy_snapshot(agent->proxy) == NULL))
		return r;
	if (r < 0)
		log_event(LOG_ERROR, "the identity can't be read; serving the cache without a control plane", LOG_ERR(err));
	return 0;
}

static void on_alive(uv_timer_t *timer)
{
	struct agent *agent = timer->data;

	cache_note_alive(agent->cache);
}

static void log_ready(const struct agent *agent)
{
	char address[300] = "off";

	if (agent->status != NULL)
		snprintf(address, sizeof(address), strchr(agent->config.status_host, ':') != NULL ? "[%s]:%u" : "%s:%u",
		         agent->config.status_host, status_port(agent->status));
	log_event(LOG_INFO, "agent ready", LOG_STR("status", address), LOG_STR("version", TLSPLANE_VERSION),
	          LOG_U64("workers", agent->config.workers));
}

static int start_steps(struct agent *agent, struct error *err)
{
	int r = file_lock_dir(agent->config.data_dir, &agent->lock, err);

	if (r == 0)
		r = open_keyring(agent, err);
	if (r == 0)
		r = make_parts(agent, err);
	if (r == 0)
		r = serve_cached(agent, err);
	if (r == 0)
		r = start_apply(agent, err);
	if (r == 0)
		r = open_identity(agent, err);
	if (r == 0)
		r = start_status(agent, err);
	if (r == 0)
		r = start_link(agent, err);
	return r;
}

static void forget_failed(void *owner)
{
}

int agent_start(const struct agent_config *config, struct agent **ret, struct error *err)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	int r;

	if (agent == NULL)
		return error_nomem(err);
	agent->config = *config;
	agent->lock = -1;
	uv_timer_init(config->loop, &agent->alive); /* can't fail */
	agent->alive.data = agent;
	r = start_steps(agent, err);
	if (r < 0) {
		agent_close(agent, 0, forget_failed, NULL);
		return r;
	}
	uv_timer_start(&agent->alive, on_alive, ALIVE_MS, 0);
	log_ready(agent);
	*ret = agent;
	return 0;
}

/* --- close --- */

static void free_all(struct agent *agent)
{
	ticket_keeper_free(agent->tickets);
	cache_close(agent->cache);
	identity_free(agent->identity);
	reporter_deinit(&agent->reporter);
	site_cache_free(agent->sites);
	trust_cache_free(agent->trusts);
	origin_cache_free(agent->origins);
	keyring_free(agent->keyring);
	if (agent->lock >= 0)
		close(agent->lock);
	agent->on_closed(agent->closed_owner);
	free(agent);
}

static void part_closed(struct agent *agent)
{
	if (--agent->open_parts == 0)
		free_all(agent);
}

static void on_part_closed(void *owner)
{
	part_closed(owner);
}

static void on_proxy_closed(void *owner)
{
	struct agent *agent = owner;

	agent->proxy = NULL;
	part_closed(agent);
}

static void on_timer_closed(uv_handle_t *handle)
{
	part_closed(handle->data);
}

/* The link is gone: nothing calls apply any more. What apply asks the proxy for is asked before the proxy goes. */
static void close_apply_and_proxy(struct agent *agent)
{
	if (agent->apply != NULL) {
		agent->open_parts++;
		apply_close(agent->apply, on_part_closed, agent);
	}
	if (agent->proxy != NULL) {
		agent->open_parts++;
		proxy_close(agent->proxy, agent->grace_ms, on_proxy_closed);
	}
}

static void on_link_closed(void *owner)
{
	struct agent *agent = owner;

	agent->link = NULL;
	close_apply_and_proxy(agent);
	part_closed(agent);
}

void agent_close(struct agent *agent, uint64_t grace_ms, void (*on_closed)(void *owner), void *owner)
{
	agent->grace_ms = grace_ms;
	agent->on_closed = on_closed;
	agent->closed_owner = owner;
	agent->open_parts = 1;
	uv_close((uv_handle_t *)&agent->alive, on_timer_closed);
	if (agent->reporter.open > 0) { /* else it was not started */
		agent->open_parts++;
		reporter_close(&agent->reporter, on_part_closed, agent);
	}
	if (agent->status != NULL) {
		agent->open_parts++;
		status_close(agent->status, on_part_closed, agent);
	}
	if (agent->link != NULL) {
		agent->open_parts++;
		link_close(agent->link, on_link_closed, agent);
	} else {
		close_apply_and_proxy(agent);
	}
}
