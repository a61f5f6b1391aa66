/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/probe.h"

#include "crypto/crypto.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBE_MS 5000

struct probe {
	struct prober *prober; /* NULL: answered */
	struct probe *next, **link;
	void (*done)(const struct proxy_probed *result, void *context);
	void *context;
	union endpoint source;
	int fd;
	SSL *ssl;
	bool is_connected;
	struct proxy_probed result;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned open_handles;
};

/* The leaf is what is asked for: whoever signed it. SSL proves on its own that the peer has its key. */
static int take_leaf(X509_STORE_CTX *store, void *unused)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct probe *probe = SSL_get_app_data(ssl);
	const X509 *leaf = X509_STORE_CTX_get0_cert(store);

	probe->result.has_leaf = leaf != NULL && X509_digest(leaf, EVP_sha256(), probe->result.sha256, NULL) == 1;
	return probe->result.has_leaf;
}

int prober_init(struct prober *prober, uv_loop_t *loop, struct error *err)
{
	prober->loop = loop;
	prober->passes = passes_new();
	if (prober->passes == NULL)
		return error_nomem(err);
	prober->ctx = SSL_CTX_new(TLS_client_method());
	if (prober->ctx == NULL)
		return crypto_error(err, "make the context of probes");
	SSL_CTX_set_security_level(prober->ctx, 0); /* what the configuration lets clients use */
	if (SSL_CTX_set_min_proto_version(prober->ctx, TLS1_VERSION) != 1 || SSL_CTX_set_cipher_list(prober->ctx, "ALL") != 1 ||
	    SSL_CTX_set1_groups_list(prober->ctx, "X25519:P-256:P-384:P-521:X448:ffdhe2048:ffdhe3072:ffdhe4096") != 1)
		return crypto_error(err, "set up the context of probes");
	SSL_CTX_set_verify(prober->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(prober->ctx, take_leaf, NULL);
	SSL_CTX_set_session_cache_mode(prober->ctx, SSL_SESS_CACHE_OFF);
	return 0;
}

void prober_deinit(struct prober *prober)
{
	SSL_CTX_free(prober->ctx);
	passes_free(prober->passes);
	*prober = (struct prober){0};
}

/* The end --------------------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct probe *probe = handle->data;

	if (--probe->open_handles == 0)
		free(probe);
}

/* The socket goes after libuv has looked away from it. */
static void release(struct probe *probe)
{
	passes_revoke(probe->prober->passes, &probe->source);
	probe->prober = NULL;
	*probe->link = probe->next;
	if (probe->next != NULL)
		probe->next->link = probe->link;
	uv_poll_stop(&probe->poll);
	uv_close((uv_handle_t *)&probe->poll, on_handle_closed);
	uv_close((uv_handle_t *)&probe->timer, on_handle_closed);
	SSL_free(probe->ssl);
	close(probe->fd);
}

static void answer(struct probe *probe)
{
	release(probe);
	probe->done(&probe->result, probe->context);
}

static void fail(struct probe *probe, const char *reason)
{
	probe->result.has_leaf = false;
	snprintf(probe->result.reason, sizeof(probe->result.reason), "%s", reason);
	answer(probe);
}

static void on_timeout(uv_timer_t *timer)
{
	struct probe *probe = timer->data;

	fail(probe, probe->is_connected ? "the handshake took too long" : "no connection in time");
}

/* The handshake --------------------------------------------------------------------------------------------------- */

static void on_event(uv_poll_t *poll, int status, int events);

static void await(struct probe *probe, int events)
{
	if (uv_poll_start(&probe->poll, events, on_event) != 0)
		fail(probe, "the socket can't be watched");
}

/* A peer's alert is an error of OpenSSL's with the alert's number behind this. */
static bool is_alert(unsigned long error)
{
	return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET;
}

/* With a leaf in hand, an alert is what a client without a certificate is told, or one whom a rule turns away: after the proof. */
static void end_handshake(struct probe *probe)
{
	unsigned long error = ERR_peek_error();
	const char *text = error != 0 ? ERR_reason_error_string(error) : "the connection was closed";

	if (probe->result.has_leaf && is_alert(error))
		answer(probe);
	else
		fail(probe, text != NULL ? text : "refused");
	ERR_clear_error();
}

static void shake(struct probe *probe)
{
	int r, e;

	ERR_clear_error();
	r = SSL_do_handshake(probe->ssl);
	e = r == 1 ? SSL_ERROR_NONE : SSL_get_error(probe->ssl, r);
	if (e == SSL_ERROR_NONE)
		answer(probe);
	else if (e == SSL_ERROR_WANT_READ)
		await(probe, UV_READABLE);
	else if (e == SSL_ERROR_WANT_WRITE)
		await(probe, UV_WRITABLE);
	else
		end_handshake(probe);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct probe *probe = poll->data;
	int error = 0;
	socklen_t len = sizeof(error);

	if (!probe->is_connected) {
		if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0 || status < 0) {
			fail(probe, error != 0 ? strerror(error) : "no connection");
			return;
		}
		probe->is_connected = true;
	}
	shake(probe);
}

/* The start ------------------------------------------------------------------------------------------------------- */

static const char *const signatures[] = {
    [PROXY_PROBE_RSA] = "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1",
    [PROXY_PROBE_ECDSA] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA1",
    [PROXY_PROBE_ED25519] = "ed25519",
};

static int make_ssl(struct probe *probe, SSL_CTX *ctx, const char *sni, enum proxy_probe_key key, struct error *err)
{
	SSL *ssl = probe->ssl = SSL_new(ctx);

	if (ssl == NULL || SSL_set_fd(ssl, probe->fd) != 1 || SSL_set1_sigalgs_list(ssl, signatures[key]) != 1 ||
	    (sni[0] != 0 && SSL_set_tlsext_host_name(ssl, sni) != 1))
		return crypto_error(err, "make a probe");
	SSL_set_app_data(ssl, probe);
	SSL_set_connect_state(ssl);
	return 0;
}

/* Where a socket on all addresses is reached from this machine. */
static void make_reachable(union endpoint *address)
{
	if (address->any.sa_family == AF_INET && address->v4.sin_addr.s_addr == htonl(INADDR_ANY))
		address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr))
		address->v6.sin6_addr = in6addr_loopback;
}

/* From the very address that it goes to: an address of ours, which no packet from outside has as its source. */
static int open_socket(struct probe *probe, const union endpoint *target, socklen_t len, struct error *err)
{
	socklen_t source_len = sizeof(probe->source);

	probe->source = *target;
	if (target->any.sa_family == AF_INET)
		probe->source.v4.sin_port = 0;
	else
		probe->source.v6.sin6_port = 0;
	probe->fd = socket(target->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe->fd < 0 || bind(probe->fd, &probe->source.any, len) != 0 ||
	    getsockname(probe->fd, &probe->source.any, &source_len) != 0)
		return error_set(err, E_IO, "probe: %s", strerror(errno));
	if (!passes_give(probe->prober->passes, &probe->source, uv_hrtime() + PROBE_MS * UINT64_C(1000000)))
		return error_set(err, E_RATE, "too many probes at once");
	if (connect(probe->fd, &target->any, len) == 0 || errno == EINPROGRESS)
		return 0;
	error_set(err, E_IO, "%s", strerror(errno));
	passes_revoke(probe->prober->passes, &probe->source);
	return E_IO;
}

static void discard(struct probe *probe)
{
	SSL_free(probe->ssl);
	if (probe->fd >= 0)
		close(probe->fd);
	free(probe);
}

/* From here on libuv has handles of it. */
static void watch(struct probe *probe)
{
	struct prober *prober = probe->prober;

	uv_timer_init(prober->loop, &probe->timer);
	probe->poll.data = probe->timer.data = probe;
	probe->open_handles = 2;
	probe->next = prober->probes;
	probe->link = &prober->probes;
	if (probe->next != NULL)
		probe->next->link = &probe->next;
	prober->probes = probe;
	uv_timer_start(&probe->timer, on_timeout, PROBE_MS, 0);
}

int prober_start(struct prober *prober, const char *address, const char *sni, enum proxy_probe_key key,
                 void (*done)(const struct proxy_probed *result, void *context), void *context, struct error *err)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	union endpoint target;
	socklen_t len;
	int r;

	if (probe == NULL)
		return error_nomem(err);
	*probe = (struct probe){.prober = prober, .fd = -1, .done = done, .context = context};
	r = endpoint_parse(address, &target, &len, err);
	if (r == 0) {
		make_reachable(&target);
		r = open_socket(probe, &target, len, err);
	}
	if (r == 0) {
		r = make_ssl(probe, prober->ctx, sni, key, err);
		if (r == 0 && uv_poll_init_socket(prober->loop, &probe->poll, probe->fd) != 0)
			r = error_set(err, E_IO, "probe: the socket can't be watched");
		if (r < 0)
			passes_revoke(prober->passes, &probe->source);
	}
	if (r < 0) {
		discard(probe);
		return r;
	}
	watch(probe);
	if (uv_poll_start(&probe->poll, UV_WRITABLE, on_event) != 0)
		uv_timer_start(&probe->timer, on_timeout, 0, 0); /* never called back from inside this call */
	return 0;
}

void prober_close(struct prober *prober)
{
	while (prober->probes != NULL)
		fail(prober->probes, "the agent is closing");
}
