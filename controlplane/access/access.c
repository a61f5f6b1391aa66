/* SPDX-License-Identifier: Apache-2.0 */
/* The credential's way, and access's life:
 *
 *   OPEN --access_close--> CLOSING --timer closed and no row under way--> (freed) */
#include "access/access.h"

#include "access/meter.h"
#include "access/refusals.h"
#include "base/log.h"
#include "change/credentials.h"
#include "crypto/crypto.h"
#include "store/store_access.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FAILURES_MAX 10
#define FAILURES_WINDOW_MS 60000
#define LOG_EVERY_MS 1000
#define USE_EVERY_SECONDS 60 /* how exact the last use is */
#define USES_MAX 64          /* rows of last use under way */

struct access {
	struct access_config config;
	struct store_reader *reader;
	struct refusals *refusals;
	struct meter failures; /* by source */
	struct meter requests; /* by token; mark: unix seconds of the last use that was written */
	size_t uses;           /* under way */
	uint64_t logged;       /* milliseconds of the last line about a failed login */
	uint64_t unlogged;     /* failed logins since */
	struct access_counts counts;
	bool closing, refusals_closed;
	void (*on_closed)(void *owner);
	void *owner;
};

static struct access *access_free(struct access *access)
{
	if (access == NULL)
		return NULL;
	store_reader_close(access->reader);
	free(access);
	return NULL;
}
DEFINE_CLEANUP(struct access, access_free);

void identity_deinit(struct identity *identity)
{
	scope_unref(identity->scope);
	*identity = (struct identity){0};
}

static uint64_t now_ms(void)
{
	return uv_hrtime() / 1000000;
}

/* Failed logins --------------------------------------------------------------------------------------------------- */

static void log_failure(struct access *access, const char *peer, const char *why)
{
	uint64_t now = now_ms();

	if (access->logged != 0 && now - access->logged < LOG_EVERY_MS) {
		access->unlogged++;
		return;
	}
	log_event(LOG_WARNING, "credential refused", LOG_STR("peer", peer), LOG_STR("reason", why), LOG_U64("unlogged", access->unlogged));
	access->logged = now;
	access->unlogged = 0;
}

static int refuse_login(struct access *access, const char *peer, const char *why, uint32_t *ret_retry, struct error *err)
{
	uint8_t key[METER_KEY_LEN];
	uint64_t now = now_ms(), left;
	bool is_new;

	access->counts.failed_logins++;
	log_failure(access, peer, why);
	meter_source_key(peer, key);
	left = meter_count(meter_find(&access->failures, key, now, &is_new), FAILURES_MAX, FAILURES_WINDOW_MS, now);
	if (left == 0)
		return error_set(err, E_UNAUTHENTICATED, "%s", why);
	*ret_retry = (uint32_t)((left + 999) / 1000);
	return error_set(err, E_RATE, "too many credentials failed from this address; one that is right still passes");
}

/* Last use -------------------------------------------------------------------------------------------------------- */

static void end_if_done(struct access *access)
{
	void (*on_closed)(void *owner) = access->on_closed;
	void *owner = access->owner;

	if (!access->closing || !access->refusals_closed || access->uses > 0)
		return;
	access_free(access);
	on_closed(owner);
}

static void on_use_written(const struct error *error, void *context)
{
	struct access *access = context;

	access->uses--;
	end_if_done(access);
}

/* A port says nothing about who it was. */
static void strip_port(const char *peer, char source[STORE_SOURCE_MAX + 1])
{
	char *colon;

	snprintf(source, STORE_SOURCE_MAX + 1, "%s", peer);
	colon = strrchr(source, ':');
	if (colon != NULL && strncmp(source, "unix:", 5) != 0)
		*colon = '\0';
}

static void note_use(struct access *access, struct meter_entry *entry, const struct store_token *token, const char *peer, uint64_t now)
{
	struct error ignored = ERROR_NULL;
	char source[STORE_SOURCE_MAX + 1];

	if (entry->mark < token->used_time)
		entry->mark = token->used_time;
	if (now < entry->mark + USE_EVERY_SECONDS || access->uses >= USES_MAX || access->closing)
		return;
	strip_port(peer, source);
	if (change_use_token(access->config.changes, token->sha256, now, source, on_use_written, access, &ignored) != 0)
		return; /* the next request tries again */
	entry->mark = now;
	access->uses++;
}

/* Credentials ----------------------------------------------------------------------------------------------------- */

static bool is_expired(const struct store_token *token, uint64_t now)
{
	return token->expire_time != 0 && token->expire_time <= now;
}

static int fill_identity(const struct store_token *token, struct identity *ret, struct error *err)
{
	struct identity identity = {0};
	int r;

	if (!role_find(token->role, &identity.role))
		return error_set(err, E_CORRUPT, "token %s has a role that this release does not know", token->id);
	r = token->scope != NULL ? scope_load(token->scope, &identity.scope, err) : 0;
	if (r < 0)
		return r;
	memcpy(identity.id, token->id, sizeof(identity.id));
	memcpy(identity.sha256, token->sha256, sizeof(identity.sha256));
	*ret = identity;
	return 0;
}

/* E_RATE: this token asks too often. */
static int count_request(struct access *access, const struct store_token *token, const char *peer, uint64_t now, uint32_t *ret_retry,
                         struct error *err)
{
	uint32_t rate = access->config.rate;
	uint64_t ms = now_ms();
	bool is_new;
	struct meter_entry *entry = meter_find(&access->requests, token->sha256, ms, &is_new);

	if (rate > 0 && !meter_take(entry, is_new, rate, 2 * rate, ms)) {
		access->counts.rate_limited++;
		*ret_retry = 1;
		return error_set(err, E_RATE, "more than %u requests a second with this token", rate);
	}
	note_use(access, entry, token, peer, now);
	return 0;
}

int access_authenticate(struct access *access, const char *token, const char *peer, struct identity *ret, uint32_t *ret_retry,
                        struct error *err)
{
	CLEANUP(store_token_deinit) struct store_token found = {0};
	uint64_t now = (uint64_t)time(NULL);
	uint8_t digest[SHA256_LEN];
	int r;

	if (token == NULL || token[0] == '\0') /* nobody guesses by sending nothing */
		return error_set(err, E_UNAUTHENTICATED, "send Authorization: Bearer TOKEN or X-API-KEY: TOKEN");
	r = crypto_sha256(BYTES(token, strlen(token)), digest, err);
	if (r == 0)
		r = store_find_token(access->reader, digest, &found, err);
	if (r == E_NOT_FOUND)
		return refuse_login(access, peer, "this credential is not known", ret_retry, err);
	if (r == 0 && is_expired(&found, now))
		return refuse_login(access, peer, "this credential has expired", ret_retry, err);
	if (r == 0)
		r = fill_identity(&found, ret, err);
	return r == 0 ? count_request(access, &found, peer, now, ret_retry, err) : r;
}

int access_check_again(struct access *access, const struct identity *identity, struct error *err)
{
	CLEANUP(store_token_deinit) struct store_token found = {0};
	int r = store_find_token(access->reader, identity->sha256, &found, err);

	if (r == E_NOT_FOUND || (r == 0 && is_expired(&found, (uint64_t)time(NULL))))
		return error_set(err, E_UNAUTHENTICATED, "this credential was revoked or has expired meanwhile");
	return r;
}

void access_note_refusal(struct access *access, const struct change_caller *caller, bool named, const char *action,
                         const char *outcome)
{
	refusals_note(access->refusals, caller, named, action, outcome);
}

struct access_counts access_counts(const struct access *access)
{
	return access->counts;
}

/* Life ------------------------------------------------------------------------------------------------------------ */

int access_start(const struct access_config *config, struct access **ret, struct error *err)
{
	CLEANUP(access_free) struct access *access = calloc(1, sizeof(*access));
	int r;

	if (access == NULL)
		return error_nomem(err);
	access->config = *config;
	r = crypto_hash_key(&access->failures.hash_key, err);
	if (r == 0)
		r = crypto_hash_key(&access->requests.hash_key, err);
	if (r == 0)
		r = store_reader_open(config->store, &access->reader, err);
	if (r == 0)
		r = refusals_start(config->loop, config->changes, config->summary_ms, &access->refusals, err);
	if (r == 0)
		*ret = TAKE_PTR(access);
	return r;
}

static void on_refusals_closed(void *owner)
{
	struct access *access = owner;

	access->refusals_closed = true;
	end_if_done(access);
}

void access_close(struct access *access, void (*on_closed)(void *owner), void *owner)
{
	access->closing = true;
	access->on_closed = on_closed;
	access->owner = owner;
	refusals_close(access->refusals, on_refusals_closed, access);
}
