/* SPDX-License-Identifier: Apache-2.0 */
#include "shake.h"

#include <check.h>
#include <openssl/err.h>
#include <string.h>

#define ROUNDS 20

static void on_info(const SSL *ssl, int where, int value)
{
	struct shake *shake = SSL_get_app_data(ssl);

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
		shake->alert = value & 0xff;
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct shake *shake = SSL_get_app_data(ssl);

	if (SSL_SESSION_is_resumable(session))
		shake->tickets++;
	return 0;
}

static int on_request(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct shake *shake = SSL_get_app_data(ssl);

	shake->ca_names = sk_X509_NAME_num(SSL_get_client_CA_list(ssl));
	return 0;
}

static void dress_client(SSL *client, const struct shake_spec *spec)
{
	if (spec->sni != NULL)
		ck_assert_int_eq(SSL_set_tlsext_host_name(client, spec->sni), 1);
	if (spec->min != 0)
		ck_assert_int_eq(SSL_set_min_proto_version(client, spec->min), 1);
	if (spec->max != 0)
		ck_assert_int_eq(SSL_set_max_proto_version(client, spec->max), 1);
	if (spec->groups != NULL)
		ck_assert_int_eq(SSL_set1_groups_list(client, spec->groups), 1);
	if (spec->suites12 != NULL)
		ck_assert_int_eq(SSL_set_cipher_list(client, spec->suites12), 1);
	if (spec->suites13 != NULL)
		ck_assert_int_eq(SSL_set_ciphersuites(client, spec->suites13), 1);
	if (spec->alpn != NULL)
		ck_assert_int_eq(SSL_set_alpn_protos(client, (const unsigned char *)spec->alpn, (unsigned)spec->alpn_len), 0);
	if (spec->cert != NULL) {
		ck_assert_int_eq(SSL_use_certificate(client, spec->cert->cert), 1);
		ck_assert_int_eq(SSL_use_PrivateKey(client, spec->cert->key), 1);
	}
	if (spec->chain != NULL)
		ck_assert_int_eq(SSL_add1_chain_cert(client, spec->chain->cert), 1);
	if (spec->no_ticket)
		SSL_set_options(client, SSL_OP_NO_TICKET);
	if (spec->session != NULL)
		ck_assert_int_eq(SSL_set_session(client, spec->session), 1);
}

/* Between the first hello and the second. */
static void change_client(SSL *client, const struct shake_spec *spec)
{
	if (spec->sni_after_retry != NULL)
		ck_assert_int_eq(SSL_set_tlsext_host_name(client, spec->sni_after_retry), 1);
	if (spec->alpn_after_retry != NULL)
		ck_assert_int_eq(SSL_set_alpn_protos(client, (const unsigned char *)spec->alpn_after_retry,
		                                     (unsigned)spec->alpn_after_retry_len),
		                 0);
}

static bool step(SSL *ssl, unsigned long *ret_error)
{
	int r;

	ERR_clear_error();
	r = SSL_do_handshake(ssl);
	if (ERR_peek_last_error() != 0)
		*ret_error = ERR_peek_last_error();
	ERR_clear_error();
	return r == 1;
}

static void read_results(struct shake *shake)
{
	X509 *leaf = SSL_get0_peer_certificate(shake->client);
	const unsigned char *alpn;
	unsigned alpn_len;
	char byte;

	ERR_clear_error();
	SSL_read(shake->client, &byte, 1); /* takes tickets and late alerts in */
	shake->client_error = ERR_peek_last_error();
	ERR_clear_error();
	if (leaf != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, shake->leaf, sizeof(shake->leaf));
	SSL_get0_alpn_selected(shake->client, &alpn, &alpn_len);
	ck_assert_uint_lt(alpn_len, sizeof(shake->alpn));
	if (alpn_len > 0)
		memcpy(shake->alpn, alpn, alpn_len);
}

void shake_run(SSL_CTX *front, struct hello_hook *hook, const struct shake_spec *spec, struct shake *ret)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *client_bio, *server_bio;
	unsigned long ignored = 0;

	memset(ret, 0, sizeof(*ret));
	ret->alert = -1;
	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_client_cert_cb(ctx, on_request);
	ret->client = SSL_new(ctx);
	ret->server = SSL_new(front);
	SSL_CTX_free(ctx);
	ck_assert_int_eq(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17), 1);
	SSL_set_bio(ret->client, client_bio, client_bio);
	SSL_set_bio(ret->server, server_bio, server_bio);
	SSL_set_app_data(ret->client, ret);
	SSL_set_info_callback(ret->client, on_info);
	if (hook != NULL)
		ck_assert_int_eq(hello_hook_set(ret->server, hook), 0);
	SSL_set_connect_state(ret->client);
	SSL_set_accept_state(ret->server);
	dress_client(ret->client, spec);
	for (int i = 0; i < ROUNDS; i++) {
		step(ret->client, &ignored);
		if (i == 0)
			change_client(ret->client, spec);
		ret->done = step(ret->server, &ret->error);
	}
	read_results(ret);
}

/* An SSL that goes without a close takes its session's resumability with it. */
void shake_deinit(struct shake *shake)
{
	if (shake->client != NULL)
		SSL_set_shutdown(shake->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(shake->client);
	SSL_free(shake->server);
	memset(shake, 0, sizeof(*shake));
}
