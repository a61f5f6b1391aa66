/* SPDX-License-Identifier: Apache-2.0 */
/* Probes (bytes that are not TLS, silence, going away before the ClientHello was whole) are told at debug; every other failure,
 * which has a peer and a name to act on, at info or above, a few lines per second and worker. What a peer brings is bounded here
 * and escaped by the log. */
#include "proxy/conn_log.h"

#include "base/log.h"
#include "crypto/crypto.h"
#include "model/peer.h"
#include "proxy/conn_view.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#define FIELDS_MAX 10

static bool may_tell(const struct conn *conn, enum log_level level)
{
	if (conn->is_probe && level != LOG_DEBUG)
		return false;
	return log_is_on(level) && (level == LOG_DEBUG || worker_may_log(conn->worker, WORKER_LINES_REST));
}

/* The connection's own fields, then up to four more. Call when may_tell. */
static void tell(const struct conn *conn, enum log_level level, const char *message, const struct log_field *more)
{
	struct log_field fields[FIELDS_MAX];
	char peer[ENDPOINT_TEXT_MAX], via[ENDPOINT_TEXT_MAX];
	size_t n = 0;

	endpoint_format(&conn->peer, peer);
	endpoint_format(&conn->via, via);
	fields[n++] = LOG_U64("conn", conn->id);
	fields[n++] = LOG_STR("peer", peer);
	if (via[0] != 0)
		fields[n++] = LOG_STR("via", via);
	fields[n++] = LOG_STR("listener", conn->point->address);
	fields[n++] = LOG_STR("sni", conn->hello.name);
	while (more->key != NULL && n < FIELDS_MAX - 1)
		fields[n++] = *more++;
	fields[n] = (struct log_field){0};
	log_write(level, message, fields);
}

#define TELL(conn, level, message, ...)                                                                                \
	tell((conn), (level), (message), (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ) {NULL, NULL, 0, 0}})

void conn_log_start(const struct conn *conn)
{
	if (may_tell(conn, LOG_DEBUG))
		TELL(conn, LOG_DEBUG, "Starting TLS client connection handshake");
}

static void format_tls(const SSL *ssl, char *text, size_t size)
{
	snprintf(text, size, "TLS version %s, cipher suite %s", SSL_version(ssl) == TLS1_VERSION ? "1.0" : SSL_get_version(ssl) + 4,
	         SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)));
}

void conn_log_handshake(const struct conn *conn)
{
	const SSL *ssl = conn->client.ssl;
	struct trust *trust = conn->hello.seat.trust;
	char identity[PEER_TEXT_MAX + 1], text[128];

	if (!may_tell(conn, LOG_DEBUG))
		return;
	format_tls(ssl, text, sizeof(text));
	if (trust_maps_identity(trust) && trust_map_identity(trust, ssl, identity, NULL, NULL) == 0)
		TELL(conn, LOG_DEBUG, "TLS handshake complete", LOG_STR("tls", text), LOG_U64("resumed", SSL_session_reused(ssl) == 1),
		     LOG_STR("identity", identity));
	else
		TELL(conn, LOG_DEBUG, "TLS handshake complete", LOG_STR("tls", text), LOG_U64("resumed", SSL_session_reused(ssl) == 1));
}

void conn_log_passthrough(const struct conn *conn)
{
	if (may_tell(conn, LOG_DEBUG))
		TELL(conn, LOG_DEBUG, "TLS passed through", LOG_STR("route", conn->hello.route));
}

/* ------------------------------------------------------------------------------------------------ failed handshakes */

static enum counter counter_of(const struct conn *conn)
{
	static const enum counter by_hello[] = {
	    [HELLO_CAUSE_SNI] = COUNT_FAILED_SNI,           [HELLO_CAUSE_PROTOCOL] = COUNT_FAILED_PROTOCOL,
	    [HELLO_CAUSE_SITE] = COUNT_FAILED_SITE,         [HELLO_CAUSE_REJECTED] = COUNT_FAILED_REJECTED,
	    [HELLO_CAUSE_ADDRESS] = COUNT_FAILED_ADDRESS,   [HELLO_CAUSE_NONE] = COUNT_FAILED_PROTOCOL,
	};
	static const enum counter by_conn[] = {
	    [CONN_CAUSE_SIZE] = COUNT_FAILED_SIZE,
	    [CONN_CAUSE_LIMIT] = COUNT_FAILED_LIMIT,
	    [CONN_CAUSE_PROXY_HEADER] = COUNT_FAILED_PROXY_HEADER,
	};

	if (conn->cause != CONN_CAUSE_NONE)
		return by_conn[conn->cause];
	if (conn->hello.cause != HELLO_CAUSE_NONE)
		return by_hello[conn->hello.cause];
	return conn->hello.seat.cause != SEAT_CAUSE_NONE ? COUNT_FAILED_CLIENT_CERT : COUNT_FAILED_PROTOCOL;
}

/* The word that stands for the cause in log and metrics. */
static const char *word_of(enum counter counter)
{
	switch (counter) {
	case COUNT_FAILED_SNI:
		return "sni";
	case COUNT_FAILED_CLIENT_CERT:
		return "client_certificate";
	case COUNT_FAILED_SITE:
		return "certificate";
	case COUNT_FAILED_ADDRESS:
		return "address";
	case COUNT_FAILED_REJECTED:
		return "rejected";
	case COUNT_FAILED_LIMIT:
		return "limit";
	case COUNT_FAILED_PROXY_HEADER:
		return "proxy_header";
	case COUNT_FAILED_SIZE:
		return "size";
	default:
		return "protocol";
	}
}

static const char *describe(const struct conn *conn, int ssl_error, unsigned long queued)
{
	const char *text = NULL;

	if (conn->cause == CONN_CAUSE_SIZE)
		return "ClientHello too long";
	if (conn->cause == CONN_CAUSE_LIMIT)
		return "too many handshakes for this name";
	if (conn->hello.cause != HELLO_CAUSE_NONE)
		return conn->hello.context->error.text;
	if (conn->hello.seat.cause != SEAT_CAUSE_NONE)
		return conn->hello.seat.why != NULL ? conn->hello.seat.why : "out of memory";
	/* A reset or an early end; OpenSSL calls the latter an error of the protocol once it has begun to read a message. */
	if ((ssl_error == SSL_ERROR_SYSCALL && queued == 0) || ERR_GET_REASON(queued) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return "the client went away";
	if (queued != 0)
		text = ERR_reason_error_string(queued);
	return text != NULL ? text : "no reason given";
}

static bool is_decided(const struct conn *conn)
{
	return conn->hello.decided || conn->hello.cause != HELLO_CAUSE_NONE;
}

/* Limits have lines of their own. */
static enum log_level level_of(const struct conn *conn, enum counter counter)
{
	if (counter == COUNT_FAILED_PROTOCOL)
		return is_decided(conn) ? LOG_INFO : LOG_DEBUG;
	return counter == COUNT_FAILED_LIMIT ? LOG_DEBUG : LOG_INFO;
}

static bool may_tell_failure(const struct conn *conn, enum counter counter)
{
	enum log_level level = level_of(conn, counter);

	if (level == LOG_DEBUG || conn->is_probe || counter != COUNT_FAILED_PROTOCOL)
		return may_tell(conn, level);
	return log_is_on(level) && worker_may_log(conn->worker, WORKER_LINES_BROKEN_OFF);
}

static void tell_with_certificate(const struct conn *conn, enum counter counter, const char *reason)
{
	char subject[256], fingerprint[2 * SHA256_LEN + 1] = "";
	uint8_t sha256[SHA256_LEN];

	conn_format_subject(conn->hello.seat.refused, subject, sizeof(subject));
	if (conn_hash_certificate(conn->hello.seat.refused, sha256))
		crypto_hex(sha256, sizeof(sha256), fingerprint);
	TELL(conn, LOG_INFO, "TLS handshake failed", LOG_STR("cause", word_of(counter)), LOG_STR("reason", reason),
	     LOG_STR("unverified_subject", subject), LOG_STR("unverified_sha256", fingerprint));
}

static void count_failure(const struct conn *conn, enum counter counter)
{
	if (conn->is_probe)
		return;
	counters_add(&conn->worker->counters, COUNT_HANDSHAKES_FAILED, 1);
	counters_add(&conn->worker->counters, counter, 1);
	point_count(&conn->point->handshakes_failed);
}

void conn_log_failure(struct conn *conn, int ssl_error)
{
	const char *reason = describe(conn, ssl_error, ERR_peek_last_error());
	enum counter counter = counter_of(conn);
	enum log_level level = level_of(conn, counter);

	count_failure(conn, counter);
	if (may_tell_failure(conn, counter)) {
		if (conn->hello.seat.refused != NULL && level == LOG_INFO)
			tell_with_certificate(conn, counter, reason);
		else
			TELL(conn, level, "TLS handshake failed", LOG_STR("cause", word_of(counter)), LOG_STR("reason", reason));
	}
	ERR_clear_error();
}

void conn_log_refusal(const struct conn *conn, const char *reason)
{
	enum counter counter = counter_of(conn);

	count_failure(conn, counter);
	if (may_tell(conn, LOG_INFO))
		TELL(conn, LOG_INFO, "connection refused", LOG_STR("cause", word_of(counter)), LOG_STR("reason", reason));
}

void conn_log_timeout(const struct conn *conn)
{
	static const char *const reasons[] = {
	    [CONN_WAIT_FIRST_BYTE] = "no byte from the client",
	    [CONN_PROXY_HEADER] = "PROXY header not finished in time",
	    [CONN_HANDSHAKE] = "not finished in time",
	};

	if (!conn->is_probe)
		point_count(&conn->point->handshakes_failed);
	if (may_tell_failure(conn, COUNT_FAILED_PROTOCOL))
		TELL(conn, level_of(conn, COUNT_FAILED_PROTOCOL), "TLS handshake timeout", LOG_STR("reason", reasons[conn->state]));
}

/* -------------------------------------------------------------------------------------------------------- upstreams */

static void format_node(const struct conn *conn, char *text, size_t size)
{
	uint16_t port;
	const char *host = upstream_picked_host(conn->hello.upstream, &conn->attempt, &port);

	snprintf(text, size, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}

void conn_log_no_upstream(const struct conn *conn, const char *message)
{
	if (may_tell(conn, LOG_WARNING))
		TELL(conn, LOG_WARNING, message, LOG_STR("upstream", upstream_id(conn->hello.upstream)));
}

static const char *word_of_origin(enum origin_cause cause)
{
	static const char *const words[] = {
	    [ORIGIN_CAUSE_NONE] = "timeout",  [ORIGIN_CAUSE_CHAIN] = "chain",     [ORIGIN_CAUSE_NAME] = "name",
	    [ORIGIN_CAUSE_PIN] = "pin",       [ORIGIN_CAUSE_REVOKED] = "revoked", [ORIGIN_CAUSE_ALERT] = "alert",
	    [ORIGIN_CAUSE_PROTOCOL] = "protocol", [ORIGIN_CAUSE_PROFILE] = "profile",
	};

	_Static_assert(ARRAY_LEN(words) == COUNTERS_ORIGIN_CAUSES, "a word for each cause");
	return words[cause];
}

static void tell_upstream(const struct conn *conn, enum log_level level, const char *message, enum origin_cause cause,
                          const char *reason)
{
	char node[320] = "";

	if (!may_tell(conn, level))
		return;
	if (conn->attempt.next > 0)
		format_node(conn, node, sizeof(node));
	TELL(conn, level, message, LOG_STR("upstream", upstream_id(conn->hello.upstream)), LOG_STR("node", node),
	     LOG_STR("cause", word_of_origin(cause)), LOG_STR("reason", reason));
}

void conn_log_upstream_tls(const struct conn *conn, enum origin_cause cause, const char *reason)
{
	counters_add(&conn->worker->counters, COUNT_UPSTREAM_TLS_FAILURES + (unsigned)cause, 1);
	tell_upstream(conn, LOG_WARNING, "TLS with the upstream failed", cause, reason);
}

void conn_log_upstream_handshake(const struct conn *conn)
{
	const struct origin_seat *origin = conn->origin;
	char text[128];

	if (origin->failed_permissive) {
		counters_add(&conn->worker->counters, COUNT_UPSTREAM_TLS_PERMISSIVE, 1);
		tell_upstream(conn, LOG_WARNING, "the upstream's certificate does not verify, let pass (PERMISSIVE)", origin->cause,
		              origin->why.text);
	}
	if (!may_tell(conn, LOG_DEBUG))
		return;
	format_tls(conn->upstream.ssl, text, sizeof(text));
	TELL(conn, LOG_DEBUG, "TLS handshake with the upstream complete", LOG_STR("upstream", upstream_id(conn->hello.upstream)),
	     LOG_STR("tls", text), LOG_U64("resumed", SSL_session_reused(conn->upstream.ssl) == 1));
}

/* --------------------------------------------------------------------------------------------------------- closing */

void conn_log_closed_on_tighten(const struct conn *conn, const char *reason)
{
	counters_add(&conn->worker->counters, COUNT_CLOSED_ON_TIGHTEN, 1);
	if (may_tell(conn, LOG_INFO))
		TELL(conn, LOG_INFO, "connection closed: the rules have tightened", LOG_STR("reason", reason));
}

void conn_log_limit(struct worker *worker, const struct point *point, enum limit limit, const char *name)
{
	static const struct {
		unsigned counter;
		const char *word;
	} limits[LIMITS] = {
	    [LIMIT_CONNECTIONS] = {COUNT_LIMIT_CONNECTIONS, "max_connections"},
	    [LIMIT_HANDSHAKES] = {COUNT_LIMIT_HANDSHAKES, "max_handshakes"},
	    [LIMIT_RATE] = {COUNT_LIMIT_RATE, "handshakes_per_second"},
	    [LIMIT_NAME_HANDSHAKES] = {COUNT_LIMIT_NAME_HANDSHAKES, "max_handshakes of a name"},
	    [LIMIT_NAME_RATE] = {COUNT_LIMIT_NAME_RATE, "handshakes_per_second of a name"},
	};
	uint64_t count = limits_note(worker->shared->limits, limit, worker_now_ns(worker));

	counters_add(&worker->counters, limits[limit].counter, 1);
	if (count > 0)
		log_event(LOG_WARNING, "limit reached", LOG_STR("limit", limits[limit].word), LOG_STR("listener", point->address),
		          LOG_STR("sni", name), LOG_U64("refused", count));
}
