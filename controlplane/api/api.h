/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API: routes, credentials, documents. Decides nothing about configuration: reads the store, submits changes,
 * words answers. */
#pragma once

#include "access/access.h"
#include "base/error.h"
#include "base/macros.h"
#include "change/change.h"
#include "publish/publisher.h"
#include "store/store.h"

#include <stdbool.h>
#include <uv.h>

struct api;
struct api_dialect;
struct durations;

/* Where and how the API is reached; all borrowed for its life. */
struct api_front {
	const char *host;
	uint16_t port;
	const char *socket_path; /* a Unix socket too, or NULL */
	bool is_tls;             /* else host is loopback, or is_insecure */
	bool is_insecure;        /* plain HTTP on any address */
	const char *ssl_id;      /* the SSL object whose certificate is shown; NULL: the internal CA's */
	const char *names;       /* "NAME,NAME...": in that certificate and as Host; NULL: the machine's name */
};

struct api_config {
	uv_loop_t *loop;
	struct store *store;
	struct change_engine *changes;
	struct publisher *publisher;
	struct access *access;
	const struct durations *turns, *cpu_turns; /* of the loop, for the metrics */
	struct api_front front;
	const struct api_dialect *dialect; /* NULL: none */
	struct resource_limits limits;
};

int api_start(const struct api_config *config, struct api **ret, struct error *err) MUST_USE;
uint16_t api_port(const struct api *api);
/* There is a newer revision. */
void api_announce(struct api *api, struct revision head);
/* Finishes requests under way (at most 10 s), then on_closed once. */
void api_close(struct api *api, void (*on_closed)(void *owner), void *owner);
