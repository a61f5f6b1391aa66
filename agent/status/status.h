/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's status page: plain HTTP on loopback, or HTTPS anywhere with the certificate of an SSL object that the
 * agent holds:
 *
 *   GET /metrics         Prometheus text format 0.0.4
 *   GET /healthz         200 while the process runs
 *   GET /readyz          200 when it serves a snapshot, else 503
 *   GET /v1/connections  {"connections": N, "listeners": [{"id", "address", "bound"...}...], "items": [...]}
 *                        items: open connections, ?limit= of them (default 100, at most 10,000, 0: none);
 *                        what an item has not, is null
 *
 * HEAD likewise; other methods 405, other paths 404, a bad parameter 400. It reads only. Main loop. */
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
	struct proxy *proxy;
	const struct apply *apply;
	const struct degraded *degraded;
	const struct identity *identity; /* NULL: none could be read */
	struct site_cache *sites;
	const struct link *const *link; /* where the link stands; *link NULL: none yet */
};

struct status_config {
	uv_loop_t *loop;
	const char *host;
	uint16_t port;       /* 0: any */
	const char *tls_ssl; /* id of an SSL object, borrowed for the page's life: HTTPS; while it is not held no handshake
	                        succeeds. NULL: HTTP */
	struct status_sources sources;
};

struct status;

/* E_FORBIDDEN: not loopback, without TLS; E_INVALID: no IP address; E_BUSY: the port is taken; E_IO, E_CRYPTO, E_NOMEM.
 * After a failure the loop may have handles to close. */
int status_start(const struct status_config *config, struct status **ret, struct error *err) MUST_USE;
uint16_t status_port(const struct status *status);
/* on_closed once, from the loop; then its memory is gone. */
void status_close(struct status *status, void (*on_closed)(void *owner), void *owner);
