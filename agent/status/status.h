/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's status page, plain HTTP on loopback:
 *
 *   GET /metrics         Prometheus text format 0.0.4
 *   GET /healthz         200 while the process runs
 *   GET /readyz          200 when it serves a snapshot, else 503
 *   GET /v1/connections  {"connections": N, "listeners": [{"id", "address", "bound", "connections"}...]}
 *
 * HEAD likewise; other methods 405, other paths 404. It reads only. Main loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"
#include "proxy/proxy.h"
#include "sync/apply.h"
#include "sync/degraded.h"
#include "sync/identity.h"
#include "sync/link.h"
#include "tls/site.h"

#include <stdint.h>
#include <uv.h>

/* What is shown; all borrowed, all outlive the page. */
struct status_sources {
	const struct proxy *proxy;
	const struct apply *apply;
	const struct degraded *degraded;
	const struct identity *identity; /* NULL: none could be read */
	struct site_cache *sites;
	const struct link *const *link; /* where the link stands; *link NULL: none yet */
};

struct status_config {
	uv_loop_t *loop;
	const char *host;
	uint16_t port; /* 0: any */
	struct status_sources sources;
};

struct status;

/* E_FORBIDDEN: not loopback; E_CONFLICT, E_IO: the port is taken. */
int status_start(const struct status_config *config, struct status **ret, struct error *err) MUST_USE;
uint16_t status_port(const struct status *status);
/* on_closed once, from the loop; then its memory is gone. */
void status_close(struct status *status, void (*on_closed)(void *owner), void *owner);
