/* SPDX-License-Identifier: Apache-2.0 */
/* A connection on its way to a node: which one, TLS with it where the upstream speaks TLS, and the PROXY header in front of all.
 *
 * Until a node has answered, TLS included, the client is not read: what it sends waits in its socket, so that the next node can be tried.
 * A node with which TLS fails is a node that failed; it is never spoken to in plain. */
#include "proxy/conn_impl.h"

#include "base/memory.h"
#include "crypto/crypto.h"
#include "model/peer.h"
#include "proxy/conn_log.h"
#include "proxy/proxy_header.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* ----------------------------------------------------------------------------------------------- PROXY header out */

/* Texts that a header points to. */
struct header_texts {
	char common_name[PEER_TEXT_MAX + 1], key_alg[32], identity[PEER_TEXT_MAX + 1];
	uint8_t sha256[SHA256_LEN];
	unsigned char *der; /* OpenSSL's */
};

static void describe_own(const X509 *own, struct header_texts *texts, struct proxy_header_tls *tls)
{
	EVP_PKEY *key = own != NULL ? X509_get0_pubkey(own) : NULL;
	int type = key != NULL ? EVP_PKEY_get_base_id(key) : 0;

	if (own == NULL)
		return;
	tls->sig_alg = OBJ_nid2sn(X509_get_signature_nid(own));
	if (key == NULL)
		return;
	snprintf(texts->key_alg, sizeof(texts->key_alg), "%s%d",
	         type == EVP_PKEY_RSA  ? "RSA"
	         : type == EVP_PKEY_EC ? "EC"
	                               : OBJ_nid2sn(type),
	         EVP_PKEY_get_bits(key));
	tls->key_alg = texts->key_alg;
}

static void describe_client(struct conn *conn, X509 *cert, struct header_texts *texts, struct proxy_header_tls *tls)
{
	SSL *ssl = conn->client.ssl;
	struct trust *trust = conn->hello.seat.trust;
	int len;

	tls->client |= PROXY_CLIENT_CERT_SESS | (SSL_session_reused(ssl) == 1 ? 0 : PROXY_CLIENT_CERT_CONN);
	tls->verified = conn->hello.seat.facts != NULL;
	if (peer_common_name(cert, texts->common_name) == 0)
		tls->common_name = texts->common_name;
	len = i2d_X509(cert, &texts->der);
	if (len > 0) {
		tls->certificate = BYTES(texts->der, (size_t)len);
		if (crypto_sha256(tls->certificate, texts->sha256, NULL) == 0)
			tls->certificate_sha256 = texts->sha256;
	}
	if (trust_maps_identity(trust) && trust_map_identity(trust, ssl, texts->identity, NULL, NULL) == 0)
		tls->identity = texts->identity;
}

static void put_header_v2(struct conn *conn, const union endpoint *local)
{
	SSL *ssl = conn->client.ssl;
	struct proxy_header_tls tls = {.authority = conn->hello.name[0] != 0 ? conn->hello.name : NULL};
	struct header_texts texts;
	X509 *cert;

	texts.der = NULL;
	if (ssl != NULL) {
		unsigned alpn_len = 0;

		tls.client = PROXY_CLIENT_SSL;
		tls.version = SSL_get_version(ssl);
		tls.cipher = SSL_get_cipher_name(ssl);
		SSL_get0_alpn_selected(ssl, &tls.alpn.data, &alpn_len);
		tls.alpn.len = alpn_len;
		describe_own(SSL_get_certificate(ssl), &texts, &tls);
		cert = SSL_get0_peer_certificate(ssl);
		if (cert != NULL)
			describe_client(conn, cert, &texts, &tls);
	}
	proxy_header_put_v2(&conn->ahead, &conn->peer, local, &tls);
	OPENSSL_free(texts.der);
	ERR_clear_error();
}

int conn_put_ahead(struct conn *conn)
{
	uint64_t failures = memory_failures();

	if (conn->hello.send_proxy_protocol != 0) {
		union endpoint local = conn->local;
		socklen_t len = sizeof(local);

		if (!endpoint_is_known(&local) && getsockname(conn->client.end.fd, &local.any, &len) != 0)
			local.any.sa_family = AF_UNSPEC;
		if (conn->hello.send_proxy_protocol == 1)
			proxy_header_put_v1(&conn->ahead, &conn->peer, &local);
		else
			put_header_v2(conn, &local);
	}
	if (conn->hello.passthrough)
		capture_put(&conn->capture, &conn->worker->hello_bytes, &conn->ahead);
	return conn->ahead.failed ? E_NOMEM : memory_judge(failures, 0, NULL); /* who the client is stands in it, or nothing */
}

/* ------------------------------------------------------------------------------------------------------- connect */

/* A connection that is cut leaves its session as good as it was (RFC 5246 7.2.1): OpenSSL has marked those that went bad, and would mark
 * this one too for the want of close_notify. */
void conn_drop_upstream(struct conn *conn)
{
	if (conn->upstream.ssl != NULL)
		SSL_set_shutdown(conn->upstream.ssl, SSL_SENT_SHUTDOWN);
	SSL_free(conn->upstream.ssl);
	conn->upstream.ssl = NULL;
	if (conn->origin != NULL)
		origin_seat_deinit(conn->origin);
	free(conn->origin);
	conn->origin = NULL;
	end_close(&conn->upstream.end);
	conn->ahead_sent = 0;
}

/* Something is there to be sent as soon as the node has answered. */
static bool has_first_words(const struct conn *conn)
{
	return conn->ahead.len > 0 || conn->hello.origin != NULL || (conn->client.ssl != NULL && SSL_has_pending(conn->client.ssl) == 1);
}

/* 0: under way or there; E_NOMEM: we have no descriptor or no memory for it; else this address is not to be had. */
static int connect_to(struct conn *conn, const struct sockaddr_storage *address, socklen_t len)
{
	const int on = 1, off = 0;
	struct end *end = &conn->upstream.end;
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? E_IO : E_NOMEM;
	*end = (struct end){.watch = {conn_on_upstream_event}, .fd = fd, .watches_out = true};
	conn->connected_turn = conn->worker->turn;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (has_first_words(conn))
		setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off)); /* the third segment carries them: one less, and one wake-up */
	r = connect(fd, (const struct sockaddr *)address, len) == 0 || errno == EINPROGRESS ? 0 : E_IO;
	if (r == 0 && worker_watch(conn->worker, fd, true, &end->watch) < 0)
		r = E_NOMEM;
	if (r < 0)
		end_close(end);
	return r;
}

static const char no_answer[] = "no node of the upstream answers";

static void no_upstream(struct conn *conn, const char *message)
{
	counters_add(&conn->worker->counters, COUNT_UPSTREAM_FAILURES, 1);
	conn_log_no_upstream(conn, message);
	conn_linger(conn);
}

static void connect_failed(struct conn *conn)
{
	upstream_report(conn->hello.upstream, &conn->attempt, false);
	counters_add(&conn->worker->counters, COUNT_UPSTREAM_CONNECT_FAILURES, 1);
}

/* Addresses in the order that the upstream gives, each with the whole connect timeout. What we lack ourselves is no fault
 * of a node. */
static void connect_next(struct conn *conn)
{
	struct upstream *upstream = conn->hello.upstream;
	struct sockaddr_storage address;
	socklen_t len;
	int r;

	if (conn->state != CONN_CONNECT)
		conn_move(conn, CONN_CONNECT);
	while (upstream_pick(upstream, &conn->attempt, &address, &len) == 0) {
		r = connect_to(conn, &address, len);
		if (r == 0) {
			conn_set_deadline(conn, worker_now(conn->worker) + upstream_connect_timeout_ms(upstream));
			return;
		}
		if (r == E_NOMEM) {
			no_upstream(conn, "no descriptor or memory to connect to the upstream");
			return;
		}
		connect_failed(conn);
	}
	no_upstream(conn, no_answer);
}

/* A profile that can't be used needs no node to fail. */
void conn_connect(struct conn *conn)
{
	struct error why = ERROR_NULL;

	if (conn->hello.origin == NULL || origin_profile_is_usable(conn->hello.origin, &why)) {
		connect_next(conn);
		return;
	}
	conn_log_upstream_tls(conn, ORIGIN_CAUSE_PROFILE, why.text);
	no_upstream(conn, no_answer);
}

/* Under TLS 1.3 the handshake is over here before the node has seen our certificate, or that there is none. */
static bool may_still_refuse(const struct conn *conn)
{
	const SSL *ssl = conn->upstream.ssl;

	return ssl != NULL && SSL_version(ssl) == TLS1_3_VERSION && SSL_session_reused(ssl) == 0;
}

void conn_prove_upstream(struct conn *conn, bool good)
{
	if (!conn->is_unproven)
		return;
	conn->is_unproven = false;
	upstream_report(conn->hello.upstream, &conn->attempt, good);
}

static void begin_relay(struct conn *conn)
{
	conn->is_unproven = true;
	if (!may_still_refuse(conn))
		conn_prove_upstream(conn, true);
	wheel_clear(&conn->worker->wheel, &conn->deadline);
	conn_move(conn, CONN_RELAY);
	if (relay_begin(conn) < 0)
		conn_cut(conn);
}

/* --------------------------------------------------------------------------------------------- TLS with the node */

static void upstream_tls_failed(struct conn *conn, enum origin_cause cause, const char *reason)
{
	conn_log_upstream_tls(conn, cause, reason);
	upstream_report(conn->hello.upstream, &conn->attempt, false);
	conn_drop_upstream(conn);
	connect_next(conn);
}

static int make_upstream_ssl(struct conn *conn)
{
	const struct worker_shared *shared = conn->worker->shared;
	struct hello *hello = &conn->hello;
	struct origin_target target = {
	    .inbound_name = hello->name,
	    .client = hello->origin_site,
	    .client_digest = hello->origin_site != NULL ? &hello->origin_site_digest : NULL,
	};
	struct side *side = &conn->upstream;
	int r;

	target.host = upstream_picked_host(hello->upstream, &conn->attempt, &target.port);
	conn->origin = calloc(1, sizeof(*conn->origin));
	if (conn->origin == NULL)
		return E_NOMEM;
	r = origin_ssl_new(hello->origin, shared->origins, &target, conn->origin, &side->ssl, &conn->origin->why);
	if (r < 0)
		return r;
	SSL_set_mode(side->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_read_ahead(side->ssl, 1);
	return end_put_on(&side->end, shared->bio_method, side->ssl);
}

static void begin_upstream_handshake(struct conn *conn)
{
	int r;

	conn_move(conn, CONN_UPSTREAM_HANDSHAKE);
	r = make_upstream_ssl(conn);
	if (r == E_NOMEM)
		no_upstream(conn, "no memory for TLS with the upstream");
	else if (r < 0)
		upstream_tls_failed(conn, ORIGIN_CAUSE_PROFILE, conn->origin->why.text);
	else
		conn_set_deadline(conn, worker_now(conn->worker) + origin_profile_timeout_ms(conn->hello.origin));
}

/* The PROXY header goes in clear, before TLS, and in one segment with the ClientHello. 1: it is out; 0: not yet; negative: never. */
static int send_ahead(struct conn *conn)
{
	struct end *end = &conn->upstream.end;

	end->more = true;
	while (conn->ahead_sent < conn->ahead.len) {
		ssize_t n = end_write(end, conn->ahead.data + conn->ahead_sent, conn->ahead.len - conn->ahead_sent);

		if (n < 0)
			return errno == EAGAIN ? 0 : E_IO;
		conn->ahead_sent += (size_t)n;
	}
	end->more = false;
	return 1;
}

static void upstream_handshake_done(struct conn *conn)
{
	struct counters *counters = &conn->worker->counters;

	counters_add(counters, COUNT_UPSTREAM_TLS_OK, 1);
	counters_add(counters, COUNT_UPSTREAM_TLS_RESUMED, SSL_session_reused(conn->upstream.ssl) == 1);
	conn_log_upstream_handshake(conn);
	buf_deinit(&conn->ahead);
	begin_relay(conn);
}

void conn_run_upstream_handshake(struct conn *conn)
{
	SSL *ssl = conn->upstream.ssl;
	uint64_t failures = memory_failures();
	int sent, r, e;

	if (conn->client.end.failed) {
		conn_close(conn);
		return;
	}
	sent = send_ahead(conn);
	if (sent < 0)
		upstream_tls_failed(conn, ORIGIN_CAUSE_PROTOCOL, strerror(errno));
	if (sent <= 0)
		return;
	ERR_clear_error();
	r = SSL_do_handshake(ssl);
	if (memory_judge(failures, 0, &conn->origin->why) < 0) { /* perhaps of what the origin was to be judged by */
		ERR_clear_error();
		no_upstream(conn, "no memory for TLS with the upstream");
		return;
	}
	if (r == 1) {
		upstream_handshake_done(conn);
		return;
	}
	e = SSL_get_error(ssl, r);
	if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
		return;
	origin_explain(conn->origin, ssl, e);
	ERR_clear_error();
	upstream_tls_failed(conn, conn->origin->cause, conn->origin->why.text);
}

/* -------------------------------------------------------------------------------------------------------- events */

void conn_run_connect(struct conn *conn)
{
	if (conn->client.end.failed) {
		conn_close(conn);
	} else if (conn->upstream.end.failed) {
		connect_failed(conn);
		conn_drop_upstream(conn);
		connect_next(conn);
	} else if (!conn->upstream.end.writable) {
		return;
	} else if (conn->hello.origin != NULL) {
		begin_upstream_handshake(conn);
	} else {
		begin_relay(conn);
	}
}

void conn_upstream_timed_out(struct conn *conn)
{
	if (conn->state == CONN_UPSTREAM_HANDSHAKE) {
		upstream_tls_failed(conn, ORIGIN_CAUSE_NONE, "not finished in time");
		return;
	}
	connect_failed(conn);
	conn_drop_upstream(conn);
	connect_next(conn);
}
