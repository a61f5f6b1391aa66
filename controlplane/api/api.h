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

#include <uv.h>

struct api;

struct api_config {
	uv_loop_t *loop;
	struct store *store;
	struct change_engine *changes;
	struct publisher *publisher;
	struct access *access;
	const char *host; /* loopback */
	uint16_t port;
	struct resource_limits limits;
};

int api_start(const struct api_config *config, struct api **ret, struct error *err) MUST_USE;
uint16_t api_port(const struct api *api);
/* There is a newer revision. */
void api_announce(struct api *api, struct revision head);
/* Finishes requests under way (at most 10 s), then on_closed once. */
void api_close(struct api *api, void (*on_closed)(void *owner), void *owner);
