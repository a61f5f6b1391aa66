/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks, whether they may, how often, and what is told of those who may not. One loop owns it.
 *
 * A credential is looked up by its SHA-256 and never compared: no time tells how much of it is right. Credentials that fail are counted
 * by source address (IPv6 by its /64): beyond 10 a minute such a source gets 429 for what fails, while what is right passes. A refusal
 * is audited without anyone waiting for the row: one row each for who has a name, 60 a minute and one that sums up the rest for
 * whoever has none or asks too often. */
#pragma once

#include "access/role.h"
#include "base/error.h"
#include "base/macros.h"
#include "change/change.h"
#include "change/scope.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct access;

struct access_config {
	uv_loop_t *loop;
	struct store *store;
	struct change_engine *changes;
	uint32_t rate; /* requests a second and token, bursts of twice as many; 0: any */
	uint64_t summary_ms; /* how long refusals without a name are summed up; 0: a minute */
};

int access_start(const struct access_config *config, struct access **ret, struct error *err) MUST_USE;
/* Writes the last summary, waits for the rows that are under way; on_closed once. */
void access_close(struct access *access, void (*on_closed)(void *owner), void *owner);

/* A token that was recognised. Zeroed: nobody. */
struct identity {
	char id[ID_MAX + 1]; /* "": nobody */
	enum role role;
	struct scope *scope; /* reference; NULL: none */
	uint8_t sha256[32];  /* of the token's text: its key in the store, not told to anyone */
};

void identity_deinit(struct identity *identity);
DEFINE_CLEANUP_VALUE(struct identity, identity_deinit);

/* token: NULL or "" when none was sent; peer: "192.0.2.1:80". *ret_retry: seconds, with E_RATE. E_UNAUTHENTICATED: none, unknown,
 * expired; E_RATE: too many of those from there, or too many requests with this token (*ret is filled then). */
int access_authenticate(struct access *access, const char *token, const char *peer, struct identity *ret, uint32_t *ret_retry,
                        struct error *err) MUST_USE;
/* Where an answer came late. E_UNAUTHENTICATED: the token is gone or has expired meanwhile. */
int access_check_again(struct access *access, const struct identity *identity, struct error *err) MUST_USE;

/* A write was refused: a row of the audit trail. `named`: who asks is known and was within the rate. Cannot fail: what has no room is
 * summed up. */
void access_note_refusal(struct access *access, const struct change_caller *caller, bool named, const char *action,
                         const char *outcome);

/* For metrics. */
struct access_counts {
	uint64_t failed_logins, rate_limited;
};
struct access_counts access_counts(const struct access *access);
