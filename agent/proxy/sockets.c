/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/sockets.h"

#include "base/log.h"
#include "proxy/group.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_MS 200
#define RETRY_MAX_MS 5000
#define WORKERS_MAX 256
#define HANDSHAKE_TIMEOUT_MS 10000

enum spot_state { SPOT_WANTED, SPOT_BOUND, SPOT_RETIRING };

struct spot {
	enum spot_state state;
	struct spot *next;
	char address[80];
	char listener[ID_MAX + 1]; /* that it serves, or served last */
	bool wanted;               /* by a listener of the current snapshot at this very address */
	struct point *point;       /* BOUND, RETIRING */
	uint32_t max_connections, max_handshakes, handshakes_per_second, handshake_timeout_ms;
	struct ranges *senders; /* a reference, or NULL */
	uint64_t retry_at, retry_ms; /* WANTED */
	char reported[256];          /* degraded for this reason; "" when well */
};

struct sockets {
	struct sockets_config config;
	struct spot *spots;
	uv_timer_t retry;
	void (*on_closed)(void *owner);
	void *closed_owner;
};

static struct spot *find_spot(const struct sockets *sockets, const char *address)
{
	struct spot *spot = sockets->spots;

	while (spot != NULL && strcmp(spot->address, address) != 0)
		spot = spot->next;
	return spot;
}

static void spot_tell(struct sockets *sockets, struct spot *spot, const char *reason)
{
	if (strcmp(spot->reported, reason) == 0)
		return;
	snprintf(spot->reported, sizeof(spot->reported), "%s", reason);
	if (sockets->config.on_listener_state != NULL)
		sockets->config.on_listener_state(spot->listener, reason[0] != 0 ? reason : NULL, sockets->config.owner);
}

static void spot_free(struct spot *spot)
{
	point_unref(spot->point);
	ranges_unref(spot->senders);
	free(spot);
}

static void spot_unlink(struct sockets *sockets, struct spot *spot)
{
	struct spot **place = &sockets->spots;

	while (*place != spot)
		place = &(*place)->next;
	*place = spot->next;
	spot_tell(sockets, spot, "");
	spot_free(spot);
}

/* ------------------------------------------------------------------------------------------------ binding */

/* Every worker gets its socket, or none keeps one. */
static int spot_hand_out(struct sockets *sockets, struct spot *spot, int *fds, struct error *err)
{
	unsigned count = sockets->config.workers_len;
	struct point *point = spot->point;
	int r = 0;

	atomic_store(&point->sockets, count);
	for (unsigned i = 0; i < count; i++) {
		if (r == 0)
			r = worker_listen(sockets->config.workers[i], point, fds[i], err);
		if (r < 0) {
			group_close(&fds[i], 1);
			atomic_fetch_sub(&point->sockets, 1);
		}
	}
	return r;
}

static void spot_set_limits(struct spot *spot)
{
	struct point *point = spot->point;

	atomic_store_explicit(&point->max_connections, spot->max_connections, memory_order_relaxed);
	atomic_store_explicit(&point->max_handshakes, spot->max_handshakes, memory_order_relaxed);
	atomic_store_explicit(&point->handshakes_per_second, spot->handshakes_per_second, memory_order_relaxed);
	atomic_store_explicit(&point->handshake_timeout_ms, spot->handshake_timeout_ms, memory_order_relaxed);
	point_set_senders(point, spot->senders);
}

static void spot_retire(struct sockets *sockets, struct spot *spot);

static int spot_bind(struct sockets *sockets, struct spot *spot, struct error *err)
{
	int fds[WORKERS_MAX], r;

	spot->point = point_new(spot->address);
	if (spot->point == NULL)
		return error_nomem(err);
	r = group_open(spot->address, sockets->config.workers_len, fds, err);
	if (r < 0) {
		spot->point = point_unref(spot->point);
		return r;
	}
	spot_set_limits(spot);
	r = spot_hand_out(sockets, spot, fds, err);
	spot->state = SPOT_BOUND;
	if (r < 0)
		spot_retire(sockets, spot);
	return r;
}

/* One try; the next waits twice as long. */
static void spot_try(struct sockets *sockets, struct spot *spot)
{
	struct error err = ERROR_NULL;

	if (spot_bind(sockets, spot, &err) == 0) {
		spot->retry_ms = 0;
		log_event(LOG_INFO, "listening", LOG_STR("listener", spot->listener), LOG_STR("address", spot->address));
		spot_tell(sockets, spot, "");
		return;
	}
	if (spot->reported[0] == 0)
		log_event(LOG_WARNING, "cannot listen", LOG_STR("listener", spot->listener), LOG_STR("reason", err.text));
	spot->retry_ms = spot->retry_ms == 0                 ? RETRY_MIN_MS
	                 : spot->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS
	                                                     : spot->retry_ms * 2;
	spot->retry_at = uv_now(sockets->config.loop) + spot->retry_ms;
	spot_tell(sockets, spot, err.text);
}

/* Bound, but not all workers could be given their socket, nor the others told to give it back: memory ran out twice. */
static bool spot_is_half(const struct spot *spot)
{
	return spot->state == SPOT_BOUND && spot->reported[0] != 0;
}

static void on_retry(uv_timer_t *timer);

static void arm_retry(struct sockets *sockets)
{
	uint64_t now = uv_now(sockets->config.loop), at = UINT64_MAX;

	for (struct spot *spot = sockets->spots; spot != NULL; spot = spot->next)
		if ((spot->state == SPOT_WANTED || spot_is_half(spot)) && spot->retry_at < at)
			at = spot->retry_at;
	if (at == UINT64_MAX)
		uv_timer_stop(&sockets->retry);
	else
		uv_timer_start(&sockets->retry, on_retry, at > now ? at - now : 0, 0);
}

/* ------------------------------------------------------------------------------------------------ retiring */

/* A worker that could not be told keeps its socket; tried again with the next news or snapshot. */
static void spot_retire(struct sockets *sockets, struct spot *spot)
{
	struct error err = ERROR_NULL;

	for (unsigned i = 0; i < sockets->config.workers_len; i++)
		if (worker_unlisten(sockets->config.workers[i], spot->point, &err) < 0)
			return;
	spot->state = SPOT_RETIRING;
	log_event(LOG_INFO, "no longer listening", LOG_STR("listener", spot->listener), LOG_STR("address", spot->address));
}

/* The listener that the spot served is still there, at another address that is not bound yet. */
static bool spot_is_kept(const struct sockets *sockets, const struct spot *spot)
{
	const struct spot *other;

	for (other = sockets->spots; other != NULL; other = other->next)
		if (other != spot && other->wanted && strcmp(other->listener, spot->listener) == 0)
			return other->state != SPOT_BOUND;
	return false;
}

/* What nobody wants goes; what is gone from all workers is forgotten, or wanted anew. */
static void sockets_settle(struct sockets *sockets)
{
	struct spot *spot, *next;

	for (spot = sockets->spots; spot != NULL; spot = next) {
		next = spot->next;
		if (spot->state == SPOT_BOUND && (spot_is_half(spot) || (!spot->wanted && !spot_is_kept(sockets, spot))))
			spot_retire(sockets, spot);
		if (spot->state == SPOT_RETIRING && atomic_load(&spot->point->sockets) == 0) {
			if (spot->wanted) {
				spot->point = point_unref(spot->point);
				spot->state = SPOT_WANTED;
			} else if (atomic_load(&spot->point->connections) == 0) {
				spot_unlink(sockets, spot);
				continue;
			}
		}
		if (spot->state == SPOT_WANTED && !spot->wanted)
			spot_unlink(sockets, spot);
	}
}

/* Tries what is due, then looks whom that sets free (a kept address whose listener has arrived). */
static void sockets_go_on(struct sockets *sockets)
{
	uint64_t now = uv_now(sockets->config.loop);

	sockets_settle(sockets);
	for (struct spot *spot = sockets->spots; spot != NULL; spot = spot->next)
		if (spot->state == SPOT_WANTED && spot->retry_at <= now)
			spot_try(sockets, spot);
	sockets_settle(sockets);
	arm_retry(sockets);
}

static void on_retry(uv_timer_t *timer)
{
	sockets_go_on(container_of(timer, struct sockets, retry));
}

void sockets_on_news(struct sockets *sockets)
{
	sockets_go_on(sockets);
}

/* ------------------------------------------------------------------------------------------------ snapshots */

static const struct listener_view *find_listener_by_id(const struct snapshot *snapshot, const char *id)
{
	for (size_t i = 0; i < snapshot_listener_count(snapshot); i++)
		if (strcmp(snapshot_listener(snapshot, i)->id, id) == 0)
			return snapshot_listener(snapshot, i);
	return NULL;
}

/* Also for spots that retire: connections accepted there may not have said hello yet. */
size_t sockets_make_aliases(struct sockets *sockets, const struct snapshot *snapshot, struct alias **ret_aliases)
{
	struct alias *aliases = NULL;
	size_t count = 0, max = 0;

	for (struct spot *spot = sockets->spots; spot != NULL; spot = spot->next)
		max++;
	if (max > 0)
		aliases = calloc(max, sizeof(*aliases));
	for (struct spot *spot = sockets->spots; spot != NULL && aliases != NULL; spot = spot->next) {
		const struct listener_view *view;

		if (spot->point == NULL || snapshot_find_listener(snapshot, spot->address) != NULL)
			continue;
		view = find_listener_by_id(snapshot, spot->listener);
		if (view == NULL)
			continue;
		snprintf(aliases[count].from, sizeof(aliases[count].from), "%s", spot->address);
		snprintf(aliases[count].to, sizeof(aliases[count].to), "%s", view->address);
		count++;
	}
	if (count == 0) {
		free(aliases);
		aliases = NULL;
	}
	*ret_aliases = aliases;
	return count;
}

/* Without memory the senders stay who they were. */
static void spot_take_limits(struct spot *spot, const struct snapshot *snapshot, const struct listener_view *view)
{
	const struct options_view *options = view->options != NULL ? view->options : snapshot_find_options(snapshot, NULL);
	const Tlsplane__Listener *body = view->body;
	struct ranges *senders;

	spot->max_connections = view->max_connections;
	spot->max_handshakes = body->has_max_handshakes ? body->max_handshakes : 0;
	spot->handshakes_per_second = body->has_handshakes_per_second ? body->handshakes_per_second : 0;
	spot->handshake_timeout_ms = options != NULL ? options->handshake_timeout_ms : HANDSHAKE_TIMEOUT_MS;
	if (ranges_new(body->accept_proxy_protocol, body->n_accept_proxy_protocol, &senders) == 0) {
		ranges_unref(spot->senders);
		spot->senders = senders;
	} else {
		log_event(LOG_ERROR, "who sends PROXY headers stays as it was: out of memory", LOG_STR("listener", view->id));
	}
	if (spot->point != NULL)
		spot_set_limits(spot);
}

/* The spot of a listener, made when there is none. */
static void spot_want(struct sockets *sockets, const struct snapshot *snapshot, const struct listener_view *view)
{
	struct spot *spot = find_spot(sockets, view->address);

	if (spot == NULL) {
		spot = calloc(1, sizeof(*spot));
		if (spot == NULL) {
			log_event(LOG_ERROR, "cannot listen: out of memory", LOG_STR("listener", view->id));
			if (sockets->config.on_listener_state != NULL)
				sockets->config.on_listener_state(view->id, "out of memory", sockets->config.owner);
			return;
		}
		snprintf(spot->address, sizeof(spot->address), "%s", view->address);
		spot->next = sockets->spots;
		sockets->spots = spot;
	}
	if (strcmp(spot->listener, view->id) != 0) {
		spot_tell(sockets, spot, "");
		snprintf(spot->listener, sizeof(spot->listener), "%s", view->id);
	}
	spot->wanted = true;
	spot_take_limits(spot, snapshot, view);
}

void sockets_follow(struct sockets *sockets, const struct snapshot *snapshot)
{
	for (struct spot *spot = sockets->spots; spot != NULL; spot = spot->next)
		spot->wanted = false;
	for (size_t i = 0; i < snapshot_listener_count(snapshot); i++)
		spot_want(sockets, snapshot, snapshot_listener(snapshot, i));
	sockets_go_on(sockets);
}

const char *sockets_find_address(const struct sockets *sockets, const char *listener_id)
{
	const struct spot *kept = NULL;

	for (const struct spot *spot = sockets->spots; spot != NULL; spot = spot->next) {
		if (spot->state != SPOT_BOUND || strcmp(spot->listener, listener_id) != 0)
			continue;
		if (spot->wanted)
			return spot->address;
		kept = spot;
	}
	return kept != NULL ? kept->address : NULL;
}

/* Before a moved listener is bound anew, its connections are those of the address that it keeps. */
bool sockets_read(const struct sockets *sockets, const char *listener_id, struct proxy_listener_counters *ret)
{
	struct proxy_listener_counters sum = {0};
	bool is_bound = false;

	for (const struct spot *spot = sockets->spots; spot != NULL; spot = spot->next) {
		const struct point *point = spot->point;

		if (point == NULL || strcmp(spot->listener, listener_id) != 0)
			continue;
		is_bound = true;
		sum.connections += atomic_load_explicit(&point->connections, memory_order_relaxed);
		sum.accepted += atomic_load_explicit(&point->accepted, memory_order_relaxed);
		sum.handshakes_ok += atomic_load_explicit(&point->handshakes_ok, memory_order_relaxed);
		sum.handshakes_failed += atomic_load_explicit(&point->handshakes_failed, memory_order_relaxed);
		sum.refused += atomic_load_explicit(&point->refused, memory_order_relaxed);
	}
	if (is_bound)
		*ret = sum;
	return is_bound;
}

int sockets_new(const struct sockets_config *config, struct sockets **ret, struct error *err)
{
	struct sockets *sockets;

	if (config->workers_len == 0 || config->workers_len > WORKERS_MAX)
		return error_set(err, E_INVALID, "workers must be 1 to %d", WORKERS_MAX);
	sockets = calloc(1, sizeof(*sockets));
	if (sockets == NULL)
		return error_nomem(err);
	sockets->config = *config;
	uv_timer_init(config->loop, &sockets->retry);
	*ret = sockets;
	return 0;
}

static void on_retry_closed(uv_handle_t *handle)
{
	struct sockets *sockets = container_of((uv_timer_t *)handle, struct sockets, retry);
	void (*on_closed)(void *owner) = sockets->on_closed;
	void *owner = sockets->closed_owner;

	free(sockets);
	if (on_closed != NULL)
		on_closed(owner);
}

void sockets_close(struct sockets *sockets, void (*on_closed)(void *owner), void *owner)
{
	struct spot *next;

	sockets->on_closed = on_closed;
	sockets->closed_owner = owner;
	for (struct spot *spot = sockets->spots; spot != NULL; spot = next) {
		next = spot->next;
		spot_free(spot);
	}
	sockets->spots = NULL;
	uv_close((uv_handle_t *)&sockets->retry, on_retry_closed);
}
