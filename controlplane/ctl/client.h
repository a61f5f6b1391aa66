/* SPDX-License-Identifier: Apache-2.0 */
/* The admin API over libcurl: one connection kept, one request at a time, one deadline for all of them.
 *
 * What is tried again, until the deadline: 429 and 503 (as Retry-After says, else with growing pauses); and, for writes that carry an
 * Idempotency-Key, a connection that could not be made or broke. Redirects are not followed: nobody may send a token elsewhere.
 *
 * A write whose request has left and whose answer has not come may have been made: the error says so. */
#pragma once

#include "base/buf.h"
#include "base/error.h"
#include "base/macros.h"
#include "ctl/settings.h"

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>

#define CLIENT_KEY_LEN 32 /* of an Idempotency-Key */
#define CLIENT_WAIT_MAX 300 /* seconds that the API waits at most */

struct client; /* one thread */

/* A write is under way: for handlers of signals. */
extern volatile sig_atomic_t client_is_writing;

/* settings must outlive it. progress: say on stderr what takes long (a terminal). E_SYNTAX: the CA file can't be used. */
int client_new(const struct settings *settings, bool progress, struct client **ret, struct error *err) MUST_USE;
struct client *client_free(struct client *client); /* NULL allowed */
DEFINE_CLEANUP(struct client, client_free);

struct request {
	const char *method, *path; /* path with its query */
	struct bytes body;
	const char *content_type; /* NULL: no body */
	const char *if_match;     /* or NULL */
	const char *key;          /* Idempotency-Key, or NULL */
};

struct answer {
	long status;
	struct buf body;
	json_t *document;   /* NULL: the body was no JSON */
	char etag[160];     /* "": none */
	char revision[64];  /* Tlsplane-Revision; "": none */
	uint32_t retry_after;
};

void answer_deinit(struct answer *answer); /* it can be filled again: whether its body is sensitive stays */
DEFINE_CLEANUP_VALUE(struct answer, answer_deinit);

/* 0: an answer of 2xx. E_REFUSED: another one, in *answer too. E_TIMEOUT: not reached, or the time is over (*answer may hold the last
 * refusal). E_FORBIDDEN: 403. E_NOT_FOUND: 404. E_CRYPTO: the server could not prove who it is. */
int client_call(struct client *client, const struct request *request, struct answer *answer, struct error *err) MUST_USE;

uint32_t client_seconds_left(const struct client *client);
/* The time of the settings begins again, when `seconds` more are over. */
void client_extend(struct client *client, uint32_t seconds);
/* client NULL: nothing. "reading: 300 of 1000" on a terminal's stderr, in place of what stands there; NULL wipes it. */
void client_progress(struct client *client, const char *format, ...) PRINTF_LIKE(2, 3);
/* For Idempotency-Key. */
int client_make_key(char key[CLIENT_KEY_LEN + 1], struct error *err) MUST_USE;
/* text as it may stand in a query: all but unreserved characters as %HH. */
void client_put_escaped(struct buf *out, const char *text);
