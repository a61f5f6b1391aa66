/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the parts from below to above and closes them from above to below; the closing steps are callbacks, each
 * starting the next. News of commits travel up from the change engine to the publisher through here. */
#include "controlplane.h"

#include "access/access.h"
#include "api/api.h"
#include "apisix/apisix.h"
#include "base/log.h"
#include "change/change.h"
#include "http/http.h"
#include "loop_meter.h"
#include "net/loop.h"
#include "publish/publisher.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define HEARTBEAT_SECONDS 10

struct controlplane {
	uv_loop_t loop;
	struct loop_meter meter;
	uv_signal_t signals[2];
	struct store *store;
	struct change_engine *changes;
	struct access *access;
	struct publisher *publisher;
	struct api *api;
	bool stopping;
};

static void on_commit(const struct change_commit *commit, void *owner)
{
	struct controlplane *plane = owner;

	if (plane->publisher != NULL)
		publisher_announce(plane->publisher, commit);
	if (plane->api != NULL)
		api_announce(plane->api, commit->head.revision);
}

/* How far history may be cut: not below what agents are being sent. */
static uint64_t on_prune(uint64_t floor, void *owner)
{
	struct controlplane *plane = owner;

	return plane->publisher != NULL ? publisher_prune(plane->publisher, floor) : 0;
}

/* Stopping -------------------------------------------------------------------------------------------------------- */

static void on_changes_closed(void *owner)
{
	struct controlplane *plane = owner;

	plane->changes = NULL;
	for (size_t i = 0; i < ARRAY_LEN(plane->signals); i++)
		uv_close((uv_handle_t *)&plane->signals[i], NULL);
	loop_meter_close(&plane->meter);
}

static void on_access_closed(void *owner)
{
	struct controlplane *plane = owner;

	plane->access = NULL;
	if (plane->changes != NULL)
		change_engine_close(plane->changes, on_changes_closed);
	else
		on_changes_closed(plane);
}

static void on_publisher_closed(void *owner)
{
	struct controlplane *plane = owner;

	plane->publisher = NULL;
	if (plane->access != NULL)
		access_close(plane->access, on_access_closed, plane);
	else
		on_access_closed(plane);
}

static void on_api_closed(void *owner)
{
	struct controlplane *plane = owner;

	plane->api = NULL;
	if (plane->publisher != NULL)
		publisher_close(plane->publisher, on_publisher_closed, plane);
	else
		on_publisher_closed(plane);
}

static void stop(struct controlplane *plane)
{
	if (plane->stopping)
		return;
	plane->stopping = true;
	if (plane->api != NULL)
		api_close(plane->api, on_api_closed, plane);
	else
		on_api_closed(plane);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct controlplane *plane = handle->data;

	log_event(LOG_INFO, "stopping", LOG_STR("signal", strsignal(number)));
	stop(plane);
}

/* Starting -------------------------------------------------------------------------------------------------------- */

static int watch_signals(struct controlplane *plane, struct error *err)
{
	static const int numbers[ARRAY_LEN(plane->signals)] = {SIGTERM, SIGINT};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(&plane->loop, &plane->signals[i]);
		plane->signals[i].data = plane;
	}
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		int r = uv_signal_start(&plane->signals[i], on_signal, numbers[i]);

		if (r < 0)
			return error_set(err, E_IO, "watching signals: %s", uv_strerror(r));
	}
	return 0;
}

static int start_changes(struct controlplane *plane, const struct controlplane_config *config, struct error *err)
{
	struct change_config changes = {.loop = &plane->loop,
	                                .store = plane->store,
	                                .limits = {.rsa_bits_max = config->rsa_bits_max},
	                                .on_commit = on_commit,
	                                .on_prune = on_prune,
	                                .history_revisions = config->history_revisions,
	                                .history_days = config->history_days,
	                                .owner = plane};

	return change_engine_start(&changes, &plane->changes, err);
}

static int start_access(struct controlplane *plane, const struct controlplane_config *config, struct error *err)
{
	struct access_config access = {
	    .loop = &plane->loop, .store = plane->store, .changes = plane->changes, .rate = config->admin_rate};

	return access_start(&access, &plane->access, err);
}

static int start_publisher(struct controlplane *plane, const struct controlplane_config *config, struct error *err)
{
	struct publisher_config publisher = {.loop = &plane->loop,
	                                     .store = plane->store,
	                                     .changes = plane->changes,
	                                     .host = config->channel_host,
	                                     .port = config->channel_port,
	                                     .heartbeat_seconds = HEARTBEAT_SECONDS,
	                                     .ticket_period_seconds = config->ticket_period_seconds};
	int r = publisher_start(&publisher, &plane->publisher, err);

	return r < 0 ? error_prefix(err, r, "agent channel") : 0;
}

static int start_api(struct controlplane *plane, const struct controlplane_config *config, struct error *err)
{
	struct api_config api = {.loop = &plane->loop,
	                         .store = plane->store,
	                         .changes = plane->changes,
	                         .publisher = plane->publisher,
	                         .access = plane->access,
	                         .turns = &plane->meter.turns,
	                         .cpu_turns = &plane->meter.cpu_turns,
	                         .dialect = &apisix_dialect,
	                         .front = config->admin,
	                         .limits = {.rsa_bits_max = config->rsa_bits_max}};
	int r = api_start(&api, &plane->api, err);

	return r < 0 ? error_prefix(err, r, "admin API") : 0;
}

static int start(struct controlplane *plane, const struct controlplane_config *config, struct error *err)
{
	int r = watch_signals(plane, err);

	if (r == 0)
		r = store_open(&config->store, &plane->store, err);
	if (r == 0)
		r = start_changes(plane, config, err);
	if (r == 0)
		r = start_access(plane, config, err);
	if (r == 0)
		r = start_publisher(plane, config, err);
	if (r == 0)
		r = start_api(plane, config, err);
	return r;
}

static void format_address(const char *host, uint16_t port, char text[300])
{
	snprintf(text, 300, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}

static void log_ready(const struct controlplane *plane, const struct controlplane_config *config)
{
	char admin[300], channel[300];

	format_address(config->admin.host, api_port(plane->api), admin);
	format_address(config->channel_host, publisher_port(plane->publisher), channel);
	if (config->admin.is_insecure && !http_is_loopback(config->admin.host))
		log_event(LOG_WARNING, "the admin API speaks plain HTTP for all to read: credentials, private keys",
		          LOG_STR("admin", admin));
	log_event(LOG_INFO, "control plane ready", LOG_STR("admin", admin),
	          LOG_STR("admin_scheme", config->admin.is_tls ? "https" : "http"),
	          LOG_STR("admin_socket", config->admin.socket_path), LOG_STR("channel", channel),
	          LOG_STR("data_dir", config->store.dir), LOG_STR("version", TLSPLANE_VERSION));
}

int controlplane_run(const struct controlplane_config *config, struct error *err)
{
	struct controlplane plane = {0};
	int r = loop_init(&plane.loop, err);

	if (r < 0)
		return r;
	loop_meter_start(&plane.meter, &plane.loop);
	r = start(&plane, config, err);
	if (r == 0)
		log_ready(&plane, config);
	else
		stop(&plane);
	uv_run(&plane.loop, UV_RUN_DEFAULT);
	store_close(plane.store);
	uv_loop_close(&plane.loop);
	if (r == 0)
		log_event(LOG_INFO, "stopped");
	return r;
}
