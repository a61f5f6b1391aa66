/* SPDX-License-Identifier: Apache-2.0 */
/* The control plane, assembled: store, change engine, publisher and API on one loop.
 *
 *   starting --all parts up--> running --SIGTERM or SIGINT--> stopping --all parts closed--> ended
 *
 * Stopping goes from above to below: API (requests under way finish), publisher, change engine (what was submitted is
 * committed), store. A part that fails to start leads to stopping as well. */
#pragma once

#include "api/api.h"
#include "base/error.h"
#include "base/macros.h"
#include "store/store.h"

#include <stdint.h>

struct controlplane_config {
	struct store_config store;
	struct api_front admin; /* port 0: any; the "ready" line tells */
	const char *channel_host;
	uint16_t channel_port;
	uint32_t rsa_bits_max;
	uint32_t ticket_period_seconds;
	uint32_t history_revisions, history_days; /* how far back history reaches; 0: any number */
	uint32_t admin_rate; /* requests a second and token; 0: any */
};

/* Returns 0 after an orderly end, or why it could not start. */
int controlplane_run(const struct controlplane_config *config, struct error *err) MUST_USE;
