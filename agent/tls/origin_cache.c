/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions with origins: a table of rows by identity, each with a few places; what is oldest in a full row goes. A session is kept after a
 * handshake in which everything held, and offered for an hour after the full handshake that it stems from, however often it was renewed,
 * and no longer than the origin's certificate lives: nothing of a resumed session is verified again. */
#include "base/buf.h"
#include "tls/origin_impl.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROW 8
#define AGE_MAX_S 3600

struct place {
	struct digest identity;
	SSL_SESSION *session; /* NULL: free */
	uint64_t verified_at;
	uint64_t age; /* smaller is older */
};

struct origin_cache {
	pthread_mutex_t lock;
	uint64_t next_age;
	size_t rows; /* a power of two */
	struct place places[];
};

int origin_cache_new(size_t max_sessions, struct origin_cache **ret, struct error *err)
{
	struct origin_cache *cache;
	size_t rows = 1;

	while (rows * ROW * 2 <= max_sessions)
		rows *= 2;
	cache = calloc(1, sizeof(*cache) + rows * ROW * sizeof(cache->places[0]));
	if (cache == NULL)
		return error_nomem(err);
	pthread_mutex_init(&cache->lock, NULL);
	cache->rows = rows;
	*ret = cache;
	return 0;
}

struct origin_cache *origin_cache_free(struct origin_cache *cache)
{
	if (cache == NULL)
		return NULL;
	for (size_t i = 0; i < cache->rows * ROW; i++)
		SSL_SESSION_free(cache->places[i].session);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
	return NULL;
}

static struct place *row_of(struct origin_cache *cache, const struct digest *identity)
{
	size_t hash;

	memcpy(&hash, identity->bytes, sizeof(hash));
	return &cache->places[(hash & (cache->rows - 1)) * ROW];
}

/* The newest of this identity. */
static struct place *find(struct place *row, const struct digest *identity)
{
	struct place *found = NULL;

	for (size_t i = 0; i < ROW; i++)
		if (row[i].session != NULL && digest_is_equal(&row[i].identity, identity) && (found == NULL || row[i].age > found->age))
			found = &row[i];
	return found;
}

static struct place *make_room(struct place *row)
{
	struct place *oldest = &row[0];

	for (size_t i = 0; i < ROW && oldest->session != NULL; i++)
		if (row[i].session == NULL || row[i].age < oldest->age)
			oldest = &row[i];
	return oldest;
}

static bool is_usable(const SSL_SESSION *session, uint64_t verified_at)
{
	const X509 *leaf = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)session);
	time_t now = time(NULL);

	return now >= 0 && (uint64_t)now >= verified_at && (uint64_t)now - verified_at < AGE_MAX_S &&
	       SSL_SESSION_is_resumable(session) == 1 && leaf != NULL && X509_cmp_current_time(X509_get0_notAfter(leaf)) > 0;
}

SSL_SESSION *origin_cache_take(struct origin_cache *cache, const struct digest *identity, uint64_t *ret_verified_at)
{
	SSL_SESSION *session = NULL;
	struct place *place;

	pthread_mutex_lock(&cache->lock);
	place = find(row_of(cache, identity), identity);
	if (place != NULL) {
		session = place->session;
		*ret_verified_at = place->verified_at;
		if (SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION || !is_usable(session, place->verified_at))
			*place = (struct place){.session = NULL};
		else
			SSL_SESSION_up_ref(session);
	}
	pthread_mutex_unlock(&cache->lock);
	if (session != NULL && !is_usable(session, *ret_verified_at)) {
		SSL_SESSION_free(session);
		return NULL;
	}
	return session;
}

static void put(struct origin_cache *cache, const struct origin_seat *seat, SSL_SESSION *session, uint64_t verified_at)
{
	SSL_SESSION *pushed_out;
	struct place *place;

	pthread_mutex_lock(&cache->lock);
	place = make_room(row_of(cache, &seat->identity));
	pushed_out = place->session;
	*place = (struct place){seat->identity, session, verified_at, ++cache->next_age};
	pthread_mutex_unlock(&cache->lock);
	SSL_SESSION_free(pushed_out);
}

/* OpenSSL hands over a reference, which is ours when 1 is returned. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct origin_seat *seat = origin_seat_of(ssl);

	if (seat == NULL || seat->cache == NULL || seat->cause != ORIGIN_CAUSE_NONE)
		return 0;
	put(seat->cache, seat, session, SSL_session_reused(ssl) == 1 ? seat->offered_verified_at : seat->verified_at);
	return 1;
}

void origin_cache_install(SSL_CTX *ctx)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
}
