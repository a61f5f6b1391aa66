/* SPDX-License-Identifier: Apache-2.0 */
/* Probes (bytes that are not TLS, silence, going away) are told at debug; what an operator may want to act on at info,
 * a few lines per second and worker. */
#include "proxy/conn_log.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

#define PEER_MAX 64

static void format_peer(const struct conn *conn, char text[PEER_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	if (conn->peer.any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &conn->peer.v6.sin6_addr, host, sizeof(host));
		snprintf(text, PEER_MAX, "[%s]:%u", host, ntohs(conn->peer.v6.sin6_port));
	} else {
		inet_ntop(AF_INET, &conn->peer.v4.sin_addr, host, sizeof(host));
		snprintf(text, PEER_MAX, "%s:%u", host, ntohs(conn->peer.v4.sin_port));
	}
}

static void tell(const struct conn *conn, enum log_level level, const char *message, const char *key, const char *value)
{
	char peer[PEER_MAX];

	if (!log_is_on(level) || (level > LOG_DEBUG && !worker_may_log(conn->worker)))
		return;
	format_peer(conn, peer);
	log_event(level, message, LOG_STR("peer", peer), LOG_STR("listener", conn->point->address),
	          LOG_STR("sni", conn->hello.name), LOG_STR(key, value));
}

void conn_log_handshake(const struct conn *conn)
{
	const char *version = SSL_get_version(conn->ssl);
	char text[96];

	if (!log_is_on(LOG_DEBUG))
		return;
	snprintf(text, sizeof(text), "TLS version %s, cipher suite %s",
	         SSL_version(conn->ssl) == TLS1_VERSION ? "1.0" : version + 4,
	         SSL_CIPHER_standard_name(SSL_get_current_cipher(conn->ssl)));
	tell(conn, LOG_DEBUG, "TLS handshake complete", "tls", text);
}

static enum counter counter_of(const struct conn *conn, int reason)
{
	switch (conn->hello.cause) {
	case HELLO_CAUSE_SNI:
		return COUNT_FAILED_SNI;
	case HELLO_CAUSE_SITE:
		return COUNT_FAILED_SITE;
	case HELLO_CAUSE_PROTOCOL:
		return COUNT_FAILED_PROTOCOL;
	case HELLO_CAUSE_NONE:
		break;
	}
	if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE || reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return COUNT_FAILED_CLIENT_CERT;
	return COUNT_FAILED_PROTOCOL;
}

static const char *describe(const struct conn *conn, int ssl_error, unsigned long queued)
{
	const char *text = NULL;

	if (conn->hello.cause != HELLO_CAUSE_NONE)
		return conn->hello.context->error.text;
	if (ssl_error == SSL_ERROR_SYSCALL && queued == 0)
		return "the client went away";
	if (ERR_GET_REASON(queued) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		text = X509_verify_cert_error_string(SSL_get_verify_result(conn->ssl));
	else if (queued != 0)
		text = ERR_reason_error_string(queued);
	return text != NULL ? text : "no reason given";
}

void conn_log_failure(const struct conn *conn, int ssl_error)
{
	unsigned long queued = ERR_peek_last_error();
	enum counter counter = counter_of(conn, ERR_GET_LIB(queued) == ERR_LIB_SSL ? ERR_GET_REASON(queued) : 0);
	bool for_people =
	    counter == COUNT_FAILED_SITE || counter == COUNT_FAILED_CLIENT_CERT || counter == COUNT_FAILED_SNI;

	counters_add(&conn->worker->counters, COUNT_HANDSHAKES_FAILED, 1);
	counters_add(&conn->worker->counters, counter, 1);
	tell(conn, for_people ? LOG_INFO : LOG_DEBUG, "TLS handshake failed", "reason", describe(conn, ssl_error, queued));
	ERR_clear_error();
}

void conn_log_timeout(const struct conn *conn)
{
	tell(conn, LOG_DEBUG, "TLS handshake timeout", "reason",
	     conn->state == CONN_WAIT_FIRST_BYTE ? "no byte from the client" : "not finished in time");
}

void conn_log_no_upstream(const struct conn *conn)
{
	tell(conn, LOG_WARNING, "no node of the upstream answers", "upstream", upstream_id(conn->hello.upstream));
}
