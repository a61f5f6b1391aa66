/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/link.h"

#include "base/log.h"
#include "base/options.h"
#include "crypto/crypto.h"
#include "sync/link_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDSHAKE_MS 10000
#define GREETING_BEAT_MS 15000 /* watchdog until Welcome says the period */
#define SILENT_MAX 2

/* Which states may follow which. */
static const uint16_t edges[] = {
    [LINK_WAITING] = 1 << LINK_DIALING | 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_DIALING] = 1 << LINK_HANDSHAKE | 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_HANDSHAKE] = 1 << LINK_ENROLLING | 1 << LINK_RENEWING | 1 << LINK_GREETING | 1 << LINK_CLOSING |
                       1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_ENROLLING] = 1 << LINK_CLOSING | 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_RENEWING] = 1 << LINK_CLOSING | 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_GREETING] = 1 << LINK_OPEN | 1 << LINK_HELD | 1 << LINK_CLOSING | 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_OPEN] = 1 << LINK_HELD | 1 << LINK_CLOSING | 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_HELD] = 1 << LINK_CLOSING | 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_CLOSING] = 1 << LINK_WAITING | 1 << LINK_STOPPING,
    [LINK_STOPPING] = 0,
};

static void connect_now(struct link *link);

void link_set_state(struct link *link, enum link_state to)
{
	assert((edges[link->state] >> to & 1) != 0);
	link->state = to;
}

static struct link_address *current_address(struct link *link)
{
	return &link->addresses[backoff_address(&link->backoff)];
}

static void log_failure(struct link *link, const struct error *why)
{
	struct link_address *address = current_address(link);
	bool again = strncmp(address->last_failure, why->text, sizeof(address->last_failure) - 1) == 0;

	snprintf(address->last_failure, sizeof(address->last_failure), "%.*s", (int)sizeof(address->last_failure) - 1,
	         why->text);
	log_event(again ? LOG_DEBUG : LOG_WARNING, "control plane not reached", LOG_STR("host", address->host),
	          LOG_U64("port", address->port), LOG_ERR(why));
}

static void on_retry(uv_timer_t *timer)
{
	struct link *link = timer->data;

	connect_now(link);
}

/* Back-off, then the next address; or at once when this end was a good one. */
static void wait_and_retry(struct link *link)
{
	uint32_t random = 0;
	uint64_t delay = 0;
	struct error err;

	link_set_state(link, LINK_WAITING);
	if (!link->soon) {
		if (crypto_random(&random, sizeof(random), &err) < 0)
			random = UINT32_MAX; /* the longest wait */
		delay = backoff_fail(&link->backoff, random, link->floor_ms);
	}
	link->soon = false;
	link->floor_ms = 0;
	uv_timer_start(&link->retry, on_retry, delay, 0);
}

static void finish_stop(struct link *link)
{
	if (link->dial != NULL || link->channel != NULL || link->open_handles > 0)
		return;
	link->on_closed(link->closed_owner);
	join_token_wipe(&link->token);
	free(link);
}

static void channel_on_open(struct channel *channel, void *owner)
{
	struct link *link = owner;

	if (link->state == LINK_HANDSHAKE)
		link_on_open(link);
}

static void channel_on_message(struct channel *channel, Tlsplane__MessageType type, ProtobufCMessage *message,
                               void *owner)
{
	struct link *link = owner;

	link->silent = 0;
	if (link->state != LINK_CLOSING && link->state != LINK_STOPPING)
		link_on_message(link, type, message);
}

static void channel_on_writable(struct channel *channel, void *owner)
{
}

static void channel_on_closed(struct channel *channel, const struct error *why, void *owner)
{
	struct link *link = owner;
	bool greeted = link->greeted;

	link->channel = NULL;
	link->greeted = false;
	uv_timer_stop(&link->beat);
	/* Which of two certificates the control plane knows is not certain before it has welcomed one: they take turns. */
	if (identity_has_next(link->config.identity) && !link->soon && link->state != LINK_OPEN)
		link->avoid_next = !link->avoid_next;
	if (greeted)
		link->config.events.on_disconnected(link->config.events.owner);
	if (link->state == LINK_STOPPING) {
		finish_stop(link);
		return;
	}
	if (link->state != LINK_CLOSING)
		log_failure(link, why);
	wait_and_retry(link);
}

void link_fail(struct link *link, const struct error *why)
{
	if (link->state == LINK_CLOSING || link->state == LINK_STOPPING)
		return;
	if (!link->soon)
		log_failure(link, why);
	link_set_state(link, LINK_CLOSING);
	channel_close(link->channel, true, why);
}

static void on_beat(uv_timer_t *timer)
{
	struct link *link = timer->data;

	if (link->silent++ >= SILENT_MAX) {
		struct error why = ERROR_NULL;

		error_set(&why, E_TIMEOUT, "nothing was heard for two heartbeats");
		link_fail(link, &why);
		return;
	}
	if (link->state != LINK_OPEN && link->state != LINK_HELD)
		return;
	link->config.events.on_beat(link->config.events.owner);
	if (link->state == LINK_OPEN)
		link_renew_if_due(link);
}

void link_set_beat(struct link *link, uint64_t period_ms)
{
	link->silent = 0;
	uv_timer_start(&link->beat, on_beat, period_ms, period_ms);
}

/* The TLS side of this attempt: with the pinned CA before enrolment, else with a certificate of ours. */
static int make_tls(struct link *link, struct channel_tls **ret, struct error *err)
{
	static const char *const enroll[] = {CHANNEL_ALPN_ENROLL, NULL}, *const sync[] = {CHANNEL_ALPN, NULL};
	const struct identity *identity = link->config.identity;
	struct channel_tls_config config = {.server = false, .alpn = sync};

	link->uses_next = identity_has_next(identity) && !link->avoid_next;
	link->renew_sent = false;
	if (identity_is_enrolled(identity)) {
		config.certificate = identity_certificate(identity, link->uses_next);
		config.key = identity_key(identity, link->uses_next);
		config.ca = identity_ca(identity);
		return channel_tls_new(&config, ret, err);
	}
	config.alpn = enroll;
	config.ca_sha256 = link->token.ca_sha256;
	return channel_tls_new(&config, ret, err);
}

static int open_channel(struct link *link, int fd, struct error *err)
{
	static const struct channel_events events = {.on_open = channel_on_open,
	                                             .on_message = channel_on_message,
	                                             .on_writable = channel_on_writable,
	                                             .on_close = channel_on_closed};
	CLEANUP(channel_tls_unref) struct channel_tls *tls = NULL;
	int r = make_tls(link, &tls, err);

	if (r < 0) {
		close(fd);
		return r;
	}
	return channel_start(link->config.loop, fd, tls, HANDSHAKE_MS, &events, link, &link->channel, err);
}

static void on_dialled(int fd, const struct error *why, void *owner)
{
	struct link *link = owner;
	struct error err = *why;

	link->dial = NULL;
	if (link->state == LINK_STOPPING) {
		finish_stop(link);
		return;
	}
	if (fd >= 0 && open_channel(link, fd, &err) == 0) {
		link_set_state(link, LINK_HANDSHAKE);
		link_set_beat(link, GREETING_BEAT_MS);
		return;
	}
	log_failure(link, &err);
	wait_and_retry(link);
}

/* Again for each attempt: one that was refused can be replaced. */
static int read_token(struct link *link, struct error *err)
{
	if (identity_is_enrolled(link->config.identity))
		return 0;
	return join_token_read(link->config.token_path, &link->token, err);
}

static void connect_now(struct link *link)
{
	const struct link_address *address = current_address(link);
	struct error err = ERROR_NULL;

	if (read_token(link, &err) == 0 &&
	    dial_start(link->config.loop, address->host, address->port, on_dialled, link, &link->dial, &err) == 0) {
		link_set_state(link, LINK_DIALING);
		return;
	}
	log_failure(link, &err);
	wait_and_retry(link);
}

static int parse_addresses(struct link *link, const char *text, struct error *err)
{
	unsigned count = 0;

	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		char one[300];
		int r;

		if (count == LINK_ADDRESSES_MAX)
			return error_set(err, E_SYNTAX, "--controlplane: more than %d addresses", LINK_ADDRESSES_MAX);
		if (len >= sizeof(one))
			return error_set(err, E_SYNTAX, "--controlplane: an address is too long");
		snprintf(one, sizeof(one), "%.*s", (int)len, text);
		r = options_parse_host_port(one, link->addresses[count].host, &link->addresses[count].port, err);
		if (r < 0)
			return error_prefix(err, r, "--controlplane");
		count++;
		text += len + (text[len] == ',');
	}
	if (count == 0)
		return error_set(err, E_SYNTAX, "--controlplane: no address");
	link->backoff.addresses = count;
	return 0;
}

int link_start(const struct link_config *config, struct link **ret, struct error *err)
{
	struct link *link = calloc(1, sizeof(*link));
	int r;

	if (link == NULL)
		return error_nomem(err);
	r = parse_addresses(link, config->controlplane, err);
	if (r < 0) {
		free(link);
		return r;
	}
	link->config = *config;
	link->state = LINK_WAITING;
	uv_timer_init(config->loop, &link->retry); /* neither can fail */
	uv_timer_init(config->loop, &link->beat);
	link->retry.data = link->beat.data = link;
	link->open_handles = 2;
	uv_timer_start(&link->retry, on_retry, 0, 0);
	*ret = link;
	return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct link *link = handle->data;

	link->open_handles--;
	finish_stop(link);
}

void link_close(struct link *link, void (*on_closed)(void *owner), void *owner)
{
	link->on_closed = on_closed;
	link->closed_owner = owner;
	link_set_state(link, LINK_STOPPING);
	if (link->dial != NULL)
		dial_cancel(link->dial);
	if (link->channel != NULL)
		channel_close(link->channel, true, NULL);
	uv_close((uv_handle_t *)&link->retry, on_timer_closed);
	uv_close((uv_handle_t *)&link->beat, on_timer_closed);
}

int link_send(struct link *link, Tlsplane__MessageType type, const ProtobufCMessage *message, struct error *err)
{
	if (link->channel == NULL || link->state == LINK_CLOSING || link->state == LINK_STOPPING)
		return error_set(err, E_CLOSED, "not connected");
	return channel_send(link->channel, type, message, err);
}

void link_reconnect(struct link *link, const struct error *why)
{
	if (link->channel != NULL)
		link_fail(link, why);
}

bool link_is_connected(const struct link *link)
{
	return link->state == LINK_OPEN;
}

uint64_t link_connect_count(const struct link *link)
{
	return link->connects;
}
