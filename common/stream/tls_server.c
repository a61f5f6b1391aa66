/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/tls_server.h"

#include "crypto/crypto.h"

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#define SUITES_12                                                                                                      \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"                         \
	"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384:P-521"

struct tls_server {
	struct tls_server_hooks hooks;
	SSL_CTX *ctx;
	BIO_METHOD *method;
};

static int on_client_hello(SSL *ssl, int *alert, void *context)
{
	const struct tls_server *server = context;
	struct tls_stream *stream = SSL_get_app_data(ssl);
	struct error err = ERROR_NULL;

	if (server->hooks.put_certificate(ssl, server->hooks.owner, &err) == 0)
		return SSL_CLIENT_HELLO_SUCCESS;
	stream->refusal = "there is no certificate to show";
	server->hooks.on_refusal(&err, server->hooks.owner);
	*alert = SSL_AD_INTERNAL_ERROR;
	return SSL_CLIENT_HELLO_ERROR;
}

/* RFC 7301. Who offers protocols and not this one is refused; who offers none speaks HTTP/1.1 anyway. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offered,
                   unsigned offered_len, void *context)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;

	if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof(ours) - 1, offered, offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int set_up(struct tls_server *server, struct error *err)
{
	SSL_CTX *ctx = server->ctx;

	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                             SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                          SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, server);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 || SSL_CTX_set_cipher_list(ctx, SUITES_12) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, SUITES_13) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
		return crypto_error(err, "set up HTTPS");
	return 0;
}

int tls_server_new(const struct tls_server_hooks *hooks, struct tls_server **ret, struct error *err)
{
	CLEANUP(tls_server_free) struct tls_server *server = calloc(1, sizeof(*server));
	int r;

	if (server == NULL)
		return error_nomem(err);
	server->hooks = *hooks;
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return crypto_error(err, "start OpenSSL");
	server->method = tls_stream_new_method();
	server->ctx = SSL_CTX_new(TLS_server_method());
	if (server->method == NULL || server->ctx == NULL)
		return crypto_error(err, "make HTTPS");
	r = set_up(server, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

struct tls_server *tls_server_free(struct tls_server *server)
{
	if (server == NULL)
		return NULL;
	SSL_CTX_free(server->ctx);
	BIO_meth_free(server->method);
	free(server);
	return NULL;
}

int tls_server_accept(const struct tls_server *server, struct tls_stream *stream, struct error *err)
{
	return tls_stream_init(stream, server->ctx, server->method, true, err);
}
