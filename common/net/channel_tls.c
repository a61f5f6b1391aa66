/* SPDX-License-Identifier: Apache-2.0 */
/* SSL_CTX of the channel, and who is let in. OpenSSL verifies the chain, with the purpose of the role; on top of that
 * the extended key usage must be there (OpenSSL lets a certificate without one pass for any purpose).
 *
 * A server asks for a certificate by the protocol it picks, in the callback that picks it: there is no instant in which
 * one is decided and the other is not, not even across a HelloRetryRequest, which runs the callback again. */
#include "net/channel_tls.h"

#include "crypto/cert.h"
#include "crypto/crypto.h"
#include "stream/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define PEER_CHAIN_MAX (16 * 1024) /* bytes of certificates that a peer may show */
#define SECURITY_LEVEL 2

DEFINE_CLEANUP(X509_STORE, X509_STORE_free);

/* Verification ----------------------------------------------------------------------------------------------------- */

static struct tls_stream *stream_of(X509_STORE_CTX *verify)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(verify, SSL_get_ex_data_X509_STORE_CTX_idx());

	return SSL_get_app_data(ssl);
}

static int refuse(X509_STORE_CTX *verify, int code, const char *reason)
{
	stream_of(verify)->refusal = reason;
	X509_STORE_CTX_set_error(verify, code);
	return 0;
}

/* Of all that can be wrong, only this is overruled: the leaf itself has expired, or is from a day when our clock was ahead. */
static int let_expired_leaf_pass(int ok, X509_STORE_CTX *verify)
{
	int code = X509_STORE_CTX_get_error(verify);

	if (ok == 1 || (code != X509_V_ERR_CERT_HAS_EXPIRED && code != X509_V_ERR_CERT_NOT_YET_VALID) ||
	    X509_STORE_CTX_get_error_depth(verify) != 0)
		return ok;
	stream_of(verify)->peer_is_expired = true;
	X509_STORE_CTX_set_error(verify, X509_V_OK);
	return 1;
}

/* Borrowed from the chain that the peer sent; NULL: it isn't there. */
static X509 *find_pinned(const struct channel_tls *tls, X509_STORE_CTX *verify)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(verify);
	uint8_t digest[EVP_MAX_MD_SIZE];

	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		if (X509_digest(cert, EVP_sha256(), digest, NULL) == 1 &&
		    memcmp(digest, tls->ca_sha256, sizeof(tls->ca_sha256)) == 0)
			return cert;
	}
	return NULL;
}

static int verify_pinned(const struct channel_tls *tls, X509_STORE_CTX *verify)
{
	X509 *anchor = find_pinned(tls, verify);
	STACK_OF(X509) * anchors;
	int ok = 0;

	if (anchor == NULL)
		return refuse(verify, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
		              "its chain does not hold the CA of the pinned SHA-256");
	anchors = sk_X509_new_null();
	if (anchors != NULL && sk_X509_push(anchors, anchor) > 0) {
		X509_STORE_CTX_set0_trusted_stack(verify, anchors);
		ok = X509_verify_cert(verify);
	} else {
		X509_STORE_CTX_set_error(verify, X509_V_ERR_OUT_OF_MEM);
	}
	sk_X509_free(anchors);
	return ok;
}

static int verify_peer(X509_STORE_CTX *verify, void *context)
{
	const struct channel_tls *tls = context;
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(verify);
	X509 *leaf = X509_STORE_CTX_get0_cert(verify);
	uint32_t uses, need = tls->server ? XKU_SSL_CLIENT : XKU_SSL_SERVER;

	/* A brought CA need not be a root; it is the end of the chain all the same. */
	if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return refuse(verify, X509_V_ERR_UNSPECIFIED, NULL);
	if (tls->allow_expired_client)
		X509_STORE_CTX_set_verify_cb(verify, let_expired_leaf_pass);
	if ((tls->is_pinned ? verify_pinned(tls, verify) : X509_verify_cert(verify)) != 1)
		return 0;
	uses = X509_get_extended_key_usage(leaf);
	if (uses == UINT32_MAX || (uses & need) == 0)
		return refuse(verify, X509_V_ERR_INVALID_PURPOSE, "its extended key usage is not that of this role");
	return 1;
}

/* Protocol names --------------------------------------------------------------------------------------------------- */

static int encode_alpn(const char *const *names, struct buf *out, struct error *err)
{
	for (; *names != NULL; names++) {
		size_t len = strlen(*names);

		if (len == 0 || len > 255)
			return error_set(err, E_INVALID, "a protocol name of %zu bytes", len);
		buf_put_u8(out, (uint8_t)len);
		buf_put(out, *names, len);
	}
	if (out->failed)
		return error_nomem(err);
	return out->len > 0 ? 0 : error_set(err, E_INVALID, "no protocol name");
}

static bool is_enrolment(const unsigned char *name, unsigned char len)
{
	return len == strlen(CHANNEL_ALPN_ENROLL) && memcmp(name, CHANNEL_ALPN_ENROLL, len) == 0;
}

static int pick_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len, const unsigned char *offered,
                     unsigned offered_len, void *context)
{
	const struct channel_tls *tls = context;
	unsigned char *picked;

	if (SSL_select_next_proto(&picked, ret_len, tls->alpn.data, (unsigned)tls->alpn.len, offered, offered_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*ret = picked;
	SSL_set_verify(ssl,
	               is_enrolment(picked, *ret_len) ? SSL_VERIFY_NONE : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
	               NULL);
	return SSL_TLSEXT_ERR_OK;
}

/* Without the extension pick_alpn is never asked. */
static int demand_alpn(SSL *ssl, int *alert, void *context)
{
	const unsigned char *data;
	size_t len;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &len) == 1)
		return SSL_CLIENT_HELLO_SUCCESS;
	((struct tls_stream *)SSL_get_app_data(ssl))->refusal = "it asks for no protocol (ALPN)";
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	return SSL_CLIENT_HELLO_ERROR;
}

/* The context ------------------------------------------------------------------------------------------------------ */

static int set_limits(SSL_CTX *ctx, struct error *err)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
	                             SSL_OP_CLEANSE_PLAINTEXT); /* updates carry keys */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
	                          SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_max_cert_list(ctx, PEER_CHAIN_MAX);
	SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1 || SSL_CTX_set_num_tickets(ctx, 0) != 1 ||
	    SSL_CTX_set_max_early_data(ctx, 0) != 1 || SSL_CTX_set_recv_max_early_data(ctx, 0) != 1)
		return crypto_error(err, "set up the channel's TLS");
	return 0;
}

static int set_certificate(SSL_CTX *ctx, const struct channel_tls_config *config, struct error *err)
{
	if (config->certificate == NULL)
		return config->server ? error_set(err, E_INVALID, "a server without a certificate") : 0;
	if (SSL_CTX_use_certificate(ctx, config->certificate) != 1 || SSL_CTX_use_PrivateKey(ctx, config->key) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return crypto_error(err, "use the channel certificate");
	/* A client that pins finds its anchor there. */
	if (config->server && SSL_CTX_add1_chain_cert(ctx, config->ca) != 1)
		return crypto_error(err, "use the channel CA");
	return 0;
}

static int set_trust(struct channel_tls *tls, const struct channel_tls_config *config, struct error *err)
{
	CLEANUP(X509_STORE_free) X509_STORE *store = X509_STORE_new();

	if (store == NULL)
		return error_nomem(err);
	if ((config->ca == NULL) == (config->ca_sha256 == NULL) || (config->server && config->ca == NULL))
		return error_set(err, E_INVALID, "a channel trusts a CA, or in a client the hash of one");
	if (config->ca_sha256 != NULL) {
		memcpy(tls->ca_sha256, config->ca_sha256, sizeof(tls->ca_sha256));
		tls->is_pinned = true;
	} else if (X509_STORE_add_cert(store, config->ca) != 1) {
		return crypto_error(err, "trust the channel CA");
	}
	SSL_CTX_set_cert_store(tls->ctx, TAKE_PTR(store));
	SSL_CTX_set_cert_verify_callback(tls->ctx, verify_peer, tls);
	SSL_CTX_set_verify_depth(tls->ctx, 0); /* no intermediates: the CA issues by itself */
	SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

static int set_protocols(struct channel_tls *tls, const struct channel_tls_config *config, struct error *err)
{
	int r = encode_alpn(config->alpn, &tls->alpn, err);

	if (r < 0)
		return r;
	if (tls->server) {
		SSL_CTX_set_client_hello_cb(tls->ctx, demand_alpn, NULL);
		SSL_CTX_set_alpn_select_cb(tls->ctx, pick_alpn, tls);
	} else if (SSL_CTX_set_alpn_protos(tls->ctx, tls->alpn.data, (unsigned)tls->alpn.len) !=
	           0) { /* 0 is success here */
		return crypto_error(err, "offer the channel's protocol");
	}
	return 0;
}

int channel_tls_new(const struct channel_tls_config *config, struct channel_tls **ret, struct error *err)
{
	CLEANUP(channel_tls_unref) struct channel_tls *tls = calloc(1, sizeof(*tls));
	int r;

	if (tls == NULL)
		return error_nomem(err);
	tls->refs = 1;
	tls->server = config->server;
	tls->allow_expired_client = config->server && config->allow_expired_client;
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return crypto_error(err, "start OpenSSL");
	tls->method = tls_stream_new_method();
	tls->ctx = SSL_CTX_new(config->server ? TLS_server_method() : TLS_client_method());
	if (tls->method == NULL || tls->ctx == NULL)
		return crypto_error(err, "make the channel's TLS");
	r = set_limits(tls->ctx, err);
	if (r == 0)
		r = set_trust(tls, config, err);
	if (r == 0)
		r = set_certificate(tls->ctx, config, err);
	if (r == 0)
		r = set_protocols(tls, config, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(tls);
	return 0;
}

struct channel_tls *channel_tls_ref(struct channel_tls *tls)
{
	tls->refs++;
	return tls;
}

struct channel_tls *channel_tls_unref(struct channel_tls *tls)
{
	if (tls == NULL || --tls->refs > 0)
		return NULL;
	SSL_CTX_free(tls->ctx);
	BIO_meth_free(tls->method);
	buf_deinit(&tls->alpn);
	free(tls);
	return NULL;
}
