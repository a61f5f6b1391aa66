/* SPDX-License-Identifier: Apache-2.0 */
/* The agent, assembled: cache, proxy, apply, link, status page on one main loop. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdint.h>
#include <uv.h>

struct agent_config {
	uv_loop_t *loop;
	const char *controlplane; /* "HOST:PORT[,...]" */
	const char *token_path;   /* NULL: none */
	const char *data_dir;     /* made (0700) when it is not there */
	unsigned workers;
	uint32_t decoded_max;    /* SSL objects kept decoded, those asked for last; at least 1 */
	const char *status_host; /* NULL: no status page */
	uint16_t status_port;    /* 0: any */
	const char *status_tls;  /* id of the SSL object whose certificate it shows; NULL: plain HTTP */
	const char *system_ca_file; /* PEM, for upstreams; NULL: Debian's. Need not be there: that is degraded */
};

struct agent;

/* Serves what the cache holds before anything else. The strings are borrowed for the agent's life. E_BUSY: the data
 * directory is another process's. On failure the loop has to be run until it ends. */
int agent_start(const struct agent_config *config, struct agent **ret, struct error *err) MUST_USE;
/* Stops accepting, drains for at most grace_ms, closes all. on_closed once, from the loop; then its memory is gone. */
void agent_close(struct agent *agent, uint64_t grace_ms, void (*on_closed)(void *owner), void *owner);
