/* SPDX-License-Identifier: Apache-2.0 */
/* The channel's port and what is let in: a bounded number of handshakes at a time (more wait in the kernel's backlog),
 * and a bounded rate of enrolments. */
#pragma once

#include "base/error.h"
#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define LISTENER_HANDSHAKES_MAX 128 /* at a round trip of 100 ms, 1,280 a second */
#define LISTENER_HANDSHAKE_MS 10000
#define LISTENER_STALL_MS 1000 /* with all places taken, a handshake older than this makes room */
#define LISTENER_ENROLMENTS_PER_SECOND 50

struct publisher;

struct listener {
	struct publisher *publisher;
	int fd; /* -1: closed */
	uint16_t port;
	uv_poll_t poll;
	bool accepting;
	uint64_t resume_at;  /* loop milliseconds; 0: nothing is to be waited for but a free place */
	uint32_t handshakes; /* under way */
	/* Token bucket. */
	uint64_t tokens_milli, refilled_at;
};

int listener_open(struct listener *listener, struct publisher *publisher, const char *host, uint16_t port,
                  struct error *err) MUST_USE;
void listener_close(struct listener *listener);
bool listener_is_full(const struct listener *listener);
void listener_on_handshake_done(struct listener *listener); /* or failed */
void listener_on_tick(struct listener *listener, uint64_t now);
/* May one more agent enrol now? Else *ret_retry_ms says when to come back. */
bool listener_admit_enrolment(struct listener *listener, uint64_t now, uint32_t *ret_retry_ms);
