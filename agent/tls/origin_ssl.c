/* SPDX-License-Identifier: Apache-2.0 */
/* One handshake with one origin: names chosen, identity computed, SSL dressed; and what became of it, in words. */
#include "base/buf.h"
#include "crypto/crypto.h"
#include "model/address.h"
#include "tls/origin_impl.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

DEFINE_CLEANUP(SSL, SSL_free);
DEFINE_CLEANUP(SSL_SESSION, SSL_SESSION_free);
DEFINE_CLEANUP(X509_STORE, X509_STORE_free);

static int seat_index = -1;
static pthread_once_t seat_once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
	seat_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

int origin_seat_set(struct origin_seat *seat, SSL *ssl)
{
	pthread_once(&seat_once, make_index);
	return seat_index >= 0 && SSL_set_ex_data(ssl, seat_index, seat) == 1 ? 0 : E_NOMEM;
}

struct origin_seat *origin_seat_of(const SSL *ssl)
{
	pthread_once(&seat_once, make_index);
	return seat_index >= 0 ? SSL_get_ex_data(ssl, seat_index) : NULL;
}

void origin_seat_deinit(struct origin_seat *seat)
{
	origin_profile_unref((struct origin_profile *)(uintptr_t)seat->profile);
	*seat = (struct origin_seat){.profile = NULL};
}

static const char *choose_name(Tlsplane__NamePolicy policy, const char *fixed, const struct origin_target *target)
{
	const char *name = policy == TLSPLANE__NAME_POLICY__NAME_FIXED     ? fixed
	                   : policy == TLSPLANE__NAME_POLICY__NAME_INBOUND ? target->inbound_name
	                                                                   : target->host;

	return name != NULL ? name : "";
}

/* RFC 6066 3: no addresses. */
static const char *choose_sni(const Tlsplane__UpstreamTls *body, const struct origin_target *target)
{
	const char *name = choose_name(body->sni_policy, body->server_name, target);

	return address_is_ip(name) ? "" : name;
}

static const char *choose_verify_name(const Tlsplane__UpstreamTls *body, const struct origin_target *target, const char *sni)
{
	if (body->has_verify_name_policy)
		return choose_name(body->verify_name_policy, body->verify_name, target);
	return sni[0] != 0 ? sni : target->host;
}

/* To X509_check_host a leading dot means every name below. */
static int put_names(struct origin_seat *seat, const char *sni, const char *verify_name, struct error *err)
{
	if (strlen(sni) >= sizeof(seat->verify_name) || strlen(verify_name) >= sizeof(seat->verify_name) || verify_name[0] == '.')
		return error_set(err, E_INVALID, "a name that no origin can have");
	snprintf(seat->verify_name, sizeof(seat->verify_name), "%s", verify_name);
	seat->verify_is_ip = address_is_ip(verify_name);
	return 0;
}

static int compute_identity(struct origin_seat *seat, const struct origin_target *target, const char *sni, struct error *err)
{
	static const struct digest nobody = DIGEST_NULL;
	CLEANUP(buf_deinit) struct buf bytes = BUF_NULL;
	const struct digest *client = target->client_digest != NULL ? target->client_digest : &nobody;

	buf_put_str(&bytes, "tlsplane/origin/v1");
	buf_put_u8(&bytes, 0);
	buf_put(&bytes, seat->profile->digest.bytes, DIGEST_LEN);
	buf_put(&bytes, client->bytes, DIGEST_LEN);
	buf_put_lv(&bytes, target->host, strlen(target->host));
	buf_put_u16(&bytes, target->port);
	buf_put_lv(&bytes, sni, strlen(sni));
	buf_put_lv(&bytes, seat->verify_name, strlen(seat->verify_name));
	if (bytes.failed)
		return error_nomem(err);
	return crypto_sha256(BYTES(bytes.data, bytes.len), seat->identity.bytes, err);
}

/* A certificate without a digest could not be told apart from others: no session is shared then. Nor is one whose chain was verified by
 * other CAs of the machine. */
static int offer_session(struct origin_seat *seat, const struct origin_target *target, const char *sni, uint64_t anchored_at, SSL *ssl,
                         struct error *err)
{
	CLEANUP(SSL_SESSION_free) SSL_SESSION *session = NULL;
	time_t now = time(NULL);
	int r;

	if (target->client != NULL && target->client_digest == NULL)
		seat->cache = NULL;
	seat->verified_at = now > 0 ? (uint64_t)now : 0;
	if (seat->cache == NULL)
		return 0;
	r = compute_identity(seat, target, sni, err);
	if (r < 0)
		return r;
	session = origin_cache_take(seat->cache, &seat->identity, &seat->offered_verified_at);
	if (session != NULL && seat->offered_verified_at > anchored_at && SSL_set_session(ssl, session) != 1)
		return crypto_error(err, "offer a session");
	return 0;
}

static int dress(struct origin_seat *seat, const struct origin_target *target, uint64_t anchored_at, SSL *ssl, struct error *err)
{
	const Tlsplane__UpstreamTls *body = seat->profile->body;
	const char *sni = choose_sni(body, target);
	int r = put_names(seat, sni, choose_verify_name(body, target, sni), err);

	if (r == 0 && body->client_ssl != NULL && target->client == NULL)
		r = error_set(err, E_INVALID, "client certificate %s is not there", body->client_ssl);
	if (r == 0 && origin_seat_set(seat, ssl) < 0)
		r = error_nomem(err);
	if (r == 0 && sni[0] != 0 && SSL_set_tlsext_host_name(ssl, sni) != 1)
		r = crypto_error(err, "set the server name");
	if (r == 0 && target->client != NULL)
		r = site_put_on(target->client, ssl, err);
	if (r == 0)
		r = offer_session(seat, target, sni, anchored_at, ssl, err);
	return r;
}

int origin_ssl_new(struct origin_profile *profile, struct origin_cache *cache, const struct origin_target *target,
                   struct origin_seat *seat, SSL **ret, struct error *err)
{
	CLEANUP(SSL_free) SSL *ssl = NULL;
	CLEANUP(X509_STORE_free) X509_STORE *anchors = NULL;
	struct error why = ERROR_NULL; /* err may be the seat's own */
	uint64_t anchored_at;
	int r = origin_anchors_take(&profile->anchors, &anchors, &anchored_at, &why);

	*seat = (struct origin_seat){.profile = origin_profile_ref(profile), .cache = cache};
	if (r == 0) {
		ssl = SSL_new(profile->ctx);
		if (ssl == NULL || SSL_set1_verify_cert_store(ssl, anchors) != 1)
			r = crypto_error(&why, "make an SSL");
		else
			r = dress(seat, target, anchored_at, ssl, &why);
	}
	if (r < 0) {
		seat->cause = ORIGIN_CAUSE_PROFILE;
		seat->why = why;
		return error_set(err, r == E_NOMEM ? E_NOMEM : E_INVALID, "%s", why.text);
	}
	SSL_set_connect_state(ssl);
	*ret = TAKE_PTR(ssl);
	return 0;
}

void origin_explain(struct origin_seat *seat, const SSL *ssl, int ssl_error)
{
	unsigned long newest = ERR_peek_last_error();
	int reason = ERR_GET_LIB(newest) == ERR_LIB_SSL ? ERR_GET_REASON(newest) : 0;

	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && seat->cause != ORIGIN_CAUSE_NONE) {
		ERR_clear_error();
		return;
	}
	seat->cause = ORIGIN_CAUSE_PROTOCOL;
	if (reason >= SSL_AD_REASON_OFFSET) {
		seat->cause = ORIGIN_CAUSE_ALERT;
		error_set(&seat->why, E_FORBIDDEN, "the origin sent the alert %s (%d)",
		          SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET), reason - SSL_AD_REASON_OFFSET);
		ERR_clear_error();
	} else if (newest == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING || ssl_error == SSL_ERROR_ZERO_RETURN) {
		error_set(&seat->why, E_CLOSED, "the origin closed the connection %s",
		          SSL_is_init_finished(ssl) ? "without close_notify" : "during the handshake");
		ERR_clear_error();
	} else {
		crypto_error(&seat->why, "TLS with the origin");
	}
}
