/* SPDX-License-Identifier: Apache-2.0 */
/* A server's stream against OpenSSL's own client over memory: no socket anywhere. */
#include "stream/tls_server.h"

#include "allocations.h"
#include "pki.h"
#include "unit.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

static struct pki_cert *shown; /* NULL: there is none */
static unsigned refusals;

static int put_certificate(SSL *ssl, void *owner, struct error *err)
{
	if (shown == NULL)
		return error_set(err, E_NOT_FOUND, "no certificate today");
	return SSL_use_cert_and_key(ssl, shown->cert, shown->key, NULL, 1) == 1 ? 0 : E_CRYPTO;
}

static void on_refusal(const struct error *why, void *owner)
{
	refusals++;
	ck_assert_str_eq(why->text, "no certificate today");
}

static const struct tls_server_hooks hooks = {.put_certificate = put_certificate, .on_refusal = on_refusal};

struct pair {
	struct tls_server *server;
	struct tls_stream stream;
	SSL_CTX *ctx;
	SSL *client;
	BIO *to_server, *to_client;
};

static void pair_init(struct pair *pair)
{
	*pair = (struct pair){
	    .ctx = SSL_CTX_new(TLS_client_method()), .to_server = BIO_new(BIO_s_mem()), .to_client = BIO_new(BIO_s_mem())};
	ck_assert_int_eq(tls_server_new(&hooks, &pair->server, NULL), 0);
	ck_assert_int_eq(tls_server_accept(pair->server, &pair->stream, NULL), 0);
	pair->client = SSL_new(pair->ctx);
	SSL_set_bio(pair->client, pair->to_client, pair->to_server);
	SSL_set_connect_state(pair->client);
}

static void pair_deinit(struct pair *pair)
{
	tls_stream_deinit(&pair->stream);
	tls_server_free(pair->server);
	SSL_free(pair->client);
	SSL_CTX_free(pair->ctx);
	pki_free(shown);
	shown = NULL;
}

/* What the client has written, in the server's hands. */
static struct bytes carry(struct pair *pair, uint8_t *data, size_t size)
{
	int len = BIO_read(pair->to_server, data, (int)size);

	return BYTES(data, len > 0 ? (size_t)len : 0);
}

static void deliver(struct pair *pair)
{
	BIO_write(pair->to_client, pair->stream.out.data, (int)pair->stream.out.len);
	buf_reset(&pair->stream.out);
}

/* Until both sides can do no more; the server's last word. */
static int shake(struct pair *pair, struct error *err)
{
	uint8_t data[65536];
	int r = 0;

	for (unsigned turn = 0; turn < 4 && r == 0; turn++) {
		(void)SSL_do_handshake(pair->client);
		pair->stream.in = carry(pair, data, sizeof(data));
		r = tls_stream_handshake(&pair->stream, err);
		deliver(pair);
	}
	return r;
}

START_TEST(talks)
{
	uint8_t data[65536], plain[64];
	struct error err = ERROR_NULL;
	struct pair pair;
	size_t len;

	shown = pki_make(&(struct pki_spec){.name = "server"});
	pair_init(&pair);
	ck_assert_int_eq(shake(&pair, &err), 1);
	ck_assert_int_eq(SSL_write(pair.client, "ping", 4), 4);
	pair.stream.in = carry(&pair, data, sizeof(data));
	ck_assert_int_eq(tls_stream_read(&pair.stream, plain, sizeof(plain), &len, &err), 0);
	ck_assert_uint_eq(len, 4);
	ck_assert_mem_eq(plain, "ping", 4);
	ck_assert_int_eq(tls_stream_read(&pair.stream, plain, sizeof(plain), &len, &err), 0);
	ck_assert_uint_eq(len, 0);
	ck_assert_int_eq(tls_stream_write(&pair.stream, BYTES("pong", 4), &len, &err), 0);
	tls_stream_shutdown(&pair.stream);
	deliver(&pair);
	ck_assert_int_eq(SSL_read(pair.client, plain, sizeof(plain)), 4);
	ck_assert_int_eq(SSL_read(pair.client, plain, sizeof(plain)), 0);
	ck_assert_int_eq(SSL_get_shutdown(pair.client) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	ck_assert(!SSL_SESSION_is_resumable(SSL_get_session(pair.client)) ||
	          SSL_SESSION_has_ticket(SSL_get_session(pair.client)) == 0);
	SSL_shutdown(pair.client);
	pair.stream.in = carry(&pair, data, sizeof(data));
	ck_assert_int_eq(tls_stream_read(&pair.stream, plain, sizeof(plain), &len, &err), E_CLOSED);
	pair_deinit(&pair);
}
END_TEST

START_TEST(has_nothing_to_show)
{
	struct error err = ERROR_NULL;
	struct pair pair;

	refusals = 0;
	pair_init(&pair);
	ck_assert_int_eq(shake(&pair, &err), E_CRYPTO);
	ck_assert_ptr_nonnull(strstr(err.text, "there is no certificate to show"));
	ck_assert_uint_eq(refusals, 1);
	ERR_clear_error();
	ck_assert_int_ne(SSL_do_handshake(pair.client), 1);
	ck_assert_int_eq(ERR_GET_REASON(ERR_peek_error()), SSL_AD_REASON_OFFSET + SSL_AD_INTERNAL_ERROR);
	pair_deinit(&pair);
}
END_TEST

START_TEST(without_memory)
{
	for (size_t n = 1;; n++) {
		struct tls_server *server = NULL;
		struct error err;
		int r;

		allocations_fail_at(n);
		r = tls_server_new(&hooks, &server, &err);
		if (!allocations_stop()) {
			ck_assert_int_eq(r, 0);
			tls_server_free(server);
			break;
		}
		ck_assert_int_eq(r, E_NOMEM);
	}
}
END_TEST

UNIT_MAIN("stream/tls_server", talks, has_nothing_to_show, without_memory)
