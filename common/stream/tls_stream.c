/* SPDX-License-Identifier: Apache-2.0 */
#include "stream/tls_stream.h"

#include "crypto/crypto.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>

static int method_read(BIO *bio, char *data, size_t size, size_t *ret_len)
{
	struct tls_stream *stream = BIO_get_data(bio);
	size_t len = size < stream->in.len ? size : stream->in.len;

	BIO_clear_retry_flags(bio);
	if (len == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(data, stream->in.data, len);
	stream->in.data += len;
	stream->in.len -= len;
	*ret_len = len;
	return 1;
}

static int method_write(BIO *bio, const char *data, size_t len, size_t *ret_len)
{
	struct tls_stream *stream = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	buf_put(&stream->out, data, len);
	if (stream->out.failed)
		return 0;
	*ret_len = len;
	return 1;
}

static long method_ctrl(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_stream_new_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tls_stream");

	if (method == NULL)
		return NULL;
	BIO_meth_set_read_ex(method, method_read);
	BIO_meth_set_write_ex(method, method_write);
	BIO_meth_set_ctrl(method, method_ctrl);
	return method;
}

int tls_stream_init(struct tls_stream *stream, SSL_CTX *ctx, const BIO_METHOD *method, bool server, struct error *err)
{
	BIO *bio;

	*stream = (struct tls_stream){.ssl = SSL_new(ctx)};
	if (stream->ssl == NULL)
		return crypto_error(err, "make SSL");
	bio = BIO_new(method);
	if (bio == NULL) {
		tls_stream_deinit(stream);
		return crypto_error(err, "make BIO");
	}
	BIO_set_data(bio, stream);
	BIO_set_init(bio, 1);
	SSL_set_bio(stream->ssl, bio, bio);
	SSL_set_app_data(stream->ssl, stream);
	if (server)
		SSL_set_accept_state(stream->ssl);
	else
		SSL_set_connect_state(stream->ssl);
	return 0;
}

void tls_stream_deinit(struct tls_stream *stream)
{
	SSL_free(stream->ssl);
	buf_deinit(&stream->out);
	*stream = (struct tls_stream){.ssl = NULL};
}

static bool is_about_certificate(int alert)
{
	switch (alert) {
	case SSL_AD_DECRYPT_ERROR: /* so OpenSSL calls a certificate whose signature is not its CA's */
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case SSL_AD_ACCESS_DENIED:
	case SSL_AD_CERTIFICATE_REQUIRED:
		return true;
	default:
		return false;
	}
}

static const char *alert_text(int alert)
{
	/* OpenSSL 3.0 has no text for this one, the most frequent of all. */
	return alert == SSL_AD_CERTIFICATE_REQUIRED ? "certificate required" : SSL_alert_desc_string_long(alert);
}

static int stream_error(const struct tls_stream *stream, struct error *err)
{
	unsigned long newest = ERR_peek_last_error();
	int reason = ERR_GET_LIB(newest) == ERR_LIB_SSL ? ERR_GET_REASON(newest) : 0;

	if (stream->out.failed)
		return error_nomem(err);
	if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
		return error_set(err, E_UNAUTHENTICATED, "the peer's certificate is refused: %s",
		                 stream->refusal != NULL ? stream->refusal
		                                         : X509_verify_cert_error_string(SSL_get_verify_result(stream->ssl)));
	if (reason == SSL_R_CALLBACK_FAILED && stream->refusal != NULL)
		return error_set(err, E_CRYPTO, "the peer is refused: %s", stream->refusal);
	if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return error_set(err, E_UNAUTHENTICATED, "the peer showed no certificate");
	if (reason > SSL_AD_REASON_OFFSET) {
		int alert = reason - SSL_AD_REASON_OFFSET;

		return error_set(err, is_about_certificate(alert) ? E_UNAUTHENTICATED : E_CRYPTO,
		                 "the peer refused with the TLS alert \"%s\"", alert_text(alert));
	}
	return crypto_error(err, "TLS");
}

int tls_stream_handshake(struct tls_stream *stream, struct error *err)
{
	int r, code;

	ERR_clear_error();
	r = SSL_do_handshake(stream->ssl);
	if (r == 1)
		return 1;
	if (SSL_get_error(stream->ssl, r) == SSL_ERROR_WANT_READ)
		return 0;
	code = stream_error(stream, err);
	ERR_clear_error();
	return code;
}

int tls_stream_read(struct tls_stream *stream, uint8_t *data, size_t size, size_t *ret_len, struct error *err)
{
	size_t len = 0;
	int code;

	ERR_clear_error();
	if (SSL_read_ex(stream->ssl, data, size, &len) == 1) {
		*ret_len = len;
		return 0;
	}
	switch (SSL_get_error(stream->ssl, 0)) {
	case SSL_ERROR_WANT_READ:
		*ret_len = 0;
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return error_set(err, E_CLOSED, "closed by the peer");
	default:
		code = stream_error(stream, err);
		ERR_clear_error();
		return code;
	}
}

int tls_stream_write(struct tls_stream *stream, struct bytes data, size_t *ret_len, struct error *err)
{
	size_t len = 0;
	int code;

	ERR_clear_error();
	if (SSL_write_ex(stream->ssl, data.data, data.len, &len) == 1) {
		*ret_len = len;
		return 0;
	}
	code = stream_error(stream, err);
	ERR_clear_error();
	return code;
}

void tls_stream_shutdown(struct tls_stream *stream)
{
	if (SSL_is_init_finished(stream->ssl) == 1 && (SSL_get_shutdown(stream->ssl) & SSL_SENT_SHUTDOWN) == 0)
		SSL_shutdown(stream->ssl);
	ERR_clear_error();
}
